"""The walk of a request through the code is what docs/architecture.md says it is."""

from __future__ import annotations

import asyncio
import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from purport import Bundle
from purport.serving.app import create_app
from purport.serving.context import AppContext
from purport.serving.operations import CLASSIFY, INTENT, Request
from purport.serving.wire import Do, Load, pack, receive
from purport.serving.worker import Worker
from purport.settings import ServerSettings

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "purport"


@contextmanager
def crossed() -> Iterator[list[str]]:
    """The modules of the package whose code runs in this thread inside the block, in order of their first call."""
    found: list[str] = []

    def watch(frame: Any, event: str, argument: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(PACKAGE) and (name := str(path.relative_to(PACKAGE))) not in found:
            found.append(name)

    sys.setprofile(watch)
    try:
        yield found
    finally:
        sys.setprofile(None)


async def front(bundle: Bundle) -> list[str]:
    """Modules of the front process that one ``POST /intent`` crosses, after one that warms up."""
    context = AppContext.of(ServerSettings(cache=0, access_log=False), {"main": str(bundle.path)}, workers=1)
    app = create_app(context)
    await context.start()
    body = b'{"text": "where is my parcel"}'
    scope: dict[str, Any] = {
        "type": "http", "method": "POST", "path": "/intent", "raw_path": b"/intent", "query_string": b"",
        "headers": [(b"content-type", b"application/json")], "client": ("127.0.0.1", 1), "state": {},
    }  # fmt: skip
    sent: list[Any] = []

    async def take() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    try:
        await app(dict(scope), take, send)
        with crossed() as found:
            await app(dict(scope), take, send)
    finally:
        await context.stop()
    assert [message["status"] for message in sent if "status" in message] == [200, 200]
    return found


def worker(bundle: Bundle) -> list[str]:
    """Modules of a worker that one text crosses, after one that warms up."""
    ours, theirs = socket.socketpair()
    answering = Worker(theirs, "cpu", 1)
    found: list[str] = []

    def run() -> None:
        with crossed() as names:
            answering.run()
        found.extend(names)

    ours.sendall(pack(Load(1, str(bundle.path), bundle.manifest.id)))
    thread = threading.Thread(target=answering.run)
    thread.start()
    receive(ours)
    request = Do(1, 1, CLASSIFY, [Request("where is my parcel", INTENT)])
    ours.sendall(pack(request))
    receive(ours)
    ours.shutdown(socket.SHUT_WR)
    thread.join()
    ours, theirs = socket.socketpair()
    answering._connection = theirs
    thread = threading.Thread(target=run)
    thread.start()
    ours.sendall(pack(request))
    receive(ours)
    ours.shutdown(socket.SHUT_WR)
    thread.join()
    return found


def test_a_request_crosses_the_modules_that_the_walk_names(encoder_bundle: Bundle) -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    (walk,) = re.findall(r"<!-- walk -->(.*?)<!-- /walk -->", text, re.S)
    named = set(re.findall(r"`([\w/]+\.py)`", walk))
    assert {*asyncio.run(front(encoder_bundle)), *worker(encoder_bundle)} == named
