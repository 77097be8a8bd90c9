"""The file layouts of data publishers. Each source converts raw files to (text, labels joined by ``+``)."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

_Pairs = Iterable[tuple[str, str]]


def convert(source: str, raw: list[Path], part: str) -> _Pairs:
    """The rows of ``raw``, with runs of white space replaced by one space. ``part`` names the split within a file."""
    return [(" ".join(text.split()), labels) for text, labels in SOURCES[source](raw, part)]


def _tsv(raw: list[Path], part: str) -> Iterator[tuple[str, str]]:
    for line in raw[0].read_text("utf-8").splitlines():
        text, label = line.split("\t")
        yield text, label.strip()


def _seq_in(raw: list[Path], part: str) -> Iterator[tuple[str, str]]:
    """Two files, one with texts and one with labels, line by line; several labels are joined by ``#``."""
    texts, labels = (file.read_text("utf-8").splitlines() for file in raw)
    for text, label in zip(texts, labels, strict=True):
        yield text, label.strip().replace("#", "+")


def _csv(raw: list[Path], part: str) -> Iterator[tuple[str, str]]:
    with raw[0].open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            yield row["text"], row["category"]


def _clinc(raw: list[Path], part: str) -> Iterator[tuple[str, str]]:
    """One JSON object with a list of [text, label] per split."""
    yield from json.loads(raw[0].read_text("utf-8"))[part]


def _nlupp(raw: list[Path], part: str) -> Iterator[tuple[str, str]]:
    """A JSON list of objects; those without an intent are skipped."""
    for item in json.loads(raw[0].read_text("utf-8")):
        if item.get("intents"):
            yield item["text"], "+".join(item["intents"])


SOURCES: dict[str, Callable[[list[Path], str], Iterator[tuple[str, str]]]] = {
    "tsv": _tsv,
    "seq_in": _seq_in,
    "csv": _csv,
    "clinc": _clinc,
    "nlupp": _nlupp,
}
