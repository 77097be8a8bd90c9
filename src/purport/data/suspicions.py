"""Signs that a table was not read as its author meant it: markup in texts, lists written as text, a wrong column."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from contextlib import suppress
from itertools import product

from ..wording import count
from .formats.columns import is_header
from .names import means_none, twins
from .reading import Example, Reading

_MARKUP = re.compile(r"\[[^\[\]]+\](?:\([^()]+\)|\{[^{}]*\})")
_LIST = re.compile(r"""[\[({]\s*(?:'.*'|".*"|)\s*,?\s*[\])}]""")
DELIMITERS = ";,|/&+"
"""What stands between the labels of a row in tables that people make."""
_ENCODINGS = ("cp1252", "latin-1", "cp1250", "cp1251", "cp1254", "cp1253", "gb18030", "shift_jis", "euc_kr")
_FEW_PER_LABEL = 2


def suspicions(examples: Sequence[Example], reading: Reading, *, unlabelled_is_chosen: bool = False) -> Iterator[str]:
    """A sentence for each sign, with what to do; ``examples`` are the rows of one split."""
    labels = Counter(label for example in examples for label in example.labels)
    yield from _texts(examples)
    yield from _label_names(labels, reading)
    unlabelled = sum(not example.labels for example in examples)
    if len(labels) == 1 and not unlabelled:
        yield (
            f'every row has the label "{next(iter(labels))}", so that there is nothing to tell apart; if each label '
            "has a file of its own, put them into one table with a label column"
        )
    elif len(examples) >= 10 and len(labels) * _FEW_PER_LABEL > len(examples):
        yield (
            f"{count(len(labels), 'label')} in {count(len(examples), 'row')}: most labels have a single row; check "
            "that --label-column names the column of the labels"
        )
    lengths = [len(example.text) for example in examples], [len(label) for label in labels.elements()]
    if lengths[1] and len({example.text for example in examples}) < len(labels) and sum(lengths[0]) < sum(lengths[1]):
        yield "the labels are longer and more varied than the texts: the two columns may be swapped"
    if unlabelled and not reading.out_of_scope and not unlabelled_is_chosen:
        yield (
            f"{count(unlabelled, 'row')} have no label. They are read as out of scope; if they are not, label them or "
            "leave them out (--unlabelled skip)"
        )


def _texts(examples: Sequence[Example]) -> Iterator[str]:
    headers = [example for example in examples if is_header(example.text, example.labels)]
    if headers:
        yield (
            f"row {headers[0].row} ({headers[0].text}, {headers[0].labels[0]}) looks like a header inside the table; "
            "delete it, or pass --header if it is the first row"
        )
    marked = [example for example in examples if _MARKUP.search(example.text)]
    if len(marked) >= max(2, 0.01 * len(examples)):
        shown = _MARKUP.search(marked[0].text)
        yield (
            f"{count(len(marked), 'text')} have markup of entities, such as {shown[0] if shown else ''}, which "
            "customers do not type; read the Rasa file itself (nlu.yml), or remove the markup"
        )


def _label_names(labels: Counter[str], reading: Reading) -> Iterator[str]:
    listed = [label for label in labels if _LIST.fullmatch(label)]
    if listed:
        yield (
            f'labels such as "{listed[0]}" are lists that were written as text; save the table as JSON Lines or '
            'Parquet, or join the labels of a row with "+"'
        )
    if delimiter := other_delimiter(labels, reading.layout.label_delimiter):
        shown = next(label for label in labels if delimiter in label)
        yield f'labels such as "{shown}" look like several labels: pass --label-delimiter "{delimiter}" if they are'
    if labels and all(label.lstrip("-").isdecimal() for label in labels):
        yield "all labels are numbers; --label-names FILE gives them names"
    for label in labels:
        if means_none(label):
            yield (
                f'"{label}" ({count(labels[label], "row")}) looks like a name for "no label applies": pass '
                f'--out-of-scope "{label}" (data.out_of_scope in a recipe), so that the model does not learn it'
            )
    for label, same in twins(labels).items():
        yield f'"{label}" ({count(labels[label], "row")}) and "{same}" may be one label; purport doctor can merge them'


def advised(examples: Sequence[Example], reading: Reading) -> Iterator[tuple[str, str]]:
    """The options that the :func:`suspicions` recommend, each with its value."""
    labels = Counter(label for example in examples for label in example.labels)
    if delimiter := other_delimiter(labels, reading.layout.label_delimiter):
        yield "--label-delimiter", delimiter
    yield from (("--out-of-scope", label) for label in labels if means_none(label))


def other_delimiter(labels: Counter[str], used: str) -> str | None:
    """What stands between names that are labels on their own as well, or that occur in several combinations."""
    for delimiter in DELIMITERS:
        joined = [label for label in labels if delimiter in label.strip(delimiter)] if delimiter != used else []
        parts = Counter(part.strip() for label in joined for part in label.split(delimiter))
        if joined and sum(part in labels or number > 1 for part, number in parts.items()) > len(parts) / 2:
            return delimiter
    return None


def are_joined(cell: str, delimiter: str, known: Container[str]) -> bool:
    """Whether ``cell`` is no label that is ``known``, and ``delimiter`` splits it into at least two that are."""
    parts = [part.strip() for part in cell.split(delimiter)]
    return len(parts) > 1 and cell.strip() not in known and all(part in known for part in parts)


def joined_by(label: str, known: Container[str]) -> str | None:
    """What stands between several ``known`` labels in ``label``, if it is made of such."""
    return next((each for each in DELIMITERS if are_joined(label, each, known)), None)


def garbled(label: str, known: Container[str]) -> str | None:
    """The ``known`` label that ``label`` is if its table was read in a wrong encoding."""
    if label.isascii():
        return None
    for read_as, written_as in product(_ENCODINGS, ("utf-8", *_ENCODINGS)):
        with suppress(UnicodeError):
            right = label.encode(read_as).decode(written_as)
            if right != label and right in known:
                return right
    return None
