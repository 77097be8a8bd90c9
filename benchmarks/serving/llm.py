"""A bundle that asks a language model's service, behind the server: what 100 clients wait for.

    python benchmarks/serving/llm.py --output results/serving/llm.json

The service is a scripted one on this machine that answers every request after 300 ms; it speaks the protocol of OpenAI
and the bundle asks it with OpenAI's client. Closed loop by wrk; texts are distinct and no cache is on. Beside them one
client asks ``atis``, on the same server.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import statistics
import tempfile
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from harness import INTENT_BODY, machine, purport, text_file, write, wrk

from purport.training.pipeline import train
from purport.training.recipe import parse_recipe

LATENCY_S = 0.3
OTHER_BODY = '{"model": "atis", "texts": ["@TEXT@"]}'
ANSWER = {
    "choices": [{"message": {"content": '{"label": "flight"}'}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 100, "completion_tokens": 10},
}


class Service(asyncio.Protocol):
    """Answers each request after a while, and looks at nothing but its length."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._received = transport, b""
        body = json.dumps(ANSWER).encode()
        self._answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self._answer += body

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            length = self._received[:end].lower().partition(b"content-length:")[2].split(b"\r\n")[0]
            whole = end + 4 + int(length)
            if len(self._received) < whole:
                return
            self._received = self._received[whole:]
            asyncio.get_running_loop().call_later(LATENCY_S, self._transport.write, self._answer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    os.environ["OPENAI_API_KEY"] = "sk-benchmark"
    with tempfile.TemporaryDirectory() as folder, service() as url:
        bundle = trained(Path(folder), url)
        with purport(f"llm={bundle}", "atis", "--cache", "0") as server:
            load(server.port, arguments.clients, 2)
            runs = [load(server.port, arguments.clients, arguments.seconds) for _ in range(arguments.rounds)]
    write(arguments.output, {
        "command": "python benchmarks/serving/llm.py",
        "machine": machine(),
        "service_ms": 1000 * LATENCY_S,
        "clients": arguments.clients,
        "p50_ms": statistics.median(run["p50_ms"] for run in runs),
        "other_model_p50_ms": statistics.median(run["other_model_p50_ms"] for run in runs),
        "load_average": os.getloadavg()[0],
        "runs": runs,
    })  # fmt: skip


def load(port: int, clients: int, seconds: float) -> dict[str, Any]:
    """One run, with one client of the other model beside it."""
    texts = text_file([f"fly {n} to boston" for n in range(5000)])
    other = text_file([f"flights to boston on may {n}" for n in range(5000)])
    with multiprocessing.Pool(1) as pool:
        beside = pool.apply_async(one_client, (port, other, seconds))
        found = wrk(port, "/intent", INTENT_BODY, texts, clients=clients, seconds=seconds)
        return {**found, "other_model_p50_ms": beside.get()["p50_ms"]}


def one_client(port: int, texts: str, seconds: float) -> dict[str, Any]:
    """Ten requests a second for the other model."""
    return wrk(port, "/v1/classify", OTHER_BODY, texts, clients=1, seconds=seconds, pause_ms=100)


@contextlib.contextmanager
def service() -> Iterator[str]:
    """The address of the scripted service."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=serve, args=(there,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}/v1"
    finally:
        process.terminate()
        process.join()


def serve(port: Connection) -> None:
    """Run the service and tell its ``port``."""

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Service, "127.0.0.1", 0, backlog=1024)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def trained(folder: Path, url: str) -> Path:
    """A bundle that asks the service at ``url``."""
    rows = [f"{text} {n}\t{label}" for n in range(8) for text, label in [("fly", "flight"), ("cost", "fare")]]
    (folder / "table.tsv").write_text("\n".join(rows), "utf-8")
    recipe: dict[str, Any] = {
        "kind": "llm", "task": "multiclass", "data": {"name": str(folder / "table.tsv"), "valid": 0.5},
        "prompt": {"votes": 1},
        "provider": {"model": "m", "base_url": url, "concurrency": 128, "cache": False},
        "budget": {"input_price": 2, "output_price": 8},
    }  # fmt: skip
    train(parse_recipe(recipe), folder / "llm")
    return folder / "llm"


if __name__ == "__main__":
    main()
