"""LitServe with dynamic batching.

- https://lightning.ai/docs/litserve/features/batching: ``max_batch_size`` and ``batch_timeout``. The wait is paid by
  every request, also on an idle server, so it is short; 0, the default, makes the inference process poll without rest.
- https://lightning.ai/docs/litserve/api-reference/litserver and the docstrings of ``LitServer``: on a CPU "set to the
  number of cores available" ``workers_per_device``; ``fast_queue`` for more than 100 requests per second; as many API
  servers as inference workers (the default, "recommended").
"""

from __future__ import annotations

import os
import sys
from typing import Any

import litserve as ls
from intents import Answer, IntentModel


class Intents(ls.LitAPI):
    def __init__(self, directory: str, **options: Any) -> None:
        super().__init__(**options)
        self._directory = directory

    def setup(self, device: str) -> None:
        self._model = IntentModel(self._directory)

    def decode_request(self, request):  # an annotation would become the schema of the body
        return request["text"]

    def predict(self, texts: list[str]) -> list[Answer]:
        return self._model(texts)


if __name__ == "__main__":
    directory, port = sys.argv[1:]
    server = ls.LitServer(
        Intents(directory, max_batch_size=32, batch_timeout=0.002),
        accelerator="cpu",
        workers_per_device=int(os.environ.get("PEER_WORKERS", "2")),
        fast_queue=True,
    )
    server.run(host="127.0.0.1", port=int(port), log_level="warning", generate_client_file=False)
