"""What is read is what was written, and what cannot be used is named with file, row and remedy."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from purport import Dataset, Example, LabelSet, Task, load_dataset
from purport.data.dataset import require_known
from purport.data.formats import Layout
from purport.data.reading import Reading
from purport.data.stratify import stratified_mask
from purport.errors import DataError, DatasetNotFound, LabelUnknown, RowInvalid, SplitUnknown


def write(path: Path, content: str) -> Path:
    path.write_text(content, "utf-8")
    return path


def rows(path: Path, reading: Reading | None = None, **options: object) -> list[Example]:
    dataset = Dataset.from_files({"train": path}, reading=reading or Reading(), **options)  # type: ignore[arg-type]
    return list(dataset["train"])


def test_labels_of_a_row_are_a_set_in_alphabetical_order(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "one\tb+a\ntwo\ta+a\n")
    assert rows(path) == [Example("one", ("a", "b")), Example("two", ("a",))]


def test_another_delimiter(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "one\tb#a\ntwo\tc+d\n")
    found = rows(path, Reading(layout=Layout(label_delimiter="#")))
    assert found == [Example("one", ("a", "b")), Example("two", ("c+d",))]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("fine\tx\n \tx\n", "text is empty"),
        ("fine\tx\nbad\t\n", "label is empty"),
        ("fine\tx\nbad\ta++b\n", "empty part"),
        ("fine\tx\nbad\ta\tb\n", "3 columns"),
    ],
)
def test_a_bad_row_is_named_with_file_row_and_remedy(tmp_path: Path, content: str, problem: str) -> None:
    path = write(tmp_path / "a.tsv", content)
    with pytest.raises(RowInvalid) as caught:
        rows(path)
    assert f"{path}:2: " in str(caught.value) and problem in str(caught.value)
    assert caught.value.problems[0][0] == 2
    assert "Correct the file" in str(caught.value)


def test_the_first_bad_rows_are_listed_and_the_rest_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "x\n" * 9)
    with pytest.raises(RowInvalid, match="and 4 more bad rows"):
        rows(path)


def test_values_of_another_type_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": 5, "label": "x"}\n{"text": "t", "label": 7}\n')
    with pytest.raises(RowInvalid, match=r"(?s)text is of type int.*label is the number 7.*--label-names"):
        rows(path)


def test_a_label_outside_the_given_set_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "one\tflight\ntwo\tflihgt\n")
    with pytest.raises(RowInvalid, match=r':2: label "flihgt" is not in the label set. Did you mean "flight"'):
        rows(path, labels=["flight"])


def test_rows_without_a_label_are_out_of_scope_only_where_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "one\tx\nrubbish\t\n")
    assert rows(path, Reading(unlabelled="out_of_scope"))[1] == Example("rubbish", ())
    assert rows(path, Reading(Task.MULTICLASS, unlabelled="out_of_scope"))[1] == Example("rubbish", ())
    with pytest.raises(RowInvalid, match="--unlabelled out_of_scope"):
        rows(path)


@pytest.mark.parametrize("task", Task)
def test_rows_without_a_label_can_be_left_out(tmp_path: Path, task: Task) -> None:
    path = write(tmp_path / "a.tsv", "one\tx\nrubbish\t\ntwo\ty\n")
    assert [example.row for example in rows(path, Reading(task, unlabelled="skip"))] == [1, 3]
    with pytest.raises(DataError, match=r"no row of .* has a label"):
        rows(write(tmp_path / "b.tsv", "rubbish\t\n"), Reading(task, unlabelled="skip"))


def test_multiclass_wants_one_label_or_joint(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "one\tb+a\ntwo\ta+b\nthree\tc\n")
    with pytest.raises(RowInvalid, match="task is multiclass"):
        rows(path, Reading(Task.MULTICLASS))
    joint = rows(path, Reading(Task.MULTICLASS, joint=True))
    assert [example.labels for example in joint] == [("a+b",), ("a+b",), ("c",)]


def test_a_directory_an_empty_file_and_no_file_are_three_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a directory"):
        rows(tmp_path)
    with pytest.raises(DataError, match="has no rows"):
        rows(write(tmp_path / "a.tsv", ""))
    with pytest.raises(DatasetNotFound, match="no file"):
        rows(tmp_path / "b.tsv")


def test_a_directory_of_splits_is_a_dataset(tmp_path: Path) -> None:
    write(tmp_path / "train.tsv", "one\tx\n")
    write(tmp_path / "test.csv", "text,label\ntwo,y\n")
    dataset = load_dataset(tmp_path)
    assert set(dataset.splits) == {"train", "test"}
    assert dataset.labels == LabelSet(["x"])
    assert dataset.unseen("test") == {"y": 1}
    with pytest.raises(SplitUnknown, match=r'no split "tst".*Did you mean "test"'):
        dataset["tst"]
    write(tmp_path / "test.tsv", "two\ty\n")
    with pytest.raises(DatasetNotFound, match="2 files for split test"):
        load_dataset(tmp_path)


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(DatasetNotFound, match='Did you mean "banking77"'):
        load_dataset("bankin77")


def test_the_fingerprint_is_of_the_content_not_of_the_format(tmp_path: Path) -> None:
    a = load_dataset(write(tmp_path / "a.tsv", "one\tb+a\ntwo\tc\n"))
    b = load_dataset(write(tmp_path / "b.jsonl", '{"text":"one","label":["a","b"]}\n{"text":"two","label":"c"}\n'))
    c = load_dataset(write(tmp_path / "c.tsv", "one\tb+a\ntwo \tc\n"))
    assert a.fingerprint == b.fingerprint != c.fingerprint


def test_a_split_is_read_again_each_time(tmp_path: Path) -> None:
    split = load_dataset(write(tmp_path / "a.tsv", "one\tx\ntwo\ty\n"))["train"]
    assert list(split) == list(split) and len(split) == 2
    assert split.label_counts == Counter({"x": 1, "y": 1})


def test_labels_of_valid_must_be_known(animals: Dataset) -> None:
    with pytest.raises(LabelUnknown, match='"cow"'):
        require_known(animals, "test", animals.labels)


def test_validation_rows_leave_train(sample: Dataset) -> None:
    whole = Dataset.from_examples({"train": list(sample["train"])})
    cut = whole.with_share("valid", 0.2, seed=1)
    texts = [set(cut[name].texts) for name in ("train", "valid")]
    assert texts[0].isdisjoint(texts[1]) and texts[0] | texts[1] == set(sample["train"].texts)
    assert cut.labels == whole.labels
    assert list(cut["valid"]) == list(whole.with_share("valid", 0.2, seed=1)["valid"])
    assert list(cut["valid"]) != list(whole.with_share("valid", 0.2, seed=2)["valid"])
    with pytest.raises(DataError, match="already has a split valid"):
        cut.with_share("valid", 0.1, seed=0)
    with pytest.raises(DataError, match="leaves a split empty"):
        Dataset.from_examples({"train": [Example("a", ("x",))]}).with_share("valid", 0.1, seed=0)


@given(
    st.lists(
        st.lists(st.sampled_from("abcdefg"), min_size=0, max_size=3).map(lambda x: tuple(sorted(set(x)))), min_size=1
    ),
    st.floats(0.05, 0.5),
    st.integers(0, 5),
)
def test_a_stratified_share_has_the_right_size_and_loses_no_label(
    gold: list[tuple[str, ...]], fraction: float, seed: int
) -> None:
    mask = stratified_mask(gold, fraction, seed=seed)
    counts = Counter(label for labels in gold for label in labels)
    left = Counter(label for labels, chosen in zip(gold, mask, strict=True) if not chosen for label in labels)
    assert set(left) == set(counts), "a label lost all its training rows"
    assert mask.sum() <= len(gold) * fraction + 1


def test_a_stratified_share_keeps_each_label_to_within_a_row_per_group() -> None:
    rng = np.random.default_rng(0)
    gold = [("common",)] * 2000 + [("rare",)] * 40 + [("common", "rare")] * 60 + [("odd",)] * 10
    gold = [gold[row] for row in rng.permutation(len(gold))]
    mask = stratified_mask(gold, 0.1, seed=0)
    chosen = Counter(labels for labels, keep in zip(gold, mask, strict=True) if keep)
    for combination, count in Counter(gold).items():
        assert abs(chosen[combination] - count / 10) <= 1, combination


def test_the_sample_is_what_the_readme_says(sample: Dataset) -> None:
    examples = [example for split in sample.splits.values() for example in split]
    assert len(examples) >= 800 and len(sample.labels) >= 16
    assert sum(len(example.labels) > 1 for example in examples) / len(examples) >= 0.2
    assert sum(not example.labels for example in examples) >= 50
    assert len({" ".join(example.text.lower().split()) for example in examples}) == len(examples), "duplicates"
    for name in ("valid", "test"):
        assert not sample.unseen(name)


def test_labels_in_lists_are_names_like_any_other(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "one", "label": [" x ", "y"]}\n')
    assert rows(path) == [Example("one", ("x", "y"))]
    with pytest.raises(RowInvalid, match="contains the delimiter"):
        rows(write(tmp_path / "b.jsonl", '{"text": "one", "label": ["x+y"]}\n'))


def test_half_a_surrogate_pair_is_a_bad_row(tmp_path: Path) -> None:
    with pytest.raises(RowInvalid, match="UTF-8"):
        rows(write(tmp_path / "a.jsonl", '{"text": "a\\ud800", "label": "x"}\n'))


def test_a_directory_holds_splits_of_every_format_and_nothing_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "train.TSV", "one\tx\n")
    write(tmp_path / "valid.ndjson", '{"text": "two", "label": "x"}\n')
    write(tmp_path / "._train.tsv", "junk")
    write(tmp_path / "README.md", "junk")
    assert set(load_dataset(tmp_path).splits) == {"train", "valid"}
    (tmp_path / "sample").mkdir()
    monkeypatch.chdir(tmp_path)
    assert len(load_dataset("sample", Reading(unlabelled="out_of_scope"))["test"]) == 200
