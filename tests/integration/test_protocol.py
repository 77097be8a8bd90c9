"""What is refused for lack of room, on a real socket: at once, without its body, and the connection goes on."""

from __future__ import annotations

import asyncio
import json

import pytest
import uvicorn
from purport.serving.engine import Engine, Limits
from starlette.types import Receive, Scope, Send

from purport import Bundle
from purport.serving.generation import Generation
from purport.serving.protocol import protocol

HEAD = b"POST /intent HTTP/1.1\r\nHost: here\r\nContent-Length: 12\r\n\r\n"
BODY = b'{"text": ""}'


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, dict[bytes, bytes], bytes]:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    first, *lines = head.strip().split(b"\r\n")
    headers = dict(line.split(b": ", 1) for line in lines)
    return int(first.split()[1]), headers, await reader.readexactly(int(headers[b"content-length"]))


@pytest.mark.parametrize(("deadline", "refused"), [(1.0, True), (10.0, False)])
def test_a_text_that_would_wait_too_long_is_refused_before_its_body(
    linear_bundle: Bundle, deadline: float, refused: bool
) -> None:
    asyncio.run(scenario(linear_bundle, deadline, refused))


async def scenario(bundle: Bundle, deadline: float, refused: bool) -> None:
    engine = Engine({}, workers=1, device="cpu", threads=1, limits=Limits(10, deadline, 0))
    engine.models.put("model", Generation(bundle, text_cost=2.0))
    first_may_go = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await first_may_go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"OK"})

    config = uvicorn.Config(app, port=0, http=protocol(engine), log_config=None, lifespan="off")  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    other_reader, other = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HEAD + BODY)
    await asyncio.sleep(0.1)
    other.write(HEAD)
    if refused:
        status, headers, body = await read_answer(other_reader)
        assert (status, headers[b"retry-after"]) == (503, b"2"), "one is before it, and takes two seconds"
        assert json.loads(body)["label"] == "OVERLOADED"
    first_may_go.set()
    assert (await read_answer(reader))[0] == 200
    # The body of what was refused is no request; the next one on that connection is.
    other.write(BODY + HEAD + BODY if refused else BODY)
    assert (await read_answer(other_reader))[0] == 200
    writer.close()
    other.close()
    server.should_exit = True
    await serving
