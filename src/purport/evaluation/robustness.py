"""What it costs when people write otherwise than the rows of a split: typing errors, capitals, politeness, e-mails.

A perturbation depends on the text and a seed alone, so that every bundle sees the same perturbed texts and the order of
the rows does not matter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..classifier import Classifier
from ..data.dataset import Split
from ..data.noise import typos, without_punctuation
from ..data.reading import Example
from ..frozen import Frozen
from ..labels import Task
from ..progress import SILENT, Reporter
from ..wording import count
from .evaluate import answer
from .outcome import Outcome, Values, ratio
from .resampling import Estimate, bootstrapped, estimate

MOST_ROWS = 1000
"""Rows that are perturbed at most: with more, a measurement takes minutes and its interval hardly narrows."""
CLEAN = "clean"

_GREETINGS = ("Hi,", "Hello,", "Hey there,", "Good morning,", "Dear team,", "Hello, hope you are well.")
_THANKS = ("Thanks!", "Thank you.", "Thanks in advance.", "Many thanks!", "Thank you very much for your help.")
_OPENINGS = (
    "I hope this message finds you well. It has been a while since I last wrote to you, so please forgive me if this "
    "is not the right address.",
    "I hope you had a good start into the week. I am sure that you have a lot to do, so I will keep this short.",
    "First of all, I would like to say that I have always been pleased with the way you look after people. I am "
    "writing today because of the following.",
)
_CLOSINGS = (
    "I look forward to hearing from you when you have a moment. There is no need to hurry, but I would be glad to know "
    "more by the end of the week.",
    "If anything is unclear, just write back, I read my mail several times a day. Many thanks for your time.",
    "Please let me know what you think. I am sorry for the many words, and wish you a pleasant day.",
)
_FOOTER = (
    "Kind regards,\nAlex Morgan\n\nThis e-mail and anything in it is meant only for the person it is addressed to. If "
    "it has reached you by mistake, please tell the sender and do not pass it on."
)


@dataclass(frozen=True, slots=True)
class Perturbation:
    """A way to write the same otherwise: ``change`` makes the perturbed text of a text and a random generator."""

    name: str
    title: str
    change: Callable[[str, np.random.Generator], str]

    def of(self, text: str, seed: int = 0) -> str:
        """``text`` perturbed: always the same for the same ``text`` and ``seed``."""
        return self.change(text, np.random.default_rng([seed, _hash(text)]))


def _greeted(text: str, rng: np.random.Generator) -> str:
    return f"{_one(_GREETINGS, rng)} {text}"


def _thanked(text: str, rng: np.random.Generator) -> str:
    return f"{text} {_one(_THANKS, rng)}"


def _mailed(text: str, rng: np.random.Generator) -> str:
    return f"Dear team,\n\n{_one(_OPENINGS, rng)}\n\n{text}\n\n{_one(_CLOSINGS, rng)}\n\n{_FOOTER}"


def _one(phrases: Sequence[str], rng: np.random.Generator) -> str:
    return phrases[int(rng.integers(len(phrases)))]


PERTURBATIONS = {
    each.name: each
    for each in (
        Perturbation("typo_1", "one typo", lambda text, rng: typos(text, 1, rng)),
        Perturbation("typo_3", "three typos", lambda text, rng: typos(text, 3, rng)),
        Perturbation("upper_case", "all capitals", lambda text, rng: text.upper()),
        Perturbation("no_punctuation", "no punctuation", lambda text, rng: without_punctuation(text)),
        Perturbation("greeting", "greeting before (English)", _greeted),
        Perturbation("politeness", "thanks after (English)", _thanked),
        Perturbation("email", "long e-mail (English)", _mailed),
    )
}
"""By name, in the order they are shown. ``typo_3`` has the error of ``typo_1`` and two more."""


class Perturbed(Frozen):
    """The answers to the texts of one perturbation; ``clean`` is the name of the unchanged texts.

    ``touched`` counts texts that the perturbation changes at all. ``changed`` is the share of rows with other decided
    labels than for the clean text, ``difference`` what is added to ``exact_match`` by the perturbation, paired.
    """

    name: str
    title: str
    touched: int
    exact_match: Estimate
    f1_micro: Estimate
    changed: Estimate
    difference: Estimate


class Robustness(Frozen):
    """Metrics on perturbed texts, with 95 % intervals over the ``n`` rows that were drawn from ``rows``."""

    n: int
    rows: int
    task: Task
    resamples: int
    seed: int
    results: tuple[Perturbed, ...]


def measure_robustness(
    classifier: Classifier,
    split: Split,
    *,
    most: int = MOST_ROWS,
    resamples: int = 1000,
    seed: int = 0,
    reporter: Reporter = SILENT,
) -> Robustness:
    """Ask ``classifier`` every perturbation of at most ``most`` rows of ``split``.

    Intervals are percentiles over bootstrap samples of the rows, the same rows for every perturbation.

    Raises:
        DataError: the split has no rows, or cannot be read.
        ValueError: ``resamples`` is less than 1.
    """
    examples = list(split)
    chosen = [examples[row] for row in sampled(examples, most, seed)]
    splits = {name: perturbed(chosen, name, seed) for name in (CLEAN, *PERTURBATIONS)}
    outcomes = [answer(classifier, rows, reporter, doing(name)).outcome for name, rows in splits.items()]
    point, spread = bootstrapped(_measure_of(outcomes), len(chosen), resamples, seed)
    results = [
        Perturbed(
            name=name,
            title=title_of(name),
            touched=sum(map(str.__ne__, rows.texts, splits[CLEAN].texts)),
            **{
                metric: estimate(values[0, at], spread[metric][:, at], len(chosen) if metric == "exact_match" else 0)
                for metric, values in point.items()
            },
        )
        for at, (name, rows) in enumerate(splits.items())
    ]
    return Robustness(n=len(chosen), rows=len(examples), task=classifier.task, resamples=resamples, seed=seed,
                      results=tuple(results))  # fmt: skip


def _measure_of(outcomes: Sequence[Outcome]) -> Callable[[Values], dict[str, Values]]:
    """Metrics of ``outcomes`` on the same rows, the clean ones first: each ``(n_resamples, n_outcomes)``."""

    def columns(of: Callable[[Outcome], NDArray[Any]]) -> Values:
        return np.stack([of(outcome) for outcome in outcomes], axis=1).astype(np.float64)  # (n, n_outcomes)

    right = columns(lambda outcome: (outcome.gold == outcome.decided).all(axis=1))
    changed = columns(lambda outcome: (outcome.decided != outcomes[0].decided).any(axis=1))
    hits = columns(lambda outcome: (outcome.gold & outcome.decided).sum(axis=1))
    cases = columns(lambda outcome: outcome.gold.sum(axis=1) + outcome.decided.sum(axis=1))

    def measured(weights: Values) -> dict[str, Values]:
        total = weights.sum(axis=1, keepdims=True)
        exact = weights @ right / total
        return {
            "exact_match": exact,
            "f1_micro": ratio(2 * (weights @ hits), weights @ cases),
            "changed": weights @ changed / total,
            "difference": exact - exact[:, :1],
        }

    return measured


def perturbed(examples: Sequence[Example], name: str, seed: int = 0) -> Split:
    """``examples`` with the perturbation ``name`` of their texts; ``clean`` changes nothing."""
    rows = [each if name == CLEAN else replace(each, text=PERTURBATIONS[name].of(each.text, seed)) for each in examples]
    return Split(name, rows.__iter__)


def doing(name: str) -> str:
    """What is shown while the texts of the perturbation ``name`` are classified."""
    return f"classifying, {title_of(name)}"


def title_of(name: str) -> str:
    """What the perturbation ``name`` is called in tables."""
    return "unchanged" if name == CLEAN else PERTURBATIONS[name].title


def drawn(n: int, rows: int) -> str:
    """``200 rows``, or ``1,000 of 3,080 rows, drawn by a hash of the text``."""
    return count(n, "row") if n == rows else f"{n:,} of {rows:,} rows, drawn by a hash of the text"


def sampled(examples: Sequence[Example], most: int = MOST_ROWS, seed: int = 0) -> list[int]:
    """The places of at most ``most`` of ``examples``, drawn by a hash of text and labels and not by their order."""
    if len(examples) <= most:
        return list(range(len(examples)))
    drawn = [_hash("\x1f".join((str(seed), each.text, *each.labels))) for each in examples]
    return sorted(sorted(range(len(examples)), key=drawn.__getitem__)[:most])


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
