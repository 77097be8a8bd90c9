"""A body that does not come in time, whatever it is for."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from starlette.types import Message

from purport.serving.app import create_app
from purport.serving.context import AppContext
from purport.settings import load


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/v1/models/atis"), ("POST", "/v1/models/atis/examples"), ("POST", "/v1/classify"), ("POST", "/intent")],
)
def test_a_body_that_never_comes_is_waited_for_no_longer_than_the_deadline(
    method: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask() -> list[Message]:
        settings = load({"api_keys": "boss@intent@classify@models", "deadline_ms": 50})
        context = AppContext.of(settings, {"atis": "atis"}, 1)
        monkeypatch.setattr(context.store, "get", lambda name="": Model())
        monkeypatch.setattr(context.admission, "admit", lambda *_, **__: None)
        sent: list[Message] = []
        arrived = [{"type": "http.request", "body": b"{", "more_body": True}]

        async def receive() -> Message:
            return arrived.pop() if arrived else await asyncio.Future[Message]()

        async def send(message: Message) -> None:
            sent.append(message)

        headers = [(b"x-api-key", b"boss"), (b"content-type", b"application/json"), (b"content-length", b"9")]
        scope: dict[str, Any] = {
            "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
            "root_path": "", "headers": headers, "client": ("::1", 1), "server": ("::1", 2), "scheme": "http",
            "http_version": "1.1",
        }  # fmt: skip
        app, began = create_app(context), time.monotonic()
        await asyncio.wait_for(app(scope, receive, send), 5)
        assert time.monotonic() - began < 3
        return sent

    start, body = asyncio.run(ask())[:2]
    assert (start["status"], json.loads(body["body"])["label"]) == (504, "DEADLINE_EXCEEDED")


class Model:
    """Stands for a model."""

    @property
    def current(self) -> Model:
        return self

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *error: object) -> None: ...
