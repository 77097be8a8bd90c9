"""Data of which there is next to nothing: a bundle or a message, never a traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from purport import Bundle, Classifier
from purport.errors import DataError, RecipeError
from purport.testing import Recorder
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe

Rows = list[tuple[str, str]]
DATA: dict[str, Rows] = {
    "one row": [("hello", "a")],
    "two rows": [("hello", "a"), ("bye", "b")],
    "one label": [(f"text {number}", "a") for number in range(20)],
    "one row per label": [(f"text number {number}", f"label-{number}") for number in range(12)],
    "one text": [("same", "ab"[number % 2]) for number in range(20)],
    "nothing in common": [(chr(0x4E00 + number) * 3, "ab"[number % 2]) for number in range(20)],
    "hardly a label": [(f"text {number}", "a" if number < 2 else "") for number in range(20)],
    "punctuation": [("?!" * (number + 1), "ab"[number % 2]) for number in range(20)],
    "one character": [("x", "a"), ("y", "b")] * 5,
}
# What no n-gram model can learn; the message names the key that helps.
NOT_LINEAR = {"two rows", "nothing in common"}


def recipe(directory: Path, rows: Rows, task: str, valid: float | str, **more: Any) -> dict[str, Any]:
    """A recipe for ``rows``; the validation split has the first row three times."""
    directory.mkdir()
    for name, chosen in {"train": rows, "test": rows, "valid": rows[:1] * 3}.items():
        if name != "valid" or valid == "valid":
            table = "".join(f"{text}\t{label}\n" for text, label in chosen)
            (directory / f"{name}.tsv").write_text(f"text\tlabel\n{table}", "utf-8")
    data = {"name": str(directory), "valid": valid, "test": "test", "unlabelled": "out_of_scope"}
    return {"task": task, "data": data, **more}


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
@pytest.mark.parametrize("name", DATA)
def test_linear(name: str, task: str, tmp_path: Path) -> None:
    made = parse_recipe(recipe(tmp_path / "data", DATA[name], task, "valid", kind="linear"))
    if name in NOT_LINEAR:
        with pytest.raises(RecipeError, match=r"set model\.min_count to 1, or add rows"):
            train(made, tmp_path / "bundle")
        return
    bundle = train(made, tmp_path / "bundle")
    assert bundle is not None and Classifier.open(bundle).predict(["hello", "?", ""])


@pytest.mark.parametrize("name", DATA)
def test_linear_with_a_share_for_validation(name: str, tmp_path: Path, recorder: Recorder) -> None:
    made = parse_recipe(recipe(tmp_path / "data", DATA[name], "multilabel", 0.2, kind="linear"))
    try:
        assert train(made, tmp_path / "bundle", reporter=recorder) is not None
    except DataError as error:
        assert "change the share or add rows" in str(error) and not recorder.lines
    except RecipeError:
        assert name in NOT_LINEAR


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
@pytest.mark.parametrize("name", DATA)
def test_encoder(name: str, task: str, tmp_path: Path, tiny_encoder: Path) -> None:
    more = {"kind": "encoder", "model": {"name": str(tiny_encoder)}, "fit": {"epochs": 1, "precision": "fp32"},
            "export": {"quantize": "none"}}  # fmt: skip
    bundle = train(parse_recipe(recipe(tmp_path / "data", DATA[name], task, "valid", **more)), tmp_path / "bundle")
    assert isinstance(bundle, Bundle)


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_no_label_at_all_is_said_before_anything_is_trained(task: str, tmp_path: Path, recorder: Recorder) -> None:
    rows = [(f"text {number}", "") for number in range(20)]
    made = parse_recipe(recipe(tmp_path / "data", rows, task, 0.2, kind="linear"))
    with pytest.raises(DataError, match=r"no row .* has a label to learn; add labels"):
        train(made, tmp_path / "bundle", reporter=recorder)
    assert not recorder.lines
