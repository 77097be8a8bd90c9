"""Exports the trained torch model to ``model.onnx`` and ``tokenizer.json``."""

from __future__ import annotations

import contextlib
import copy
import logging
import warnings
from collections.abc import Sequence
from typing import Any, Self

import onnx
import torch
from torch import nn

from ...model import FloatArray
from ...runtime.onnx import MODEL_FILE, TOKENIZER_FILE, OnnxScorer, ReadingFacts
from ..checks import Agreement, Independence
from ..run import Fitted, Run
from .adapters import merged
from .fuse import fuse
from .ladder import LADDER, Forms
from .network import IntentModel
from .recipe import EncoderModel, Export

# The first opset with a Gelu operator.
OPSET = 20


class EncoderFacts(ReadingFacts):
    """Manifest facts of a bundle with an exported encoder.

    ``weights`` counts parameters; ``quantize`` is the form in which the model was exported, and ``because`` says why it
    is not the form before it in the ladder.
    """

    encoder: str
    pooling: str
    weights: int
    quantize: str
    because: str | None = None

    @classmethod
    def of(cls, model: IntentModel, spec: EncoderModel, export: Export, **own: Any) -> Self:
        """The facts of ``model``; ``own`` are those added by the kind."""
        weights = sum(parameter.numel() for parameter in model.parameters())
        read = {
            "encoder": spec.name, "pooling": spec.pooling, "limit": spec.max_length, "truncate": spec.truncate
        }  # fmt: skip
        return cls.model_validate({**read, "weights": weights, "quantize": export.quantize, **own})


def deployed(model: IntentModel, tokenizer: Any, run: Run[Any], facts: EncoderFacts, reference: FloatArray) -> Fitted:
    """Write the deployed form of ``model`` to ``run.stage``; its logits are ``reference (n_valid, n_labels)``.

    With ``quantize="auto"`` the fallbacks are the next rungs of the :data:`~.ladder.LADDER`, and near ties are allowed.
    """
    tokenizer.backend_tokenizer.save(str(run.stage / TOKENIZER_FILE))
    rungs = [rung for rung in LADDER if facts.quantize in ("auto", rung.name)]
    plain = to_onnx(model)
    fuse(plain)
    forms = Forms(plain, run, facts)

    def written(position: int, because: str | None) -> Fitted:
        rung = rungs[position]
        run.say(f"exporting to ONNX ({rung})" + (f", because {because}" if because else ""))
        onnx.save(forms.at(rung), run.stage / MODEL_FILE)
        scorer = OnnxScorer.load(run.stage, len(run.labels), facts)
        known = facts.model_copy(update={"quantize": rung.name, "because": because})
        remedy = "please report this with the recipe" if rung.name == "none" else "set export.quantize=auto"
        gold = run.valid.gold if facts.quantize == "auto" else None
        checks = Agreement(reference, remedy, gold), Independence(remedy)
        if position + 1 == len(rungs):
            return Fitted(scorer, known, checks)
        return Fitted(scorer, known, checks, lambda reason: written(position + 1, f"{rung}: {reason}"))

    return written(0, None)


def to_onnx(model: IntentModel) -> onnx.ModelProto:
    """``model`` with merged adapters, in fp32, with outputs ``logits`` and ``embedding``, the vector the head reads."""
    plain = copy.deepcopy(model).eval()
    plain.encoder = merged(plain.encoder)
    return traced(_Positional(plain), ["logits", "embedding"])


def traced(module: nn.Module, outputs: Sequence[str] = ("logits",)) -> onnx.ModelProto:
    """``module``, from ``(input_ids, attention_mask)`` to ``outputs``, in fp32, with dynamic batch size and length."""
    ids = torch.tensor([[0, 1, 2, 3, 4], [0, 1, 2, 3, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]])
    dims = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")}
    log = logging.getLogger("torch.onnx")
    with warnings.catch_warnings(), contextlib.ExitStack() as after:
        after.callback(log.setLevel, log.level)
        log.setLevel(logging.ERROR)
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            (ids, mask),
            input_names=["input_ids", "attention_mask"],
            output_names=list(outputs),
            dynamic_shapes=(dims, dims),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None, "the dynamo exporter returns a program"
    # The exporter names values after torch functions, here torch.embedding, even where an output has that name.
    for value in (value for node in program.model.graph for value in node.outputs):
        if value.name in outputs and not value.is_graph_output():
            value.name = f"inner_{value.name}"
    model = program.model_proto
    graph = model.graph
    # Remove source paths and stack traces of this machine, so that equal models give equal bytes.
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    del graph.value_info[:]
    return model


class _Positional(nn.Module):
    def __init__(self, model: IntentModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        _, embedding, logits = self.model.read(input_ids, attention_mask)
        return logits, embedding
