"""Ray Serve with dynamic request batching.

- https://docs.ray.io/en/latest/serve/advanced-guides/dyn-req-batch.html: ``@serve.batch``; a power of 2 as
  ``max_batch_size``, ``batch_wait_timeout_s`` far below the latency wanted. With 0 a batch is what has queued up.
- https://docs.ray.io/en/latest/serve/advanced-guides/asyncio-best-practices.html: a batch that computes is handed to a
  thread; "for predictable CPU scaling, it's usually simpler to increase the number of replicas".
- https://docs.ray.io/en/latest/serve/advanced-guides/performance.html: a higher ``max_ongoing_requests`` than 5 where a
  replica batches; ``RAY_SERVE_THROUGHPUT_OPTIMIZED=1`` and ``RAY_SERVE_ENABLE_HA_PROXY=1`` (``serve.sh``).
"""

from __future__ import annotations

import asyncio
import os
import sys

import ray
from intents import Answer, IntentModel
from ray import serve
from starlette.requests import Request

OBJECT_STORE_BYTES = 100_000_000  # nothing is kept in it


@serve.deployment(
    num_replicas=int(os.environ.get("PEER_WORKERS", "2")),
    max_ongoing_requests=1000,
    logging_config={"enable_access_log": False},
)
class Intents:
    def __init__(self, directory: str) -> None:
        self._model = IntentModel(directory)

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.0)
    async def predict(self, texts: list[str]) -> list[Answer]:
        return await asyncio.to_thread(self._model, texts)

    async def __call__(self, request: Request) -> Answer | str:
        if request.method == "GET":
            return "ready"
        return await self.predict((await request.json())["text"])


if __name__ == "__main__":
    directory, port = sys.argv[1:]
    ray.init(object_store_memory=OBJECT_STORE_BYTES, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(port)})
    serve.run(Intents.bind(directory), blocking=True)
