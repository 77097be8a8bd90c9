"""What stands beside the weights: training examples for and against, and what of a text is unlike anything known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..model import Answers
from ..runtime.calibration import Calibrated
from ..runtime.scope import SIGNALS
from ..runtime.similar import similar_with
from .explanation import Examples, Signal
from .question import Answering

_SAYS: dict[str, tuple[str, str, str]] = {
    "sureness": (
        "the model is sure of a label",
        "the model is a little less sure of a label than is usual in scope: the likeliest are {likeliest}",
        "the model is not sure of any label: the likeliest are {likeliest}",
    ),
    "similarity": (
        "there are training examples of the likeliest label that are like it",
        "the training examples of the likeliest label are a little less like it than is usual in scope",
        "no training example of the likeliest label is like it",
    ),
    "centrality": (
        "it is of the kind of most training examples of the likeliest label",
        "it is a little further than is usual in scope from what most training examples of the likeliest label say",
        "it is far from what most training examples of the likeliest label say",
    ),
    "familiarity": (
        "its words occur in the training texts",
        "a little fewer of its words than is usual in scope occur in the training texts",
        "many of its words do not occur in the training texts",
    ),
}
"""What a signal says that is as good as in typical texts in scope or better, a little worse, or clearly worse."""
_AGAINST = -0.5  # log odds below which a signal is clearly worse than that of texts in scope, which differ by less


def examples(answering: Answering, whole: Answers, label: int, runner_up: int | None, k: int) -> Examples:
    """The ``k`` nearest examples of ``label``, and those of ``runner_up`` without ``label``; none without a memory."""
    model = answering.model
    if not k or not isinstance(model, Calibrated) or model.memory is None or whole.embedding is None:
        return Examples()
    vector, names = whole.embedding[0], answering.labels.names
    favour = similar_with(vector, k, model.memory, model.taught, names, label)
    if runner_up is None:
        return Examples(favour)
    against = similar_with(vector, k, model.memory, model.taught, names, runner_up, without=label)
    return Examples(favour, against, names[runner_up])


def scope(whole: Answers, names: Sequence[str]) -> tuple[Signal, ...]:
    """What each of the signals says, strongest against first; none if ``in_scope`` is not made from signals."""
    if whole.evidence is None or not whole.evident[0]:
        return ()
    probabilities = whole.probabilities[0]
    best = np.argsort(-probabilities, kind="stable")[:2].tolist()
    likeliest = " and ".join(f"{names[each]} ({probabilities[each]:.0%})" for each in best)
    found = [
        Signal(name, value, _says(name, value, likeliest))
        for name, value in zip(SIGNALS, whole.evidence[0].tolist(), strict=True)
    ]
    return tuple(sorted(found, key=lambda signal: signal.weight))


def _says(name: str, weight: float, likeliest: str) -> str:
    fine, worse, against = _SAYS[name]
    return (fine if weight >= 0 else worse if weight >= _AGAINST else against).replace("{likeliest}", likeliest)


def unfamiliar(answering: Answering, words: list[str]) -> tuple[str, ...]:
    """Those of ``words`` that the training texts do not have, as far as the model can tell."""
    model = answering.model
    asked = [word for word in dict.fromkeys(words) if any(map(str.isalpha, word))]
    if not asked or not isinstance(model, Calibrated) or model.traits.remote:
        return ()
    familiar = model.score(asked).familiar
    if familiar is None:
        return ()
    return tuple(asked[at] for at in np.flatnonzero(familiar < np.float32(0.5)).tolist())
