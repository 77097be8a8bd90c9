"""What a row is worth: a wrong label of little confidence changes no answer, and one that counts fully does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from purport import Bundle, Classifier
from purport.data.dataset import Dataset
from purport.data.reading import Example
from purport.data.spec import DataSpec
from purport.errors import DataError, RowInvalid
from purport.kinds.encoder.compose import with_composed
from purport.kinds.run import Rows
from purport.labels import Task
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe
from purport.training.steps import rows

NAMES = ["rome", "oslo", "cairo", "lima", "quito", "accra", "delhi", "seoul"]
PLAIN = [
    row
    for name in NAMES
    for row in ((f"fly to {name}", "flight"), (f"a seat to {name}", "flight"), (f"cost of {name}", "fare"))
]
ASKED = "the gate opens soon"


def table(folder: Path, weight: object, *, column: str = "confidence") -> Path:
    """One right row, and two that are wrong, each of this weight."""
    folder.mkdir(parents=True)
    trained = [*((*row, "") for row in PLAIN), (ASKED, "flight", 1), *[(ASKED, "fare", weight)] * 2]
    for name, some in (("train", trained), ("valid", [(*row, "") for row in PLAIN])):
        cells = [f"text,label,{column}", *(",".join(map(str, row)) for row in some)]
        (folder / f"{name}.csv").write_text("\n".join(cells) + "\n", "utf-8")
    return folder


def trained(tmp_path: Path, weight: object, recipe: dict[str, Any]) -> Bundle:
    data = {"name": str(table(tmp_path / f"data-{weight}", weight)), "valid": "valid"}
    whole = {"task": "multiclass", "data": {**data, "confidence_column": "confidence"}, **recipe}
    bundle = train(parse_recipe(whole), tmp_path / f"bundle-{weight}")
    assert bundle is not None
    return bundle


def answered(bundle: Bundle) -> str:
    return Classifier.open(bundle).predict([ASKED])[0].ranked[0].label


def test_a_wrong_row_of_little_weight_does_not_change_a_linear_answer(tmp_path: Path) -> None:
    recipe = {"kind": "linear", "decide": {"cross_fit": 0}}
    assert [answered(trained(tmp_path, weight, recipe)) for weight in (0.01, 0, 1)] == ["flight", "flight", "fare"]


def test_a_wrong_row_of_little_weight_does_not_change_the_answer_of_an_encoder(
    tmp_path: Path, tiny_recipe: dict[str, Any]
) -> None:
    fit = {**tiny_recipe["fit"], "epochs": 30, "noise": 0, "batch_size": 8}
    recipe = {**tiny_recipe, "task": "multiclass", "fit": fit, "export": {"quantize": "none"}}
    del recipe["data"]
    assert [answered(trained(tmp_path, weight, recipe)) for weight in (0.01, 1)] == ["flight", "fare"]


def spec(folder: Path, column: str = "confidence") -> DataSpec:
    return DataSpec(name=str(folder), valid="valid", confidence_column=column)


def test_rows_without_a_number_weigh_1_and_only_training_rows_weigh(tmp_path: Path) -> None:
    dataset = spec(table(tmp_path / "t", 0.25)).load(Task.MULTICLASS, 0)
    weights = rows(dataset, "train").weights
    assert weights is not None and weights.tolist() == [1.0] * (len(PLAIN) + 1) + [0.25, 0.25]
    assert rows(dataset, "valid").weights is None


def test_a_table_without_a_word_on_weights_is_read_as_before(tmp_path: Path) -> None:
    dataset = DataSpec(name=str(table(tmp_path / "t", 0.25)), valid="valid").load(Task.MULTICLASS, 0)
    assert rows(dataset, "train").weights is None


@pytest.mark.parametrize("weight", ["1.5", "-0.1", "high", "nan"])
def test_a_weight_that_is_none(tmp_path: Path, weight: str) -> None:
    with pytest.raises(RowInvalid, match="it must be a number from 0 to 1, or empty"):
        spec(table(tmp_path / "t", weight)).load(Task.MULTICLASS, 0)


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'no column "confidance" .* Did you mean "confidence"'):
        spec(table(tmp_path / "t", 1), "confidance").load(Task.MULTICLASS, 0)


def test_other_weights_are_other_data() -> None:
    """A run is not resumed with rows that weigh something else."""
    prints = {Dataset.from_examples({"train": [Example("a", ("x",), weight=w)]}).fingerprint for w in (1.0, 0.5, 0.4)}
    assert len(prints) == 3


def test_a_pair_of_doubtful_rows_is_more_doubtful() -> None:
    gold = np.eye(2, dtype=np.bool_)
    found = with_composed(Rows(["a", "b"], gold, np.array([0.5, 0.5], np.float32)), 1.0, " and ", 0)
    assert found.weights is not None and found.weights.tolist() == [0.5, 0.5] + [0.25] * (len(found) - 2)
    assert len(found) > 2
