"""What stands beside the weights: training examples for and against, and what of a text is unlike anything known."""

from __future__ import annotations

import numpy as np

from ..model import Answers
from ..runtime.calibration import Calibrated
from ..runtime.scope import SIGNALS
from ..runtime.similar import similar_with
from .explanation import Examples, Signal
from .question import Answering

_SAYS = {
    "sureness": ("one label stands out", "no label stands out: the model hesitates between several, or doubts all"),
    "similarity": (
        "there are training examples of the likeliest label that are like it",
        "no training example of the likeliest label is like it",
    ),
    "centrality": (
        "it is of the kind of most training examples of the likeliest label",
        "it is far from what most training examples of the likeliest label say",
    ),
    "familiarity": ("its words occur in the training texts", "many of its words do not occur in the training texts"),
}
_AGAINST = -0.5  # log odds from which on a signal counts as one against: texts in scope differ by less


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


def scope(whole: Answers) -> tuple[Signal, ...]:
    """What each of the signals says, strongest against first; none if ``in_scope`` is not made from signals."""
    if whole.evidence is None:
        return ()
    weights = whole.evidence[0].tolist()
    found = [Signal(name, value, _SAYS[name][value < _AGAINST]) for name, value in zip(SIGNALS, weights, strict=True)]
    return tuple(sorted(found, key=lambda signal: signal.weight))


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
