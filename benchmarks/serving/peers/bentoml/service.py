"""BentoML with adaptive batching.

- https://docs.bentoml.com/en/latest/get-started/adaptive-batching.html: ``batchable``, ``max_batch_size=32`` and
  ``max_latency_ms=1000`` are the values of its sentence-embedding example.
- https://docs.bentoml.com/en/latest/build-with-bentoml/parallelize-requests.html: on a CPU ``workers="cpu_count"``.
- https://docs.bentoml.com/en/latest/build-with-bentoml/observability/logging.html: no access log, as for every peer.
"""

from __future__ import annotations

import os
from typing import Any

import bentoml
from intents import IntentModel


@bentoml.service(
    workers=int(os.environ.get("PEER_WORKERS", "0")) or "cpu_count",
    traffic={"timeout": 60},
    logging={"access": {"enabled": False}},
)
class Intents:
    def __init__(self) -> None:
        self._model = IntentModel(os.environ["MODEL_DIR"])

    @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=1000)
    def predict(self, texts: list[str]) -> list[dict[str, Any]]:
        return self._model(texts)
