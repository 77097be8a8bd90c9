"""A student of fewer layers decides as its teacher, whether its lessons were interrupted or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from purport import Bundle, Classifier
from purport.errors import RecipeError
from purport.kinds.distilled import fit as distil
from purport.kinds.encoder.export import EncoderFacts
from purport.testing import Recorder
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe
from purport.training.workspace import work_directory

from ..conftest import SAMPLE


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
    with pytest.raises(RecipeError, match="must be a bundle of kind encoder with the same task"):
        train(parse_recipe(recipe(linear_bundle)), tmp_path / "a")
    wrong = recipe(encoder_bundle)
    wrong["teacher"]["layers"] = [0, 7]
    with pytest.raises(RecipeError, match="single stack of layers, here 0 to 1"):
        train(parse_recipe(wrong), tmp_path / "b")
