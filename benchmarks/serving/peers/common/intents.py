"""What every peer that serves a bundle does with a batch of texts: one tokenizer, one ONNX Runtime session.

Nothing of Purport is imported: this is the model as a user of those servers would write it. The session keeps ONNX
Runtime's defaults, apart from spinning, which would take the cores from the rest of the server on a small machine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

Answer = dict[str, list[dict[str, Any]]]


class IntentModel:
    """Calibrated probabilities of the three likeliest intents of each text. May be called from several threads."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        path = Path(directory)
        manifest = json.loads((path / "manifest.json").read_text("utf-8"))
        self._labels: list[str] = manifest["labels"]
        self._temperature: float = manifest["calibration"]["temperature"]
        self._tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
        self._tokenizer.enable_truncation(manifest["model"]["max_length"])
        self._tokenizer.enable_padding()
        options = ort.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("PEER_ORT_THREADS", "0"))  # 0: ONNX Runtime's default
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(path / "model.onnx", options, providers=["CPUExecutionProvider"])

    def __call__(self, texts: Sequence[str]) -> list[Answer]:
        encodings = self._tokenizer.encode_batch(list(texts))
        feeds = {
            "input_ids": np.array([encoding.ids for encoding in encodings], dtype=np.int64),
            "attention_mask": np.array([encoding.attention_mask for encoding in encodings], dtype=np.int64),
        }
        (logits,) = self._session.run(["logits"], feeds)
        return top3(1.0 / (1.0 + np.exp(-logits / self._temperature)), self._labels)


def top3(probabilities: Any, labels: Sequence[str]) -> list[Answer]:
    best = np.argsort(-probabilities, axis=1)[:, :3]
    return [
        {"intents": [{"label": labels[at], "confidence": round(float(row[at]), 6)} for at in order]}
        for row, order in zip(probabilities, best, strict=True)
    ]
