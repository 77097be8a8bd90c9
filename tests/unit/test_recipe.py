"""A recipe says everything about a run, and a mistake in it is named with the nearest right key."""

from __future__ import annotations

from pathlib import Path

import pytest

from purport.errors import RecipeError
from purport.kinds.encoder.recipe import EncoderRecipe
from purport.kinds.linear.recipe import LinearRecipe
from purport.training.recipe import load_recipe, parse_recipe

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").glob("*.toml"))
MINIMAL = 'kind = "encoder"\ntask = "multilabel"\n[data]\nname = "sample"\n'


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "r.toml"
    path.write_text(MINIMAL, "utf-8")
    return path


def test_there_are_recipes() -> None:
    assert len(RECIPES) >= 4


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_of_the_project_is_valid(path: Path) -> None:
    recipe = load_recipe(path)
    assert parse_recipe(recipe.model_dump(mode="json", exclude_none=True)) == recipe


@pytest.mark.parametrize("script", ["train_multilabel.sh", "train_multiclass.sh"])
def test_the_parameters_in_the_scripts_are_those_of_their_recipes(script: str) -> None:
    lines = (ROOT / "scripts" / script).read_text("utf-8").split("exec ")[1].splitlines()
    name = lines[0].split("train ")[1].split()[0]
    overrides = [line.split("--set ")[1].removesuffix("\\").strip() for line in lines if "--set " in line]
    assert len(overrides) > 10
    assert load_recipe(ROOT / name, overrides) == load_recipe(ROOT / name)


def test_defaults_and_overrides(recipe: Path) -> None:
    loaded = load_recipe(
        recipe, ["fit.epochs=3", "model.name=some/path", "data.joint=false", 'adapter.targets=["query"]']
    )
    assert isinstance(loaded, EncoderRecipe)
    assert (loaded.fit.epochs, loaded.model.name, loaded.adapter.targets) == (3, "some/path", ("query",))
    assert loaded.fit.batch_size == 32


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("fit.epoch=3", 'unknown key "fit.epoch". Did you mean "fit.epochs"?'),
        ("fitt.epochs=3", 'unknown key "fitt". Did you mean "fit"?'),
        ("data.valid=1.5", '"data.valid" must be a string or a number below 1, not 1.5'),
        ("data.valid=2", '"data.valid" must be a string or a number below 1, not 2'),
        ("data=3", '"data" must be a table of keys and values, not 3'),
        ("data.label_names=[1]", 'item 1 of "data.label_names" must be a string, not 1'),
        ("data.label_names=3", '"data.label_names" must be a list or "numbers", not 3'),
        ("data.delimiter=ab", '"data.delimiter" must be a string of 1 or fewer characters, not "ab"'),
        ("decide.reject_below=true", '"decide.reject_below" must be "fitted" or a number below 1, not true'),
        ("decide.cross_fit=30", '"decide.cross_fit" must be "auto" or a number of at most 20, not 30'),
        ("decide.out_of_scope_share=[0.1]", 'item 2 of "decide.out_of_scope_share" is missing'),
        ("decide.promise=x", 'item 1 of "decide.promise": "x" is not a promise'),
        ("decide.keep=2", '"decide.keep" must be at most 1, not 2'),
        ("seed=2024-01-01", '"seed" must be a whole number, not "2024-01-01"'),
        ("fit.schedule=cosin", '"fit.schedule" must be '),
        ("fit.epochs=-1", '"fit.epochs" must be above 0, not -1'),
        ("adapter.method=lorra", '"adapter.method" must be "lora"'),
        ("task=multi", '"task"'),
        ("kind=encodr", 'unknown kind of bundle "encodr". Did you mean "encoder"?'),
        ("data.joint=true", "joint"),
        ("nonsense", "--set needs key=value"),
        ("kind.x=1", '"kind" is a value, not a table'),
    ],
)
def test_a_mistake_is_named(recipe: Path, override: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe, [override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value) and "Input" not in str(caught.value), "one sentence, and none of pydantic's"


def test_shares_leave_rows_to_train_on() -> None:
    def recipe(**shares: float) -> None:
        decide = {"promise": "wrong_accepted <= 0.5"} if "calibration" in shares else {}
        parse_recipe({"kind": "linear", "task": "multilabel", "data": {"name": "sample"} | shares, "decide": decide})

    recipe(valid=0.5, test=0.4)
    too_much = (
        {"valid": 0.9, "test": 0.2},
        {"valid": 0.5, "test": 0.5},
        {"valid": 0.2, "test": 0.7, "calibration": 0.1},
    )
    for shares in too_much:
        with pytest.raises(
            RecipeError, match=r"data.valid = 0\.\d.* leave no rows to train on; choose shares whose sum"
        ):
            recipe(**shares)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match='"data" is missing'):
        parse_recipe({"kind": "linear", "task": "multilabel"})
    with pytest.raises(RecipeError, match='"kind" is missing'):
        parse_recipe({"task": "multilabel"})
    with pytest.raises(RecipeError, match="cannot read recipe"):
        load_recipe(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("kind = ", "utf-8")
    with pytest.raises(RecipeError, match="is not valid TOML"):
        load_recipe(tmp_path / "bad.toml")


def test_a_linear_recipe_refuses_ranges_that_make_no_features() -> None:
    raw = {"kind": "linear", "task": "multilabel", "data": {"name": "sample"}}
    recipe = parse_recipe({**raw, "model": {"words": [1, 1], "characters": [0, 0]}})
    assert isinstance(recipe, LinearRecipe)
    assert list(recipe.model.ngrams()("Two words")) == ["w two", "w words"]
    with pytest.raises(RecipeError, match="at least one of words and characters"):
        parse_recipe({**raw, "model": {"words": [0, 0], "characters": [0, 0]}})
