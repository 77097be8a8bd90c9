"""Asks about many texts in batches: the results of all, as if they came from one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from itertools import chain
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..model import Answers, BoolArray
from ..progress import SILENT, Progress, Reporter
from .calibration import Scores

SIZE = 1024
"""Texts per call, where a model does not say otherwise."""
FoundT = TypeVar("FoundT", Answers, Scores)


def ask(
    call: Callable[[Sequence[str]], FoundT],
    texts: Sequence[str],
    reporter: Reporter = SILENT,
    *,
    size: int | None = None,
    what: str = "classifying",
    unit: str = "texts",
) -> FoundT:
    """The results of ``call`` for all ``texts``, in order; ``what`` and ``unit`` are shown as progress."""
    size, parts = size or SIZE, []
    for start in range(0, max(len(texts), 1), size):
        parts.append(call(texts[start : start + size]))
        reporter.emit(Progress(what, min(start + size, len(texts)), len(texts), unit))
    return joined(parts)


def joined(parts: Sequence[FoundT]) -> FoundT:
    """The results of several calls, one after the other; what the first does not have is left out."""

    def whole(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        if values[0] is None:
            return None
        return tuple(chain.from_iterable(values)) if isinstance(values[0], tuple) else np.concatenate(values)

    return replace(parts[0], **{field.name: whole(field.name) for field in fields(parts[0])})


def rows_of(found: FoundT, rows: NDArray[np.intp]) -> FoundT:
    """The results for some texts, in the order of ``rows``."""

    def some(values: Any) -> Any:
        if isinstance(values, tuple):
            return tuple(values[row] for row in rows.tolist()) if values else values
        return None if values is None else values[rows]

    return replace(found, **{field.name: some(getattr(found, field.name)) for field in fields(found)})


def without_reply(answers: Answers) -> BoolArray:
    """``(n,) bool``: whether a service gave no usable reply to the text, so that nothing at all is probable."""
    none: BoolArray = (answers.in_scope == 0) & ~answers.probabilities.any(axis=1)
    return none
