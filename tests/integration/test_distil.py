"""A student of fewer layers decides as its teacher, whether its lessons were interrupted or not."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from purport import Bundle, Classifier
from purport.errors import RecipeError
from purport.kinds.distilled import fit as distil
from purport.kinds.distilled.recipe import Teaching
from purport.kinds.distilled.supply import Supply
from purport.kinds.distilled.teachers import Answering
from purport.kinds.encoder.export import EncoderFacts
from purport.kinds.run import Rows
from purport.labels import Task
from purport.testing import Recorder
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe
from purport.training.workspace import work_directory

from ..conftest import SAMPLE
from ..unit.scripted_llm import Script, serving


def recipe(teacher: Bundle, **fit: Any) -> dict[str, Any]:
    return {
        "kind": "distilled",
        "task": "multilabel",
        "data": dict(SAMPLE),
        "teacher": {"bundle": str(teacher.path), "layers": [1]},
        "fit": {"steps": 40, "batch_size": 16, "learning_rate": 1e-3, "save_steps": 10} | fit,
        "export": {"quantize": "none"},
    }


@pytest.fixture(scope="module")
def student(encoder_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    bundle = train(parse_recipe(recipe(encoder_bundle)), tmp_path_factory.mktemp("student") / "bundle")
    assert bundle is not None
    return bundle


def test_a_student_is_smaller_and_learns_from_its_teacher(student: Bundle, encoder_bundle: Bundle) -> None:
    facts = student.facts(distil.StudentFacts)
    assert facts.layers == (1,) and facts.teacher == encoder_bundle.manifest.id
    assert student.manifest.provenance.parents == (encoder_bundle.manifest.id,)
    assert facts.weights < encoder_bundle.facts(EncoderFacts).weights
    texts = ["where is my parcel", "cancel my order and send an invoice"]
    taught, teacher = (
        Classifier.open(student).predict_proba(texts),
        Classifier.open(encoder_bundle).predict_proba(texts),
    )
    assert abs(taught - teacher).max() < 0.1
    assert facts.agreement_with_teacher > 0.8


def test_an_interrupted_teaching_goes_on_to_the_same_bytes(
    student: Bundle, encoder_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorder: Recorder
) -> None:
    save = distil._save

    def interrupt(run: Any, parts: Any, step: int) -> None:
        save(run, parts, step)
        if step == 20:
            raise KeyboardInterrupt

    parsed = parse_recipe(recipe(encoder_bundle))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(distil, "_save", interrupt)
        train(parsed, tmp_path / "bundle")
    assert work_directory(tmp_path / "bundle").is_dir() and not (tmp_path / "bundle").exists()
    resumed = train(parsed, tmp_path / "bundle", resume=True, reporter=recorder)
    assert resumed is not None and "resuming from checkpoint-20" in recorder.lines
    assert resumed.manifest.id == student.manifest.id


def test_a_teacher_that_does_not_fit_says_so(encoder_bundle: Bundle, linear_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"teacher\.layers needs a teacher of kind encoder"):
        train(parse_recipe(recipe(linear_bundle)), tmp_path / "a")
    with pytest.raises(RecipeError, match="must have the same task: it is multilabel"):
        train(
            parse_recipe(
                {
                    **recipe(linear_bundle),
                    "task": "multiclass",
                    "data": SAMPLE | {"joint": True, "valid": 0.2, "test": None},
                }
            ),
            tmp_path / "a",
        )
    with pytest.raises(RecipeError, match=r"remove one"):
        parse_recipe({**recipe(encoder_bundle), "model": {}})
    with pytest.raises(RecipeError, match=r"it lacks .*; only it has abbreviation, "):
        train(parse_recipe({**recipe(linear_bundle), "teacher": {"bundle": "atis"}}), tmp_path / "a")
    wrong = recipe(encoder_bundle)
    wrong["teacher"]["layers"] = [0, 7]
    with pytest.raises(RecipeError, match="single stack of layers, here 0 to 1"):
        train(parse_recipe(wrong), tmp_path / "b")


# Teachers of which only the probabilities are known


def of_any(teacher: Bundle, encoder: Path, **fit: Any) -> dict[str, Any]:
    found = recipe(teacher, **({"steps": 60, "learning_rate": 5e-3, "head_learning_rate": 1e-2, "noise": 0} | fit))
    return found | {
        "teacher": {"bundle": str(teacher.path)},
        "model": {"name": str(encoder), "max_length": 32},
        "adapter": {"rank": 4, "alpha": 8},
    }


def far(student: Bundle, teacher: Bundle) -> float:
    """How far probabilities are apart, of texts that nobody has seen."""
    texts = ["where is my parcel", "please cancel the order", "send me an invoice", "the lamp arrived broken"]
    return float(
        abs(Classifier.open(student).predict_proba(texts) - Classifier.open(teacher).predict_proba(texts)).mean()
    )


def trained(raw: dict[str, Any], out: Path, **more: Any) -> Bundle:
    bundle = train(parse_recipe(raw), out, **more)
    assert bundle is not None
    return bundle


def test_a_linear_model_teaches_an_encoder(
    linear_bundle: Bundle, tiny_encoder: Path, tmp_path: Path, recorder: Recorder
) -> None:
    taught = trained(of_any(linear_bundle, tiny_encoder, steps=150), tmp_path / "taught", reporter=recorder)
    facts = taught.facts(distil.StudentFacts)
    assert facts.layers == () and facts.teacher == linear_bundle.manifest.id and taught.manifest.opener == "onnx"
    assert [line for line in recorder.lines if "gives probabilities, but no logits and no hidden states" in line]
    barely = trained(of_any(linear_bundle, tiny_encoder, steps=1), tmp_path / "barely")
    assert far(taught, linear_bundle) < 0.7 * far(barely, linear_bundle)


def test_a_cascade_teaches_an_encoder(
    linear_bundle: Bundle, encoder_bundle: Bundle, tiny_encoder: Path, tmp_path: Path
) -> None:
    stages = {"bundles": [str(linear_bundle.path), str(encoder_bundle.path)], "target": "passed_on <= 0.5"}
    cascade = trained({"kind": "cascade", "task": "multilabel", "data": SAMPLE, "stages": stages}, tmp_path / "cascade")
    taught = trained(of_any(cascade, tiny_encoder, steps=150), tmp_path / "taught")
    assert taught.facts(distil.StudentFacts).teacher == cascade.manifest.id
    barely = trained(of_any(cascade, tiny_encoder, steps=1), tmp_path / "barely")
    assert far(taught, cascade) < 0.8 * far(barely, cascade)


def test_a_service_is_asked_about_each_row_once_also_when_the_run_is_resumed(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorder: Recorder
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rows = [(f"fly to {n}", "flight") for n in range(20)] + [(f"cost of {n}", "fare") for n in range(20)]
    table = tmp_path / "table.csv"
    table.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows), "utf-8")
    data = {"name": str(table), "valid": 0.25}
    with serving(Script()) as script:
        service = {"model": "m", "base_url": script.url, "cache": False}
        llm = {"kind": "llm", "task": "multiclass", "data": data, "provider": service, "prompt": {"votes": 1}}
        teacher = trained(llm, tmp_path / "llm")
        script.asked.clear()
        # The word pieces of the tiny encoder differ from run to run: 40 steps were not enough for some.
        raw = of_any(teacher, tiny_encoder, steps=100, save_steps=10, noise=0.5) | {"task": "multiclass", "data": data}
        save = distil._save

        def interrupt(run: Any, parts: Any, step: int) -> None:
            save(run, parts, step)
            if step == 20:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(distil, "_save", interrupt)
            train(parse_recipe(raw), tmp_path / "taught")
        rows_asked = len(script.asked)
        taught = trained(raw, tmp_path / "taught", resume=True, reporter=recorder)
        validation = taught.manifest.provenance.rows["valid"]
        assert rows_asked == taught.manifest.provenance.rows["train"]
        assert len(script.asked) == rows_asked + validation, "validation rows, to compare decisions"
        assert trained(raw, tmp_path / "again").manifest.id == taught.manifest.id
    assert any("without fit.crossed and fit.composed" in line for line in recorder.lines)
    assert Classifier.open(taught).predict(["fly to 99"])[0].ranked[0].label == "flight"


def test_a_text_of_doubtful_rows_counts_less() -> None:
    rows = Rows(["a b", "c b"], np.eye(2, dtype=np.bool_), np.array([0.5, 0.2], np.float32))
    drawn = Supply(rows, Teaching(noise=0, crossed=0.3, composed=0.3), 0).draw(0, 60)
    own = {(each.text, each.row): round(each.weight, 4) for each in drawn if each.row >= 0}
    assert own == {("a b", 0): 0.5, ("c b", 1): 0.2}
    assert {round(each.weight, 4) for each in drawn if each.row < 0} == {0.25, 0.1, 0.04}


def test_weights_and_answers_that_are_missing_count_in_the_loss() -> None:
    teacher = Answering.__new__(Answering)
    teacher._run = SimpleNamespace(recipe=SimpleNamespace(task=Task.MULTICLASS))  # type: ignore[assignment]
    targets = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    logits = torch.tensor([[0.0, 3.0]] * 3)

    def loss(*weights: float) -> float:
        batch = {"targets": targets, "weights": torch.tensor(weights)}
        return float(teacher.loss(batch, torch.zeros(3, 1, 1), logits))

    assert loss(1, 0, 0) == pytest.approx(loss(0.5, 0.5, 0)) and loss(1, 1, 0) == pytest.approx(2 * loss(1, 0, 0))
    assert loss(0, 0, 1) == 0, "the third has no answer"
