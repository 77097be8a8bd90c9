"""The rows to evaluate a bundle on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ..bundle import Bundle
from ..data import catalog, shares
from ..data.dataset import Dataset, Split, require_file
from ..data.formats import Row, read_rows
from ..data.hints import Hints
from ..data.reading import text_problem
from ..data.spec import DataSpec, data_spec
from ..errors import DataError, SplitUnknown, did_you_mean
from ..progress import SILENT, Line, Reporter


def evaluation_split(
    bundle: Bundle,
    split: str,
    data: str | None = None,
    reporter: Reporter = SILENT,
    named: DataSpec | None = None,
) -> tuple[str, Split]:
    """Name of the dataset, and the split to evaluate ``bundle`` on.

    ``split`` is a split of the bundle's own dataset (as divided by its recipe), of dataset ``data``, or a file.
    The rows of a file are named by the file alone: the split's name is empty. Other data than the bundle's own is read
    by the rule of :mod:`purport.data.hints`, and ``reporter`` is told how; ``named`` has what the user named.

    Raises:
        DataError: there is no such split or file.
    """
    hints = Hints.of(bundle)
    reading = hints.reading(named or DataSpec(name=""), lambda said: reporter.emit(Line(said)))
    path = Path(data if data is not None and split == "train" else split)
    if path.is_file() and (data is None or split == "train"):
        rows = catalog.load(path, reading)["train"].named("")
        return path.name, _checked(rows, hints, reporter)
    if data is not None:
        other = catalog.load(data, reading, reporter)
        return other.name, _checked(other[split], hints, reporter)
    spec = data_spec(bundle)
    own = _load(bundle, spec, reporter)
    if split in own.splits:
        return own.name, own[split]
    source = catalog.load(spec.name, reading, reporter)
    if split not in source.splits:
        known = list(dict.fromkeys([*own.splits, *source.splits]))
        raise SplitUnknown(f'{own.name} has no split "{split}", and there is no such file.{did_you_mean(split, known)}')
    return own.name, _checked(source[split], hints, reporter)


def _checked(rows: Split, hints: Hints, reporter: Reporter) -> Split:
    """``rows``, read; ``reporter`` is told of labels that look as if they were read wrongly."""
    held = rows.held()
    for said in hints.warnings(held.label_counts):
        reporter.emit(Line(f"warning: {said}"))
    return held


def texts_of(bundle: Bundle, path: Path, named: DataSpec) -> tuple[list[str], int]:
    """The texts of an unlabelled file, and the number of rows without a usable one.

    It is read by the rule of :mod:`purport.data.hints`; in ``named`` only what the user named is set.

    Raises:
        DataError: there is no such file, or it has no texts.
    """
    require_file(path)
    layout = Hints.of(bundle).reading(named, labels=False).of(path).layout
    texts, bad = [], 0
    for row in read_rows(path, layout):
        if isinstance(row, Row) and isinstance(row.text, str) and text_problem(row.text) is None:
            texts.append(row.text)
        else:
            bad += 1
    if not texts:
        raise DataError(f"{path} has no texts; name a file with messages")
    return texts, bad


def seen_before(bundle: Bundle, rows: Split) -> tuple[int, int]:
    """How many of ``rows`` have a text of the training rows, and how many are calibration rows of ``bundle``."""
    learned = int(shares.learned(bundle.path, rows).sum())
    known = shares.load(bundle.path).get("calibration")
    return learned, 0 if known is None else int(np.isin(shares.fingerprints(rows), known).sum())


def learned_texts(bundle: Bundle, texts: Iterable[str]) -> int:
    """How many of ``texts`` are texts of the training rows of ``bundle``, as far as these are known."""
    return int(np.isin(shares.text_prints(texts), shares.learned_prints(bundle.path)).sum())


def own_data(bundle: Bundle, reporter: Reporter = SILENT) -> Dataset | None:
    """The data that ``bundle`` was trained on, as divided by its recipe; ``None`` if it is no longer available."""
    try:
        return _load(bundle, data_spec(bundle), reporter)
    except DataError:
        return None


def _load(bundle: Bundle, spec: DataSpec, reporter: Reporter) -> Dataset:
    """The data of ``bundle`` with the splits that it was trained on.

    Raises:
        DataError: it is not available, or has changed.
    """
    manifest, known = bundle.manifest, shares.load(bundle.path)
    seed, source = manifest.recipe.get("seed"), manifest.provenance.source
    if source and Path(source).exists():
        spec = spec.model_copy(update={"name": source})
    # Bundles without fingerprints of their rows were divided row by row.
    own = spec.load(manifest.task, seed if isinstance(seed, int) else 0, reporter, known=known, grouped=bool(known))
    for name, checksum in manifest.provenance.splits.items():
        if not known and name in own.splits and own[name].fingerprint != checksum:
            raise DataError(
                f"the split {name} of {own.name} has changed since the bundle was trained. Restore the file, or "
                "evaluate on other rows: name a file with texts and labels, or pass --data"
            )
    return own
