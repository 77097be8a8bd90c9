"""Sets rows aside for validation or test, with near-duplicates on one side, and finds these rows again later."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..text import words
from .duplicates import near_duplicates
from .reading import Example
from .stratify import stratified_mask

FILE = "rows.npz"
Prints = NDArray[np.uint64]
_LARGE = 100_000  # rows above which only equal texts are kept together: comparing all of them takes minutes


def holdout(examples: Sequence[Example], fraction: float, *, seed: int) -> NDArray[np.bool_]:
    """Choose about ``fraction`` of the ``examples``, stratified by labels: ``(n,) bool``, true where chosen.

    Rows that are near-duplicates (see :func:`~purport.data.duplicates.near_duplicates`) are chosen together, so that no
    row is measured with a copy of itself in the training rows.
    """
    group = groups([example.text for example in examples])
    first = np.unique(group, return_index=True)[1]
    chosen = stratified_mask((examples[row].labels for row in first), fraction, seed=seed)
    mask: NDArray[np.bool_] = chosen[group]
    # A label whose rows are all near-duplicates of chosen ones must stay in the other rows.
    kept = {label for example, out in zip(examples, mask, strict=True) if not out for label in example.labels}
    lost = {example.labels for example in examples if not kept.issuperset(example.labels)}
    back = {int(group[row]) for row, example in enumerate(examples) if example.labels in lost}
    return mask & ~np.isin(group, list(back))


def groups(texts: Sequence[str]) -> NDArray[np.intp]:
    """The number of the group of near-duplicates that each text is in, from 0 on: ``(n,) intp``."""
    found = [words(text) or [text.strip()] for text in texts]
    group = np.arange(len(texts))
    if len(texts) > _LARGE:
        first: dict[tuple[str, ...], int] = {}
        group = np.array([first.setdefault(tuple(each), row) for row, each in enumerate(found)], dtype=np.intp)
    else:
        for cluster in near_duplicates(found):
            group[cluster] = cluster[0]
    return np.unique(group, return_inverse=True)[1]


def fingerprints(examples: Iterable[Example]) -> Prints:
    """64 bits for the text and the labels of each row (the first of their sha256), in order: ``(n,) uint64``."""
    digests = (
        hashlib.sha256("\x1f".join((example.text, *example.labels)).encode()).digest()[:8] for example in examples
    )
    return np.frombuffer(b"".join(digests), dtype=np.dtype("<u8")).astype(np.uint64)


def save(splits: Mapping[str, Iterable[Example]], directory: Path) -> None:
    """Write the fingerprints of the rows of ``splits`` to ``directory``, so that :func:`find_again` can use them."""
    held = {name: fingerprints(split) for name, split in splits.items()}
    np.savez_compressed(directory / FILE, **held)  # type: ignore[arg-type]


def load(directory: Path) -> dict[str, Prints]:
    """What :func:`save` wrote; empty if there is no such file."""
    try:
        with np.load(directory / FILE, allow_pickle=False) as arrays:
            return dict(arrays)
    except FileNotFoundError:
        return {}


def find_again(examples: Iterable[Example], prints: Prints, name: str, source: str) -> NDArray[np.bool_]:
    """Which of ``examples`` have these fingerprints: ``(n,) bool``.

    Raises:
        DataError: some are missing, so that the data has changed.
    """
    here = fingerprints(examples)
    found = np.isin(here, prints)
    present, wanted = np.unique(here[found]), np.unique(prints)
    missing = max(len(wanted) - len(present), len(prints) - int(found.sum()))
    if missing:
        raise DataError(
            f"{source} has changed since the bundle was trained: {missing:,} of the {len(prints):,} rows of its split "
            f"{name} are not there any more. Restore the file, or evaluate on other rows: name a file with texts and "
            "labels, or pass --data"
        )
    return found
