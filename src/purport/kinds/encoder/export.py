"""Exports the trained torch model to ``model.onnx`` and ``tokenizer.json``."""

from __future__ import annotations

import contextlib
import copy
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import nn

from ...model import FloatArray
from ...progress import Progress
from ...runtime.onnx import MODEL_FILE, TOKENIZER_FILE, OnnxScorer, ReadingFacts
from ...runtime.spelling import Words
from ...runtime.tokens import TextReader
from ..checks import Agreement, Independence
from ..run import Fitted, Run
from .adapters import merged
from .fuse import fuse
from .network import IntentModel
from .quantize import Plan, quantize, sizes
from .recipe import EncoderModel, Export
from .sensitivity import Feed, centre, errors, feeds, largest_inputs, mean_logits, most_sensitive

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


@dataclass(frozen=True)
class Rung:
    """A form of the exported model.

    ``kept``: the share of the products' weights that stay float, those that int8 would change most.
    """

    name: str
    kept: float = 0.0
    activations: bool = True
    tables: bool = True

    def __str__(self) -> str:
        if self.name == "none":
            return "fp32"
        return f"{self.name}, {self.kept:.3g} of the weights in float" if 0 < self.kept < 1 else self.name


LADDER = (
    Rung("int8"),
    Rung("mixed", 1 / 8),
    Rung("mixed", 1 / 4),
    Rung("mixed", 1 / 2),
    Rung("weights", 1 / 2, activations=False),
    Rung("float16", 1, tables=False),
    Rung("none"),
)
"""From the fastest and smallest form to the most exact one (docs/decisions/0023)."""

# Training texts that show how quantisation changes activations and logits, and those on which each product is tried.
_EXAMPLES, _TRIED = 256, 64


def deployed(model: IntentModel, tokenizer: Any, run: Run[Any], facts: EncoderFacts, reference: FloatArray) -> Fitted:
    """Write the deployed form of ``model`` to ``run.stage``; its logits are ``reference (n_valid, n_labels)``.

    With ``quantize="auto"`` the fallbacks are the next forms of the :data:`LADDER`.
    """
    tokenizer.backend_tokenizer.save(str(run.stage / TOKENIZER_FILE))
    chosen = facts.quantize
    rungs = [rung for rung in LADDER if chosen in ("auto", rung.name)]
    if chosen == "none":
        remedy = "please report this with the recipe"
    else:
        remedy = "set export.quantize=auto, which takes the first form that passes"
    graphs = _Graphs(model, run, facts)

    def written(position: int, because: str | None) -> Fitted:
        rung = rungs[position]
        run.say(f"exporting to ONNX ({rung})" + (f", because {because}" if because else ""))
        onnx.save(graphs.of(rung), run.stage / MODEL_FILE)
        scorer = OnnxScorer.load(run.stage, len(run.labels), facts)
        known = facts.model_copy(update={"quantize": rung.name, "because": because})
        fallback = None
        if position + 1 < len(rungs):
            fallback = lambda reason: written(position + 1, f"{rung}: {reason}")  # noqa: E731
        return Fitted(scorer, known, (Agreement(reference, remedy), Independence(remedy)), fallback)

    return written(0, None)


class _Graphs:
    """Makes the forms of a model, which is traced once; what only some forms need is computed when one needs it."""

    def __init__(self, model: IntentModel, run: Run[Any], facts: EncoderFacts) -> None:
        self._model, self._run, self._facts = model, run, facts

    def of(self, rung: Rung) -> onnx.ModelProto:
        """The model in the form ``rung``."""
        graph = copy.deepcopy(self._plain)
        if rung.name == "none":
            return graph
        largest = self._largest if rung.kept < 1 else {}
        quantize(graph, Plan(self._kept(rung.kept), rung.activations, rung.tables, largest))
        centre(graph, self._mean, self._examples)
        return graph

    def _kept(self, share: float) -> frozenset[int]:
        each = sizes(self._plain)
        if share in (0, 1):
            return frozenset(range(len(each)) if share else ())
        return most_sensitive(self._errors, each, share)

    @cached_property
    def _plain(self) -> onnx.ModelProto:
        plain = to_onnx(self._model)
        fuse(plain)
        return plain

    @cached_property
    def _ids(self) -> list[list[int]]:
        """Some training texts as token ids."""
        texts, stage, facts = self._run.train.texts, self._run.stage, self._facts
        reader = TextReader(
            Tokenizer.from_file(str(stage / TOKENIZER_FILE)), facts.limit, Words.load(stage), facts.truncate
        )
        order = np.random.default_rng(self._run.recipe.seed).permutation(len(texts))[:_EXAMPLES]
        return reader([texts[int(row)] for row in order]).ids

    @cached_property
    def _examples(self) -> list[Feed]:
        return list(feeds(self._ids))

    @cached_property
    def _largest(self) -> dict[int, FloatArray]:
        return largest_inputs(self._plain, self._examples)

    @cached_property
    def _mean(self) -> FloatArray:
        return mean_logits(self._plain, self._examples)

    @cached_property
    def _errors(self) -> NDArray[np.float64]:
        self._run.reporter.emit(Progress("measuring which products int8 changes most"))
        return errors(self._plain, self._largest, list(feeds(self._ids[:_TRIED])))


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
