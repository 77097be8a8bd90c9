"""Puts an explanation together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .. import registry
from ..bundle import Bundle
from ..errors import LabelUnknown, MethodUnfit, TextEmpty, TextInvalid, did_you_mean
from ..labels import Task
from ..model import Answers
from ..runtime.clip import MOST_CHARACTERS
from ..wording import count
from .beside import examples as examples_of
from .beside import scope, unfamiliar
from .explainer import Explainer, Weighed
from .explanation import Explanation, Word
from .question import Answered, Answering, Question, Units
from .smallest_edit import smallest_edit

PREFERRED = ("contributions", "occlusion")
"""The first of them that fits a bundle is its default method."""
REMOTE_CALLS = 16
"""Number of texts that a model is asked by default if that costs money."""
_EDIT_PART = 8  # one call in so many is for the edit, or all if the method itself asks nothing
_MOST_EDIT = 16  # texts: in a server they are asked in one piece
LEAST_CALLS, MOST_CALLS = 4, 4096


def explain(
    answering: Answering, text: str, *, label: str | None = None, method: str | None = None, calls: int | None = None,
    examples: int = 2, whole: Answers | None = None, known: Mapping[str, Answered] | None = None,
) -> Explanation:  # fmt: skip
    """See :meth:`purport.classifier.Classifier.explain`."""
    check(text)
    name, explainer = explainer_for(answering.bundle, method)
    most = calls_of(explainer, calls, remote=answering.model.traits.remote)
    units, weighing = planned(explainer, text, most)
    question = Question(answering, units, whole, known)
    at, runner_up = _labels(question, label)
    weighed = explainer(question, at, weighing)
    edit = smallest_edit(question, weighed.weights, at, most - (weighing if question.calls > 1 else 0) - 1)
    whole, names = question.whole, answering.labels.names
    (said,) = answering.predictions(whole, [None], [0])
    words = [text[start:end] for start, end in units.places]
    errors = [None] * len(words) if weighed.errors is None else weighed.errors.tolist()
    return Explanation(
        text=text,
        label=names[at],
        confidence=float(whole.probabilities[0, at]),
        labels=said.labels,
        in_scope=said.in_scope,
        reason=said.reason,
        method=name,
        value=weighed.value,
        full=weighed.full,
        base=weighed.base,
        gap=None if weighed.base is None else weighed.full - weighed.base - float(weighed.weights.sum()),
        words=tuple(map(Word, words, *zip(*units.places, strict=True), weighed.weights.tolist(), errors)),
        calls=question.calls,
        examples=examples_of(answering, whole, at, runner_up, examples),
        edit=edit,
        scope=scope(whole, answering.labels.names),
        unfamiliar=unfamiliar(answering, words) if said.out_of_scope else (),
        note=_note(weighed, question),
    )


def planned(explainer: Explainer, text: str, calls: int) -> tuple[Units, int]:
    """The units of ``text``, and how many of the ``calls`` are for weighing them: one is the text, some the edit."""
    weighing = calls - min(calls // _EDIT_PART, _MOST_EDIT) - 1
    return Units(text, explainer.units(weighing)), weighing


def check(text: str) -> None:
    """Check that ``text`` can be explained.

    Raises:
        TextEmpty, TextInvalid: it is empty, too long, or not valid Unicode.
    """
    if not text.strip():
        raise TextEmpty('"text" is empty.')
    if len(text) > MOST_CHARACTERS:
        raise TextInvalid(f'"text" has {len(text):,} characters; one of at most {MOST_CHARACTERS:,} can be explained.')
    try:
        text.encode()
    except UnicodeEncodeError:
        raise TextInvalid('"text" contains half of a surrogate pair, which is not a valid character.') from None


def explainer_for(bundle: Bundle, method: str | None, *, served: bool = False) -> tuple[str, Explainer]:
    """The name and the explainer of ``method``, or the default for ``bundle``; ``served``: one that a server may use.

    Raises:
        MethodUnfit: there is no such method, or it does not fit.
    """
    if method is None:
        method = next(name for name in PREFERRED if _load(name).unfit(bundle) is None)
    explainer = _load(method)
    if served and not explainer.served:
        raise MethodUnfit(f'a server does not explain by "{method}"; use purport explain --method {method}')
    if reason := explainer.unfit(bundle):
        raise MethodUnfit(f'bundle {bundle.manifest.id} cannot be explained by "{method}": {reason}')
    return method, explainer


def calls_of(explainer: Explainer, calls: int | None, *, remote: bool) -> int:
    """The largest number of texts that ``explainer`` may ask if ``calls`` are wished.

    Raises:
        MethodUnfit: too few or too many.
    """
    if calls is None:
        return min(explainer.calls, REMOTE_CALLS) if remote else explainer.calls
    if not LEAST_CALLS <= calls <= MOST_CALLS:
        raise MethodUnfit(f"calls must be from {LEAST_CALLS} to {MOST_CALLS:,}, not {calls:,}")
    return calls


def _load(name: str) -> Explainer:
    found: Explainer = registry.load("explainers", name, MethodUnfit)
    return found


def _labels(question: Question, label: str | None) -> tuple[int, int | None]:
    """The explained label, and the likeliest of the others, before those that are decided as well."""
    names = question.answering.labels.names
    if label is not None and label not in names:
        raise LabelUnknown(f'the bundle has no label "{label}".{did_you_mean(label, names)}')
    probabilities = question.whole.probabilities[0]
    (decided,) = question.decided(question.units.full[None])
    ranked = sorted(range(len(names)), key=lambda each: (not decided[each], -probabilities[each]))
    at = ranked[0] if label is None else names.index(label)
    others = sorted(range(len(names)), key=lambda each: (bool(decided[each]), -probabilities[each]))
    return at, next((each for each in others if each != at), None)


def _sum(weighed: Weighed, task: Task) -> Iterator[str]:
    """What the sum of the weights has to do with the confidence that is shown beside it."""
    if weighed.base is None:
        return
    if weighed.value == "log_odds":
        yield "That value is the log odds of the confidence, ln(p / (1 - p))."
        return
    of = "this score and those of all other labels" if task is Task.MULTICLASS else "this score"
    yield f"That sum is the score before calibration and no probability; the confidence is calibrated from {of}."


def _note(weighed: Weighed, question: Question) -> str:
    notes = [weighed.note, *_sum(weighed, question.answering.task)]
    if (together := question.units.together) > 1:
        notes.append(
            f"The text is long: up to {count(together, 'word')} are taken together; more calls make smaller groups, "
            "where a server has the time for them."
        )
    if question.whole.truncated[0]:
        notes.append("The model read a part of the text only.")
    taught = question.whole.taught
    if taught is not None and abs(float(taught[0])) > 0:
        notes.append("What the bundle was taught changes this answer.")
    return " ".join(notes)
