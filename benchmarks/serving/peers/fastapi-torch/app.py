"""The pattern most services start from: FastAPI, torch and transformers, one forward pass per request.

- https://huggingface.co/docs/transformers/main/en/tasks/sequence_classification: tokenizer, model, logits.
- https://fastapi.tiangolo.com/async/: an endpoint that computes is a plain ``def``, run in a pool of threads.
- https://fastapi.tiangolo.com/deployment/server-workers/: several worker processes "to take advantage of multiple
  cores"; here one per core.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import torch
from fastapi import FastAPI, Request
from pydantic import BaseModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer


class Message(BaseModel):
    text: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.tokenizer = AutoTokenizer.from_pretrained(os.environ["MODEL_DIR"])
    app.state.model = AutoModelForSequenceClassification.from_pretrained(os.environ["MODEL_DIR"]).eval()
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/ready")
def ready() -> dict[str, str]:
    return {"status": "ready"}


@app.post("/intent")
def intent(message: Message, request: Request) -> dict[str, list[dict[str, Any]]]:
    model = request.app.state.model
    inputs = request.app.state.tokenizer(message.text, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        probabilities = torch.sigmoid(model(**inputs).logits[0])
    best = probabilities.topk(3)
    return {
        "intents": [
            {"label": model.config.id2label[at], "confidence": round(confidence, 6)}
            for at, confidence in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]
    }
