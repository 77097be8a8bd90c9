"""Plain FastAPI with ONNX Runtime: one forward pass per request.

- https://fastapi.tiangolo.com/async/: an endpoint that computes is a plain ``def``, run in a pool of threads.
- https://fastapi.tiangolo.com/advanced/events/: the model is loaded in the lifespan.
- https://fastapi.tiangolo.com/deployment/server-workers/: several worker processes "to take advantage of multiple
  cores"; here one per core.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from intents import Answer, IntentModel
from pydantic import BaseModel


class Message(BaseModel):
    text: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.model = IntentModel(os.environ["MODEL_DIR"])
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/ready")
def ready() -> dict[str, str]:
    return {"status": "ready"}


@app.post("/intent")
def intent(message: Message, request: Request) -> Answer:
    return request.app.state.model([message.text])[0]
