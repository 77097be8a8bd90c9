"""What a server answered, as objects. Another form raises ``KeyError``, ``TypeError``, ``ValueError`` or the like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from .errors import ServerError
from .explaining.explanation import Edit, Examples, Explanation, Signal, Value, Word
from .prediction import Prediction, Reason, ScoredLabel, SimilarExample


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model on a server: its name, the ids of its bundle and of the previous one, and its labels."""

    name: str
    bundle: str
    previous: str | None
    labels: tuple[str, ...]


def ranked_of(answer: dict[str, Any]) -> tuple[ScoredLabel, ...]:
    """The intents of ``POST /intent``."""
    return _ranked(answer["intents"])


def models(answer: dict[str, Any]) -> list[ServedModel]:
    """The models of ``GET /v1/models``."""
    return [model(each) for each in answer["models"]]


def _ranked(intents: Sequence[dict[str, Any]]) -> tuple[ScoredLabel, ...]:
    """Labels with their confidence."""
    return tuple(ScoredLabel(_text(each["label"]), float(each["confidence"])) for each in intents)


def predictions(answer: dict[str, Any], texts: int) -> list[Prediction | ServerError]:
    """The results of ``POST /v1/classify`` to so many ``texts``."""
    found = [_prediction(each, _text(answer["bundle"])) for each in answer["results"]]
    if len(found) != texts:
        raise ValueError(f"{len(found)} results for {texts} texts")
    return found


def _prediction(result: dict[str, Any], bundle: str) -> Prediction | ServerError:
    if "error" in result:
        return ServerError(200, _text(result["error"]["label"]), _text(result["error"]["message"]))
    labels, ranked, none = tuple(map(_text, result["labels"])), _ranked(result["intents"]), bool(result["out_of_scope"])
    inside, reason = float(result["in_scope"]), result["reason"] and _text(result["reason"])
    return Prediction(labels, ranked, none, bool(result["truncated"]), bundle, inside, cast(Reason | None, reason))


def model(answer: dict[str, Any]) -> ServedModel:
    """A model."""
    name, bundle, previous = _text(answer["name"]), _text(answer["bundle"]), answer["previous"]
    previous = None if previous is None else _text(previous)
    return ServedModel(name, bundle, previous, tuple(map(_text, answer["labels"])))


def explanation(answer: dict[str, Any]) -> Explanation:
    """The answer of ``POST /v1/explain``."""
    edit, near, reason = answer["edit"], answer["examples"], answer["reason"]
    against = near["against_label"]
    return Explanation(
        text=_text(answer["text"]),
        label=_text(answer["label"]),
        confidence=float(answer["confidence"]),
        labels=tuple(map(_text, answer["labels"])),
        in_scope=float(answer["in_scope"]),
        reason=cast(Reason | None, reason and _text(reason)),
        method=_text(answer["method"]),
        value=cast(Value, _text(answer["value"])),
        full=float(answer["full"]),
        base=_number(answer["base"]),
        gap=_number(answer["gap"]),
        words=tuple(_word(each) for each in answer["words"]),
        calls=int(answer["calls"]),
        examples=Examples(_examples(near["for"]), _examples(near["against"]), against and _text(against)),
        edit=None if edit is None else _edit(edit),
        scope=tuple(
            Signal(_text(each["name"]), float(each["weight"]), _text(each["says"])) for each in answer["scope"]
        ),
        unfamiliar=tuple(map(_text, answer["unfamiliar"])),
        note=_text(answer["note"]),
    )


def _word(found: dict[str, Any]) -> Word:
    place = _text(found["text"]), int(found["start"]), int(found["end"])
    return Word(*place, float(found["weight"]), _number(found["error"]))


def _edit(found: dict[str, Any]) -> Edit:
    removed = tuple((int(each["start"]), int(each["end"])) for each in found["removed"])
    return Edit(_text(found["text"]), removed, tuple(map(_text, found["labels"])))


def _examples(found: Sequence[dict[str, Any]]) -> tuple[SimilarExample, ...]:
    return tuple(
        SimilarExample(
            tuple(map(_text, each["labels"])), float(each["similarity"]), each.get("row"), each.get("text"),
            bool(each.get("taught")),
        )
        for each in found
    )  # fmt: skip


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value
