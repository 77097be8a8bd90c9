from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from purport import LabelSet
from purport.errors import LabelUnknown


def test_index_and_name_agree() -> None:
    labels = LabelSet(["b", "a"])
    assert [labels.index(name) for name in labels] == [0, 1]
    assert "a" in labels and "c" not in labels and len(labels) == 2


def test_an_unknown_label_names_the_nearest() -> None:
    with pytest.raises(LabelUnknown, match=r'"flihgt".*Did you mean "flight"'):
        LabelSet(["flight", "fare"]).index("flihgt")


@pytest.mark.parametrize("names", [["a", "a"], ["a", ""]])
def test_labels_are_distinct_and_not_empty(names: list[str]) -> None:
    with pytest.raises(ValueError, match="label"):
        LabelSet(names)


@given(st.lists(st.sets(st.sampled_from("abcde")), max_size=20))
def test_encode_and_decode_are_inverse(rows: list[set[str]]) -> None:
    labels = LabelSet("abcde")
    matrix = labels.encode(rows)
    assert matrix.shape == (len(rows), 5) and matrix.dtype == np.bool_
    assert [set(row) for row in labels.decode(matrix)] == rows
