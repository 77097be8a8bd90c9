"""From the trained torch model to ``model.onnx`` and ``tokenizer.json``."""

from __future__ import annotations

import copy
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from ..runtime.onnx import MODEL_FILE, TOKENIZER_FILE, OnnxScorer
from .adapters import merged
from .batching import TokenRows
from .model import IntentModel
from .quantize import quantize
from .recipe import EncoderRecipe
from .run import Run

OPSET = 18


def export(model: IntentModel, tokenizer: Any, train: TokenRows, run: Run[EncoderRecipe]) -> OnnxScorer:
    """Write the deployed form of ``model`` into ``run.stage`` and open it.

    Scales of a quantised model are taken from training texts, never from validation or test.
    """
    recipe = run.recipe
    tokenizer.backend_tokenizer.save(str(run.stage / TOKENIZER_FILE))
    run.report("exporting to ONNX")
    with tempfile.TemporaryDirectory(dir=run.work) as scratch:
        plain = Path(scratch) / "plain.onnx"
        to_onnx(model, plain)
        if recipe.export.quantize == "static-int8":
            run.report("quantising with fixed scales")
            rng = np.random.default_rng(recipe.seed)
            count = min(recipe.export.calibration_texts, len(train))
            rows = rng.choice(len(train), size=count, replace=False)
            samples = [train.ids[int(row)].astype(np.int64) for row in rows]
            quantize(plain, run.stage / MODEL_FILE, samples)
        else:
            onnx.save(_bare(onnx.load(plain)), run.stage / MODEL_FILE)
    return OnnxScorer.load(run.stage, len(run.labels), recipe.model.max_length)


def to_onnx(model: IntentModel, target: Path) -> None:
    """``model`` with adapters merged, in fp32, batch and length dynamic."""
    plain = copy.deepcopy(model).eval()
    plain.encoder = merged(plain.encoder)
    ids = torch.tensor([[0, 1, 2, 3, 4], [0, 1, 2, 3, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]])
    dims = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Positional(plain),
            (ids, mask),
            str(target),
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_shapes=(dims, dims),
            opset_version=OPSET,
            external_data=False,
            dynamo=True,
            verbose=False,
        )
    onnx.save(_bare(onnx.load(target)), target)


class _Positional(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids, attention_mask)  # type: ignore[no-any-return]


def _bare(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without source paths and stack traces of the exporting machine: equal models are equal bytes."""
    graph = model.graph
    del model.metadata_props[:]
    del graph.metadata_props[:]
    del graph.value_info[:]
    model.doc_string = graph.doc_string = ""
    for node in graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for held in (*graph.initializer, *graph.input, *graph.output):
        held.doc_string = ""
        del held.metadata_props[:]
    return model
