"""The central interface: a model turns texts into answers.

An *opener* loads the model of a bundle: ``open_model(bundle, *, device, threads) -> Model``. Openers are registered in
the entry-point group ``purport.models``; the manifest names the one to use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .progress import Reporter

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of a model to ``n`` texts.

    Attributes:
        probabilities: ``(n, n_labels) float32``, calibrated.
        in_scope: ``(n,) float32``, the probability that some label applies.
        truncated: ``(n,) bool``, whether the text is longer than the model reads.
        embedding: ``(n, width) float32`` of unit length (0 for a text of which the model knows nothing), or ``None`` if
            the model has none.
        answered_by: the id of the bundle that answered each text, if parts of a bundle share the work.
        evidence: ``(n, n_signals) float32``, what each signal of :mod:`purport.runtime.scope` says for (positive) or
            against (negative) ``in_scope``; ``None`` if that is not made from signals. Where parts of a bundle share
            the work, it is a row of zeros for a text of which it is not.
        taught: ``(n,) float32`` from -1 to 1: how much the answer is that of a taught example (see
            :mod:`purport.runtime.taught_vectors`), negative for one without a label; ``None`` if nothing was taught.
        cost: ``(n, 2) float64``, the tokens and US dollars that services took for each text, or had taken for an answer
            from the cache; ``None`` if none is asked.
    """

    probabilities: FloatArray
    in_scope: FloatArray
    truncated: BoolArray
    embedding: FloatArray | None = None
    answered_by: tuple[str, ...] = ()
    evidence: FloatArray | None = None
    taught: FloatArray | None = None
    cost: NDArray[np.float64] | None = None

    @property
    def evident(self) -> BoolArray:
        """``(n,) bool``: whether there is ``evidence`` of the text."""
        if self.evidence is None:
            return np.zeros(len(self.in_scope), dtype=np.bool_)
        found: BoolArray = (self.evidence != 0).any(axis=1)
        return found


@dataclass(frozen=True, slots=True)
class Lengths:
    """The lengths of texts: ``counts (n,) int64`` in ``unit``; the model reads at most ``limit`` of them."""

    unit: str
    limit: int
    counts: Counts


@dataclass(frozen=True, slots=True)
class Traits:
    """What callers must know about a model before they use it.

    Attributes:
        remote: whether answers come over the network.
        deterministic: whether the same text always gets the same answer.
        batch_invariant: whether an answer is independent of the other texts in the call.
        max_batch: largest number of texts per call; ``None`` for any number.
        timeout_s: seconds after which a call is abandoned; ``None`` for never.
    """

    remote: bool = False
    deterministic: bool = True
    batch_invariant: bool = True
    max_batch: int | None = None
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a model has asked of services since it was opened.

    Attributes:
        requests: requests that were made.
        from_cache: answers that needed none, because the same was asked before.
        input_tokens: tokens of the requests, ``cached_tokens`` of which the service had in its cache.
        output_tokens: tokens of the replies.
        seconds: what the service took for all these answers, one after the other, those from the cache included.
        usd: what that cost in US dollars, where prices are known.
        price: what all these answers cost when they were asked for, those from the cache included.
        repaired: replies that were no answer, so that the text was asked again.
        unanswered: texts that got no usable reply; they are out of scope, with a confidence of 0.
    """

    requests: int = 0
    from_cache: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    usd: float = 0.0
    price: float = 0.0
    repaired: int = 0
    unanswered: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: Usage) -> Usage:
        return Usage(*(a - b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __bool__(self) -> bool:
        return self != Usage()

    def described(self) -> str:
        """The numbers in a line."""
        said = [f"requests to services: {self.requests:,} (answers from the cache: {self.from_cache:,})"]
        if self.requests:
            said.append(f"tokens: {self.input_tokens:,} in ({self.cached_tokens:,} of them cached there), "
                        f"{self.output_tokens:,} out")  # fmt: skip
        if self.usd:
            said.append(f"cost: {self.usd:.4f} US dollars")
        if self.repaired:
            said.append(f"replies that were no answer, and asked again: {self.repaired:,}")
        if self.unanswered:
            said.append(f"warning: texts without a usable reply, taken as out of scope: {self.unanswered:,}")
        return "; ".join(said)


@runtime_checkable
class Metered(Protocol):
    """A model that asks services, and knows what that takes."""

    @property
    def usage(self) -> Usage:
        """What it has taken so far."""
        ...


@runtime_checkable
class Batching(Protocol):
    """A model that can ask a service about many texts at once, for less money and with more patience."""

    def prefetch(self, texts: Sequence[str], reporter: Reporter) -> None:
        """Ask about ``texts`` in a batch and wait for it, so that they are then answered without another request.

        Raises:
            ProviderError: the service takes no batches, or fails.
            BudgetSpent: the budget does not allow it.
        """
        ...


@runtime_checkable
class Keeping(Protocol):
    """A model that keeps what a service has answered."""

    def has(self, texts: Sequence[str]) -> BoolArray:
        """``(n,) bool``: whether all that is asked about a text was answered before, so that it costs nothing now."""
        ...


class Model(Protocol):
    """An opened bundle's model. Safe to use from several threads."""

    @property
    def traits(self) -> Traits:
        """What callers must know before they use the model."""
        ...

    def answer(self, texts: Sequence[str]) -> Answers:
        """Answer ``texts``, in order."""
        ...

    def lengths(self, texts: Sequence[str]) -> Lengths:
        """The lengths of ``texts``, in order, and the limit that the model reads."""
        ...
