"""Sets rows aside for validation or test, with near-duplicates on one side, and finds these rows again later."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..arrays import Form, read_all_arrays
from ..contents import is_there
from ..errors import DataError
from ..text import normal_form, words
from .duplicates import near_duplicates
from .reading import TAUGHT, Example
from .stratify import stratified_mask

FILE = "rows.npz"
_LEARNED = "texts of train"
Prints = NDArray[np.uint64]
_LARGE = 100_000  # rows above which only equal texts are kept together: comparing all of them takes minutes


def holdout(examples: Sequence[Example], fraction: float, *, seed: int) -> NDArray[np.bool_]:
    """Choose about ``fraction`` of the ``examples``, stratified by labels: ``(n,) bool``, true where chosen.

    Rows that are near-duplicates (see :func:`~purport.data.duplicates.near_duplicates`) are chosen together, so that no
    row is measured with a copy of itself in the training rows. A row stays on its side when the table is corrected or
    grows, so that a new model can be compared with an old one on rows that neither has learned from.
    """
    texts = [example.text for example in examples]
    group, hashed = groups(texts), text_prints(texts, salt=str(seed))
    keys = np.full(int(group.max()) + 1, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(keys, group, hashed)
    first = np.unique(group, return_index=True)[1]
    chosen = stratified_mask((examples[row].labels for row in first), fraction, seed=seed, keys=keys)
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


def text_prints(texts: Iterable[str], *, salt: str = "") -> Prints:
    """64 bits for each text, whatever its case, punctuation and white space: ``(n,) uint64``."""
    return _prints(f"{salt}\x1f{normal_form(text)}" for text in texts)


def fingerprints(examples: Iterable[Example]) -> Prints:
    """64 bits for the text and the labels of each row (the first of their sha256), in order: ``(n,) uint64``."""
    return _prints("\x1f".join((example.text, *example.labels)) for example in examples)


def _prints(contents: Iterable[str]) -> Prints:
    digests = b"".join(hashlib.sha256(content.encode()).digest()[:8] for content in contents)
    return np.frombuffer(digests, dtype=np.dtype("<u8")).astype(np.uint64)


def save(splits: Mapping[str, Iterable[Example]], directory: Path) -> None:
    """Write the fingerprints of the rows of ``splits`` to ``directory``, for :func:`load` and :func:`learned`.

    Examples that a bundle was taught are in no file, so that only their texts are kept.
    """
    held = {name: fingerprints(each for each in split if each.row != TAUGHT) for name, split in splits.items()}
    texts = text_prints(example.text for example in splits["train"])
    np.savez_compressed(directory / FILE, **held, **{_LEARNED: texts})  # type: ignore[arg-type]


def load(directory: Path) -> dict[str, Prints]:
    """The fingerprints of each split that :func:`save` wrote; empty if there is no such file."""
    return {name: prints for name, prints in _load(directory).items() if name != _LEARNED}


def learned(directory: Path, examples: Iterable[Example]) -> NDArray[np.bool_]:
    """Whether the text of each row was in the training rows of the bundle in ``directory``: ``(n,) bool``.

    Nothing is known of the rows of a bundle without :data:`FILE`.
    """
    return np.isin(text_prints(example.text for example in examples), learned_prints(directory))


def learned_prints(directory: Path) -> Prints:
    """The :func:`text_prints` of the training rows of the bundle in ``directory``, as far as they are known."""
    return _load(directory).get(_LEARNED, np.array([], dtype=np.uint64))


def _load(directory: Path) -> dict[str, Prints]:
    return read_all_arrays(directory, FILE, Form("uint64")) if is_there(directory, FILE) else {}


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
            f"{source} has changed since the bundle was trained: {missing:,} of the {len(prints):,} rows of its "
            f"split {name} are gone or have another text or label. Restore the file, or evaluate on rows as they are "
            "now: name a file with texts and labels, or pass --data"
        )
    return found
