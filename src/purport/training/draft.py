"""Writes a recipe that fits a dataset: task, columns, shares, kind and epochs, each with its reason."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from ..data.dataset import Dataset
from ..data.survey import Survey
from ..data.suspicions import other_delimiter
from ..errors import DataError, SplitUnknown
from ..wording import count
from .choice import Choice
from .draft_llm import language_model, notes

_VALID, _TEST = ("valid", "validation", "dev", "val"), ("test", "eval", "holdout")
_SMALL, _TINY = 1000, 50  # rows
_SHARE = 0.2
_PASSES = (12_000, 150_000)  # texts that training passes: about 25 seconds and 6 minutes on one core
_EPOCHS = (3, 10, 20)  # the fewest, what is enough where rows are many, the most
_ENGLISH = 0.99  # share of letters without accents, below which the packaged encoder cannot tell words apart
_LENGTHS = (64, 128, 256)
_TOKENS_PER_WORD = 1.6


@dataclass(frozen=True)
class Draft:
    """A recipe for a dataset, with ``notes`` about what else could stand in it."""

    choices: tuple[Choice, ...]
    notes: tuple[str, ...] = ()

    @property
    def raw(self) -> dict[str, Any]:
        """The recipe as nested tables."""
        tables: dict[str, Any] = {}
        for choice in self.choices:
            table = tables.setdefault(choice.section, {}) if choice.section else tables
            table[choice.key] = choice.value
        return tables

    @property
    def toml(self) -> str:
        """The recipe as a TOML document with the reasons as comments."""
        lines: list[str] = []
        section = ""
        for choice in self.choices:
            if choice.section != section:
                section = choice.section
                lines += ["", f"[{section}]"]
            comment = f"  # {choice.why}" if choice.why else ""
            # JSON strings, numbers and lists of these are TOML too.
            lines.append(f"{choice.key} = {json.dumps(choice.value, ensure_ascii=False)}{comment}")
        if self.notes:
            lines += ["", *(f"# {note}".rstrip() for note in self.notes)]
        return "\n".join(lines) + "\n"


def draft(survey: Survey, *, kind: str | None = None, delimiter_is_chosen: bool = False) -> Draft:
    """A recipe for the data of ``survey`` that can be trained as it is.

    Labels that look like several joined ones are an error, unless somebody has chosen the delimiter.

    Raises:
        DataError: the data has rows that cannot be used, no labels, or no split to train on.
    """
    if survey.problems:
        raise DataError("\n".join(survey.problems))
    dataset = survey.dataset
    labels = Counter(label for split in dataset.splits.values() for label in split.label_counts.elements())
    delimiter = other_delimiter(labels, survey.spec.label_delimiter)
    if delimiter and not delimiter_is_chosen:
        shown = next(label for label in labels if delimiter in label)
        raise DataError(
            f'labels such as "{shown}" look like several labels: pass --label-delimiter "{delimiter}" if they are, or '
            f'--label-delimiter "{survey.spec.label_delimiter}" if they are not'
        )
    if "train" not in dataset.splits:
        raise SplitUnknown(
            f'{dataset.name} has no split "train", only {", ".join(dataset.splits)}; rename the file to train on to '
            "train.csv, or name its split with data.train in a recipe"
        )
    rows = len(dataset["train"])
    why = _unread(dataset) if kind == "encoder" else ""
    chosen = kind_for(dataset) if kind is None else Choice("", "kind", kind, why)
    task = Choice("", "task", str(survey.task), survey.why)
    data = _data(survey, rows)
    common = (chosen, task, Choice("", "seed", 0), *data)
    if chosen.value == "llm":
        return Draft((*common, *language_model(dataset, _asked(dataset, data))), notes=notes(dataset))
    return Draft((*common, *_fit(dataset, rows, chosen.value)))


def kind_for(dataset: Dataset) -> Choice:
    """``encoder`` where it can be trained and reads the language, otherwise ``linear``."""
    if why := _unread(dataset):
        return Choice("", "kind", "linear", why)
    if not all(map(find_spec, ("torch", "transformers", "peft"))):
        return Choice("", "kind", "linear", "the packages for kind encoder are not installed")
    return Choice("", "kind", "encoder", "a small pretrained encoder, which knows words that the table does not have")


def _unread(dataset: Dataset) -> str:
    """Why the packaged encoder does not read the texts; empty if it does."""
    letters = [letter for text in dataset["train"].texts for letter in text if letter.isalpha()]
    if sum(map(str.isascii, letters)) >= _ENGLISH * len(letters):
        return ""
    return "the packaged encoder reads English only; a multilingual one can be named with model.name"


def _data(survey: Survey, rows: int) -> list[Choice]:
    given: Mapping[str, Any] = survey.spec.model_dump(exclude_defaults=True, mode="json")
    found = [Choice("data", "name", survey.spec.name)]
    splits = list(survey.dataset.splits)
    for name, known, least in (("valid", _VALID, 0), ("test", _TEST, _TINY)):
        split = next((each for each in known if each in splits), None)
        if name in given:
            found.append(Choice("data", name, given[name]))
        elif split:
            found.append(Choice("data", name, split))
        elif rows >= least:
            share = _SHARE if rows < _SMALL or name == "test" else _SHARE / 2
            found.append(Choice("data", name, share, "share of the rows; near-duplicates stay on one side"))
    for key, value in given.items():
        if key not in ("name", "valid", "test", "train", "unlabelled"):
            found.append(Choice("data", key, value))
    none = sum(not example.labels for split in survey.dataset.splits.values() for example in split)
    if none:
        how = given.get("unlabelled", "out_of_scope")
        others = "like those with the labels above" if given.get("out_of_scope") else f"{none:,} of them"
        found.append(Choice("data", "unlabelled", how, f"rows without a label, {others}"))
    return found


def _asked(dataset: Dataset, data: Sequence[Choice]) -> int:
    """The rows of validation and test."""
    chosen = [each.value for each in data if each.key in ("valid", "test")]
    return sum(len(dataset[each]) if isinstance(each, str) else round(each * len(dataset["train"])) for each in chosen)


def _fit(dataset: Dataset, rows: int, kind: str) -> list[Choice]:
    if kind != "encoder":
        return []
    fewest, enough, most = _EPOCHS
    least, largest = (math.ceil(passes / max(rows, 1)) for passes in _PASSES)
    epochs = min(most, max(fewest, least, min(enough, largest)))
    words = sorted(len(text.split()) for text in dataset["train"].texts)
    tokens = words[int(0.99 * (len(words) - 1))] * _TOKENS_PER_WORD + 2
    length = next((each for each in _LENGTHS if each >= tokens), _LENGTHS[-1])
    found = [Choice("fit", "epochs", epochs, f"for {count(rows, 'row')}")]
    if length != _LENGTHS[0]:
        shorter = "99 % of the texts are shorter" if tokens <= length else "longer texts are read by sentences"
        found.append(Choice("model", "max_length", length, f"tokens; {shorter}"))
    return found


def described(made: Draft) -> list[str]:
    """The choices that have a reason, as sentences for people."""
    return [f"{choice.key} = {json.dumps(choice.value)}: {choice.why}" for choice in made.choices if choice.why]
