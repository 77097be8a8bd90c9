"""Rows that are set aside: no near-duplicate in train, every label in train, and the same rows ever after."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purport.data import shares
from purport.data.reading import Example
from purport.errors import DataError

WORDS = [
    "where",
    "is",
    "my",
    "parcel",
    "order",
    "refund",
    "card",
    "lamp",
    "chair",
    "table",
    "blue",
    "red",
    "late",
    "today",
]


def rows(count: int, seed: int = 0) -> list[Example]:
    rng = np.random.default_rng(seed)
    return [Example(" ".join(rng.choice(WORDS, 8)), (f"label {row % 5}",)) for row in range(count)]


def test_near_duplicates_are_on_one_side() -> None:
    originals = rows(60)
    copies = [Example(f"{row.text.upper()}!", row.labels) for row in originals] * 2
    everything = [*originals, *copies]
    mask = shares.holdout(everything, 0.2, seed=0)
    sides: dict[str, set[bool]] = {}
    for row, out in zip(everything, mask, strict=True):
        sides.setdefault(row.text.lower().rstrip("!"), set()).add(bool(out))
    assert all(len(found) == 1 for found in sides.values())
    assert 0.1 < mask.mean() < 0.3


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), min_size=2, max_size=40), st.floats(0.05, 0.6))
def test_every_label_keeps_a_training_row(drawn: list[tuple[int, int]], fraction: float) -> None:
    examples = [Example(f"text number {text}", (f"label {label}",)) for text, label in drawn]
    mask = shares.holdout(examples, fraction, seed=1)
    left = {label for row, out in zip(examples, mask, strict=True) if not out for label in row.labels}
    assert left == {label for row in examples for label in row.labels}


def test_a_row_keeps_its_side_when_the_table_grows_and_is_corrected() -> None:
    before = rows(200)
    moved = [Example(row.text, ("label 0",)) if at % 40 == 0 else row for at, row in enumerate(before)]
    after = [*rows(30, seed=9), *reversed(moved)]

    def held(examples: list[Example]) -> set[str]:
        mask = shares.holdout(examples, 0.2, seed=0)
        return {row.text for row, out in zip(examples, mask, strict=True) if out}

    first, second = held(before), held(after)
    assert len(first & second) >= 0.85 * len(first), "most rows stay"
    assert held(before) == held(list(reversed(before))), "the order of rows does not matter"


def test_rows_are_found_again_in_a_longer_and_shuffled_file() -> None:
    before = rows(50)
    mask = shares.holdout(before, 0.2, seed=0)
    held = [row for row, out in zip(before, mask, strict=True) if out]
    prints = shares.fingerprints(held)
    after = [*rows(30, seed=9), *reversed(before)]
    found = shares.find_again(after, prints, "valid", "tickets")
    assert {after[row].text for row in np.flatnonzero(found)} == {row.text for row in held}
    assert found.sum() == len(held)


@pytest.mark.parametrize("change", ["removed", "relabelled", "rewritten"])
def test_rows_that_are_gone_stop_the_command(change: str) -> None:
    before = rows(20)
    prints = shares.fingerprints(before)
    after = before[1:]
    if change == "relabelled":
        after = [Example(before[0].text, ("other",)), *after]
    if change == "rewritten":
        after = [Example(before[0].text + " now", before[0].labels), *after]
    with pytest.raises(
        DataError, match="tickets has changed since the bundle was trained: 1 of the 20 rows of its split"
    ):
        shares.find_again(after, prints, "valid", "tickets")


def test_one_of_two_equal_rows_is_missed() -> None:
    twice = [Example("a b", ("x",)), Example("a b", ("x",))]
    with pytest.raises(DataError, match="1 of the 2 rows"):
        shares.find_again(twice[:1], shares.fingerprints(twice), "valid", "tickets")
