"""The forms in which an encoder is exported, from the fastest and smallest to the most exact (docs/decisions/0023)."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ...model import FloatArray
from ...progress import Progress
from ...runtime.onnx import TOKENIZER_FILE, ReadingFacts
from ...runtime.spelling import Words
from ...runtime.tokens import TextReader
from ..run import Run
from .quantize import Plan, quantize, sizes
from .sensitivity import Feed, centre, errors, feeds, largest_inputs, mean_logits, most_sensitive

# Training texts that show how quantisation changes activations and logits, and those on which each product is tried.
_EXAMPLES, _TRIED = 256, 64


@dataclass(frozen=True)
class Rung:
    """A form of the exported model.

    Attributes:
        name: its name in a recipe.
        kept: share of the products' weights that stay float, stored as float16: those that int8 would change most.
        activations: whether activations become int8 too, or only weights.
        tables: whether embedding tables become int8; otherwise they are stored as float16.
    """

    name: str
    kept: float = 0.0
    activations: bool = True
    tables: bool = True

    def __str__(self) -> str:
        if 0 < self.kept < 1:
            return f"{self.name}, {100 * self.kept:g}% of the weights in float"
        return "fp32" if self.name == "none" else self.name


LADDER = (
    Rung("int8"),
    Rung("mixed", 1 / 8),
    Rung("mixed", 1 / 4),
    Rung("mixed", 1 / 2),
    Rung("weights", 1 / 2, activations=False),
    Rung("float16", 1, tables=False),
    Rung("none"),
)


class Forms:
    """Makes the forms of ``plain``, the fp32 graph. What only some of them need is measured when one needs it.

    Args:
        run: the training run, whose training texts serve as examples and whose stage holds the tokenizer.
        facts: how the model reads texts.
    """

    def __init__(self, plain: onnx.ModelProto, run: Run[Any], facts: ReadingFacts) -> None:
        self._plain, self._run, self._facts = plain, run, facts

    def at(self, rung: Rung) -> onnx.ModelProto:
        """The model in the form ``rung``."""
        model = copy.deepcopy(self._plain)
        if rung.name == "none":
            return model
        largest = self._largest if rung.kept < 1 else {}
        quantize(model, Plan(self._kept(rung.kept), rung.activations, rung.tables, largest))
        centre(model, self._mean, self._examples)
        return model

    def _kept(self, share: float) -> frozenset[int]:
        each = sizes(self._plain)
        if share in (0, 1):
            return frozenset(range(len(each)) if share else ())
        return most_sensitive(self._errors, each, share)

    @cached_property
    def _ids(self) -> list[list[int]]:
        """Some training texts as token ids."""
        texts, stage, facts = self._run.train.texts, self._run.stage, self._facts
        tokenizer = Tokenizer.from_file(str(stage / TOKENIZER_FILE))
        order = np.random.default_rng(self._run.recipe.seed).permutation(len(texts))[:_EXAMPLES]
        read = TextReader(tokenizer, facts.limit, Words.load(stage), facts.truncate)
        return read([texts[int(row)] for row in order]).ids

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
