"""From a table to a bundle whose rows are found again, whatever happens to the file."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from purport import Bundle, Classifier
from purport.cli.tables import TableOptions
from purport.data.spec import DataSpec
from purport.data.survey import survey
from purport.errors import DataError, RecipeError, SplitUnknown
from purport.evaluation.evaluate import stored
from purport.evaluation.rows import evaluation_split
from purport.testing import Recorder
from purport.training.cross_validation import NAME, cross_validate
from purport.training.draft import draft
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe
from purport.training.steps import load

WORDS = ["lamp", "chair", "table", "sofa", "shelf", "desk", "clock", "rug", "vase", "mug", "bowl", "plate"]
ASKED = {
    "track": ["where is my {}", "has the {} been sent", "when will the {} arrive", "track the {} for me"],
    "cancel": ["cancel the {}", "I do not want the {} any more", "stop the order of the {}"],
    "refund": ["give me back the money for the {}", "refund the {} now", "I was charged twice for the {}"],
    "other": ["what is the capital of {}", "sing a song about a {}", "who painted the {}"],
}


def lines(seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    rows = [
        f"{say.format(' '.join(rng.choice(WORDS, 2)))};{label}" for label, says in ASKED.items() for say in says * 12
    ]
    return [rows[row] for row in rng.permutation(len(rows))]


@pytest.fixture
def tickets(tmp_path: Path) -> Path:
    path = tmp_path / "tickets.csv"
    path.write_text("\n".join(["Frage;Thema", *lines()]) + "\n", "utf-8")
    return path


def recipe(path: Path, **changes: object) -> dict[str, object]:
    found = survey(DataSpec(name=str(path), label_column="Thema", out_of_scope=("other",)))
    return draft(found, kind="linear").raw | changes


def test_the_drafted_recipe_is_trained_as_it_is(tickets: Path, tmp_path: Path) -> None:
    found = survey(DataSpec(name=str(tickets), label_column="Thema", out_of_scope=("other",)))
    made = draft(found, kind="linear")
    assert made.raw == tomllib.loads(made.toml)
    assert made.raw["task"] == "multiclass" and made.raw["data"]["test"] == 0.2
    bundle = train(parse_recipe(made.raw), tmp_path / "bundle")
    assert bundle is not None and bundle.labels.names == ("cancel", "refund", "track")
    decision = bundle.manifest.decision
    assert decision.rule == "likeliest" and decision.fitted and 0 < decision.in_scope_at < 1
    test = stored(bundle)["test"]
    assert (test.metrics["accuracy"].value or 0) > 0.8
    assert (test.metrics["out_of_scope_recall"].value or 0) > 0.8
    answers = Classifier.open(bundle).predict(["where is my lamp", "who painted the lamp vase"])
    assert answers[0].labels == ("track",) and answers[1].out_of_scope


def test_a_table_that_says_nearly_always_the_same_is_told_before_training(tmp_path: Path) -> None:
    """As ``purport label`` writes one for texts that its bundle does not know."""
    path, reporter = tmp_path / "labels.csv", Recorder()
    rows = [f"what is the capital of {word} {number}," for word in WORDS for number in range(5)]
    path.write_text(
        "\n".join(["text,labels", *rows, "cancel the lamp,cancel", "cancel the mug,cancel"]) + "\n", "utf-8"
    )
    data = {"name": str(path), "valid": 0.2, "unlabelled": "out_of_scope"}
    load(parse_recipe({"kind": "linear", "task": "multiclass", "data": data}), reporter)
    said = "training rows have no label, so that the model learns little but to answer so; add rows with other labels"
    assert any(line.startswith("warning: ") and said in line for line in reporter.lines)


def test_several_labels_and_named_splits(tmp_path: Path) -> None:
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.csv").write_text("text,label\n" + "one two,a+b\nthree four,a\nfive six,\n" * 30, "utf-8")
    made = draft(survey(DataSpec(name=str(tmp_path), unlabelled="out_of_scope"))).raw
    assert made["task"] == "multilabel" and made["data"]["unlabelled"] == "out_of_scope"
    assert (made["data"]["valid"], made["data"]["test"]) == ("dev", "test")


def test_another_language_gets_the_model_that_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "मेरा पार्सल कहाँ है,track\nपैसे वापस चाहिए,refund\n" * 20, "utf-8")
    found = survey(DataSpec(name=str(path)))
    assert draft(found).raw["kind"] == "linear"
    assert 'kind = "encoder"  # the packaged encoder reads English only;' in draft(found, kind="encoder").toml


def test_what_cannot_be_drafted_says_why(tmp_path: Path) -> None:
    (tmp_path / "january.csv").write_text("text,label\na b,x\n", "utf-8")
    (tmp_path / "february.csv").write_text("text,label\na b,x\n", "utf-8")
    with pytest.raises(SplitUnknown, match=r'no split "train", only february, january; rename'):
        draft(survey(DataSpec(name=str(tmp_path))))
    (tmp_path / "c.csv").write_text("text,label\na b,x\nonly one cell\n", "utf-8")
    with pytest.raises(DataError, match=r"c\.csv:3: has 1 column instead of 2"):
        draft(survey(DataSpec(name=str(tmp_path / "c.csv"))))


@pytest.fixture
def bundle(tickets: Path, tmp_path: Path) -> Bundle:
    made = train(parse_recipe(recipe(tickets)), tmp_path / "bundle")
    assert made is not None
    return made


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_appended_and_shuffled_rows_change_no_split(bundle: Bundle, tickets: Path, split: str) -> None:
    before = evaluation_split(bundle, split)[1]
    texts = set(before.texts)
    assert before.fingerprint == bundle.manifest.provenance.splits[split]
    tickets.write_text("\n".join(["Frage;Thema", *lines(seed=5)[:60], *reversed(lines())]) + "\n", "utf-8")
    assert set(evaluation_split(bundle, split)[1].texts) == texts


def test_a_changed_row_stops_the_command(bundle: Bundle, tickets: Path) -> None:
    content = tickets.read_text("utf-8").splitlines()
    tickets.write_text("\n".join([content[0], *content[20:]]) + "\n", "utf-8")
    with pytest.raises(DataError, match=r"tickets has changed since the bundle was trained.* --data"):
        evaluation_split(bundle, "valid")


def test_a_bundle_finds_its_data_from_any_directory(
    tickets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = train(parse_recipe(recipe(Path("tickets.csv"))), "bundle")
    assert made is not None
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(evaluation_split(Bundle.open("../bundle"), "valid")[1]) > 0


def test_cross_validation_answers_every_row_once(tickets: Path, tmp_path: Path) -> None:
    chosen = parse_recipe(recipe(tickets))
    found = cross_validate(chosen, 4)
    assert found.n == len(lines()) and found.split == NAME
    assert (found.metrics["accuracy"].value or 0) > 0.8
    made = train(chosen, tmp_path / "bundle", also=lambda: {NAME: found})
    assert made is not None and set(stored(made)) == {"valid", "test", NAME}
    assert NAME in (made.path / "README.md").read_text("utf-8")
    with pytest.raises(DataError, match="too few for 5000 folds"):
        cross_validate(chosen, 5000)


def test_a_recipe_stands_for_its_data(tickets: Path, tmp_path: Path) -> None:
    found = survey(DataSpec(name=str(tickets), label_column="Thema", out_of_scope=("other",)))
    (tmp_path / "tickets.toml").write_text(draft(found, kind="linear").toml, "utf-8")
    spec = TableOptions().spec(name=str(tmp_path / "tickets.toml"), unlabelled="out_of_scope")
    assert (spec.name, spec.label_column, spec.out_of_scope) == (str(tickets), "Thema", ("other",))
    assert spec.unlabelled == "out_of_scope"
    (tmp_path / "a.toml").write_text("kind = 'linear'\n", "utf-8")
    with pytest.raises(RecipeError, match=r"has no table \[data\]"):
        TableOptions().spec(name=str(tmp_path / "a.toml"))


def test_a_draft_asks_where_it_is_in_doubt(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "book a flight,flight|fare\nwhich fare,fare\nany flight,flight\n" * 9, "utf-8")
    with pytest.raises(
        DataError, match=r'pass --label-delimiter "\|" if they are, or --label-delimiter "\+" if they are'
    ):
        draft(survey(DataSpec(name=str(path))))
    assert draft(survey(DataSpec(name=str(path))), delimiter_is_chosen=True).raw["task"] == "multiclass"
    assert draft(survey(DataSpec(name=str(path), label_delimiter="|"))).raw["task"] == "multilabel"
    with pytest.raises(DataError, match=r'out_of_scope has "flihgt".*Did you mean "flight"'):
        draft(survey(DataSpec(name=str(path), label_delimiter="|", out_of_scope=("flihgt",))))


def test_answers_go_to_standard_output_and_a_blank_line_keeps_its_place(
    tickets: Path, bundle: Bundle, program_output: Callable[..., tuple[int, str]]
) -> None:
    status, output = program_output("predict", str(bundle.path), "--input", "-", "--output", "-", "--format", "csv",
                                    given="where is my lamp\n\nrefund the lamp now\n")  # fmt: skip
    assert status == 0 and len(output.splitlines()) == 4 and "row 2 is empty" in output
    own = tickets.with_name("own.csv")
    own.write_text("Nr;Frage\n1;where is my lamp\n", "utf-8")
    status, output = program_output("predict", str(bundle.path), "--input", str(own), "--output", "-")
    assert status == 0 and '"Nr": "1"' in output, "the bundle knows the column of the texts"
    status, _ = program_output("predict", str(bundle.path), "--input", str(own), "--output", str(own))
    assert status == 65 and own.read_text("utf-8").startswith("Nr;Frage")


@pytest.fixture
def program_output() -> Callable[..., tuple[int, str]]:
    """Runs a command; its exit code and what it wrote to standard output."""

    def run(*arguments: str, given: str = "") -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "purport", *arguments], input=given, capture_output=True, text=True
        )
        return done.returncode, done.stdout

    return run
