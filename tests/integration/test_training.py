"""Training end to end, on models so small that it takes seconds."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from purport import Bundle, Classifier, Dataset, Task, evaluate, load_recipe
from purport.errors import CheckFailed, LabelUnknown, OutputExists, RecipeError, RunMismatch
from purport.evaluation.evaluate import stored
from purport.kinds import checks
from purport.kinds.checks import Agreement, Subject, near_ties
from purport.kinds.encoder.export import EncoderFacts
from purport.kinds.encoder.ladder import LADDER
from purport.kinds.recipe import Recipe
from purport.manifest import Likeliest, PerLabel, Uncalibrated
from purport.model import Answers
from purport.runtime import long_texts
from purport.runtime.calibration import Calibrated
from purport.testing import Recorder
from purport.training import steps
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe
from purport.training.workspace import work_directory

# Two epochs of a tiny model leave probabilities near their thresholds; int8 is checked where it has learnt.
FP32 = {"quantize": "none"}


def trained(recipe: dict[str, Any], out: Path, **options: Any) -> Bundle:
    bundle = train(parse_recipe(recipe), out, **options)
    assert bundle is not None
    return bundle


def changed(recipe: dict[str, Any], **sections: dict[str, Any]) -> dict[str, Any]:
    return {**recipe, **{name: {**recipe.get(name, {}), **values} for name, values in sections.items()}}


def as_toml(recipe: dict[str, Any], path: Path) -> Path:
    def value(item: Any) -> str:
        return json.dumps(item)

    plain = [f"{key} = {value(item)}" for key, item in recipe.items() if not isinstance(item, dict)]
    for name, table in recipe.items():
        if isinstance(table, dict):
            plain += [f"[{name}]", *(f"{key} = {value(item)}" for key, item in table.items())]
    path.write_text("\n".join(plain), "utf-8")
    return path


def test_linear_learns_the_sample(linear_bundle: Bundle) -> None:
    document = json.loads((linear_bundle.path / "evaluation.json").read_text("utf-8"))
    assert document["test"]["metrics"]["f1_micro"]["value"] > 0.45
    assert document["test"]["n"] == 200
    found = Classifier.open(linear_bundle).predict(["Where is my parcel? And can you send me the invoice please"])[0]
    assert set(found.labels) == {"track_order", "invoice_request"}


def test_the_bundle_tells_everything(encoder_bundle: Bundle) -> None:
    files = set(encoder_bundle.manifest.files)
    facts = {"evaluation.json", "data.json", "README.md", "rows.npz", "memory.npz", "words.json"}
    assert files == {"model.onnx", "tokenizer.json", "adapter/trained.safetensors", *facts}
    assert parse_recipe(encoder_bundle.manifest.recipe).seed == 3
    assert {"agreement_with_torch", "batch_flips", "batch_change"} <= set(encoder_bundle.manifest.checks)
    card = (encoder_bundle.path / "README.md").read_text("utf-8")
    assert "Results on test (200 rows)" in card and encoder_bundle.manifest.provenance.fingerprint[:16] in card
    assert not work_directory(encoder_bundle.path).exists(), "checkpoints are left behind"


def test_the_same_recipe_gives_the_same_bytes(
    encoder_bundle: Bundle, tiny_recipe: dict[str, Any], tmp_path: Path
) -> None:
    again = trained(tiny_recipe, tmp_path / "again")
    assert again.manifest == encoder_bundle.manifest
    other = trained({**tiny_recipe, "seed": 4}, tmp_path / "other")
    assert other.manifest.id != again.manifest.id


def test_nothing_of_the_machine_is_in_a_bundle(linear_bundle: Bundle, encoder_bundle: Bundle) -> None:
    for bundle in (linear_bundle, encoder_bundle):
        for name in bundle.manifest.files:
            content = (bundle.path / name).read_bytes()
            assert b"site-packages" not in content and str(Path(__file__).parents[2]).encode() not in content, name


@pytest.mark.parametrize(("method", "pooling"), [("ia3", "cls"), ("full", "last"), ("frozen", "cls")])
def test_every_adapter_and_pooling_trains_and_exports(
    tiny_recipe: dict[str, Any], tmp_path: Path, method: str, pooling: str
) -> None:
    recipe = changed(
        tiny_recipe, adapter={"method": method}, model={"pooling": pooling}, fit={"epochs": 1}, export=FP32
    )
    bundle = trained(recipe, tmp_path / "bundle")
    assert bundle.manifest.checks["agreement_with_torch"] >= 0.995
    assert bundle.facts(EncoderFacts).pooling == pooling


def test_long_texts_are_judged_as_they_are_answered(
    tiny_recipe: dict[str, Any], sample: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their sentences were left out of the answers to the validation rows: no bundle, as if answers were of batches."""
    monkeypatch.setattr(long_texts, "_discounted", lambda probability, _: np.float32(probability))  # a sentence wins
    bundle = trained(changed(tiny_recipe, model={"max_length": 16}), tmp_path / "bundle")
    classifier, texts = Classifier.open(bundle), list(sample["valid"].texts)
    model = classifier.model
    assert isinstance(model, Calibrated)
    assert (model.answer(texts).in_scope > model.of(model.score(texts)).in_scope).any()
    then, now = stored(bundle)["valid"].metrics, evaluate(classifier, sample["valid"]).metrics
    assert {name: each.value for name, each in then.items()} == pytest.approx(
        {name: each.value for name, each in now.items()}, abs=1e-3
    )


def test_multiclass_over_joint_labels(tiny_encoder: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    rows = [("red and blue", "blue+red"), ("only red", "red"), ("only blue", "blue")] * 12
    (data / "train.tsv").write_text("".join(f"{text} {n}\t{label}\n" for n, (text, label) in enumerate(rows)), "utf-8")
    (data / "test.tsv").write_text("blue and red\tred+blue\nnone of it\tgreen\n", "utf-8")
    recipe = {
        "kind": "encoder",
        "task": "multiclass",
        "data": {"name": str(data), "valid": 0.25, "test": "test", "joint": True},
        "model": {"name": str(tiny_encoder)},
        "fit": {"epochs": 6, "batch_size": 8, "learning_rate": 1e-2, "head_learning_rate": 1e-2, "precision": "fp32"},
    }
    bundle = trained(recipe, tmp_path / "bundle")
    assert bundle.manifest.labels == ("blue", "blue+red", "red") and bundle.manifest.task is Task.MULTICLASS
    proba = Classifier.open(bundle).predict_proba(["red and blue", "x"])
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-5)
    document = json.loads((bundle.path / "evaluation.json").read_text("utf-8"))
    assert document["test"]["unseen_labels"] == {"green": 1}
    assert document["test"]["metrics"]["accuracy"]["value"] <= 0.5, "the unseen label counts as an error"


def test_class_weights_composition_and_early_stopping(
    tiny_recipe: dict[str, Any], tmp_path: Path, recorder: Recorder
) -> None:
    fit = {"class_weight": "balanced", "compose": 0.2, "epochs": 30, "patience": 1, "learning_rate": 1e-9,
           "head_learning_rate": 1e-9}  # fmt: skip
    trained(changed(tiny_recipe, fit=fit, export=FP32), tmp_path / "bundle", reporter=recorder)
    evaluations = [line for line in recorder.lines if line.startswith("epoch")]
    assert len(evaluations) == 2, "a model that does not learn is stopped after one evaluation without gain"


def test_composing_is_for_multilabel(tiny_recipe: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=r"recipe: fit\.compose makes .* only for multilabel; remove it$"):
        parse_recipe(changed({**tiny_recipe, "task": "multiclass"}, fit={"compose": 0.1}))


def subject(decided: np.ndarray, recorder: Recorder) -> Subject:
    """A multilabel model that decided so, with probabilities that say so."""
    proba = np.where(decided, 0.9, 0.1).astype(np.float32)
    answers = Answers(proba, proba.max(axis=1), np.zeros(len(proba), dtype=np.bool_))
    decision = PerLabel(thresholds=(0.5,) * proba.shape[1])
    texts = [str(row) for row in range(len(proba))]
    return Subject(None, Task.MULTILABEL, Uncalibrated(), None, decision, texts, answers, answers, 0, recorder)  # type: ignore[arg-type]


def test_an_export_that_decides_otherwise_fails_with_the_remedy_of_its_kind(recorder: Recorder) -> None:
    logits = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    check = Agreement(logits, "do something else")
    flipped = logits.copy()
    flipped[:2] *= -1
    assert check(subject(logits >= 0, recorder)) == {"agreement_with_torch": 1.0}
    with pytest.raises(CheckFailed, match=r"99\.00% of 200.*do something else"):
        check(subject(flipped >= 0, recorder))
    assert recorder.lines[-1].startswith("this export is not used, because it makes the same decisions on 99.00%")
    one = np.concatenate([flipped[1:2], logits[2:101]])
    agreement = Agreement(np.concatenate([logits[1:2], logits[2:101]]), "")(subject(one >= 0, recorder))
    assert agreement == {"agreement_with_torch": 0.99}, "one row of a hundred is over half a percent, and only one row"


def test_near_ties_may_be_decided_otherwise_if_as_many_rows_are_right(recorder: Recorder) -> None:
    """The trained model decides the first three rows by 0.01; the exported one decides them otherwise."""
    gold = np.random.default_rng(0).random((200, 2)) < 0.5
    logits = np.where(gold, 3.0, -3.0).astype(np.float32)
    logits[:3, 0] = np.where(gold[:3, 0], -0.04, 0.04)  # wrong, all but tied
    logits[3:5, 0] = np.where(gold[3:5, 0], 0.04, -0.04)  # right, all but tied
    for rows, passes in ((slice(0, 3), True), (slice(3, 5), False)):
        exported = logits >= 0
        exported[rows, 0] ^= True
        given = subject(exported, recorder)
        with pytest.raises(CheckFailed, match="do something"):
            Agreement(logits, "do something")(given)
        if passes:
            assert Agreement(logits, "", gold)(given)["near_ties"] == 3
            assert "98.50% of 200 validation rows; that is enough" in recorder.lines[-1]
            assert "required" not in recorder.lines[-1]
            assert recorder.lines[-1].endswith("(within 0.02 of probability); rows that are right: +3")
        else:
            with pytest.raises(CheckFailed, match="2 of the others are near ties, and 2 fewer rows are right"):
                Agreement(logits, "", gold)(given)
    clear = logits >= 0
    clear[10:14, 1] ^= True
    with pytest.raises(CheckFailed, match="0 of the others are near ties"):
        Agreement(logits, "", gold)(subject(clear, recorder))


@pytest.mark.parametrize(
    ("reference", "reject_below", "after", "tied"),
    [
        ([0.50, 0.49, 0.01], 0.0, 1, True),
        ([0.60, 0.39, 0.01], 0.0, 1, False),
        ([0.61, 0.38, 0.01], 0.6, None, True),
        ([0.70, 0.29, 0.01], 0.6, None, False),
    ],
)
def test_ties_of_multiclass(reference: list[float], reject_below: float, after: int | None, tied: bool) -> None:
    before, now = np.array([[True, False, False]]), np.zeros((1, 3), dtype=bool)
    if after is not None:
        now[0, after] = True
    proba = np.array([reference], dtype=np.float32)
    assert near_ties(proba, before, now, Likeliest(reject_below=reject_below)).tolist() == [tied]


@pytest.mark.parametrize(
    ("reference", "likeliest_at", "after", "tied"),
    [
        ([0.30, 0.29, 0.01], 0.2, 1, True),
        ([0.30, 0.20, 0.01], 0.15, 1, False),
        ([0.21, 0.10, 0.01], 0.2, None, True),
        ([0.25, 0.10, 0.01], 0.2, None, False),
        ([0.99, 0.10, 0.01], 1.0, None, False),
    ],
)
def test_ties_of_a_label_that_is_decided_alone(
    reference: list[float], likeliest_at: float, after: int | None, tied: bool
) -> None:
    before, now = np.array([[True, False, False]]), np.zeros((1, 3), dtype=bool)
    if after is not None:
        now[0, after] = True
    decision = PerLabel(thresholds=(0.5,) * 3, likeliest_at=likeliest_at)
    assert near_ties(np.array([reference], dtype=np.float32), before, now, decision).tolist() == [tied]


def test_a_form_that_decides_otherwise_is_followed_by_a_more_exact_one(
    tiny_recipe: dict[str, Any],
    encoder_bundle: Bundle,
    sample: Dataset,
    tmp_path: Path,
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the threshold that int8 moves most rows across: on each processor it makes other errors."""
    texts = list(sample["valid"].texts)
    plain = trained(changed(tiny_recipe, export=FP32), tmp_path / "plain")
    exact, rounded = (Classifier.open(each).predict_proba(texts) for each in (plain, encoder_bundle))
    moved = {float(at): int(((exact > at) != (rounded > at)).any(axis=1).sum()) for at in np.unique(exact)}
    threshold = max(moved, key=lambda at: moved[at])
    monkeypatch.setattr(checks, "NEAR_TIE", 0.0)
    recipe = changed(tiny_recipe, decide={"thresholds": "fixed", "threshold": threshold})
    bundle = trained(recipe, tmp_path / "bundle", reporter=recorder)
    taken = bundle.facts(EncoderFacts)
    names = [rung.name for rung in LADDER]
    assert taken.quantize in names[1:] and taken.because is not None
    before = names[names.index(taken.quantize) - 1]
    assert re.match(rf"({before}|{taken.quantize})\b.*same decisions .* on only \d\d\.\d\d% of 143", taken.because)
    exports = [line for line in recorder.lines if line.startswith("exporting to ONNX")]
    assert exports[0] == "exporting to ONNX (int8)" and exports[-1].endswith(f", because {taken.because}")
    assert bundle.manifest.checks["agreement_with_torch"] >= 0.99
    assert f"quantize {taken.quantize}" in (bundle.path / "README.md").read_text("utf-8")

    named = changed(recipe, export={"quantize": "int8"})
    with pytest.raises(CheckFailed, match=r"same decisions .* 143 validation rows .*; set export\.quantize=auto"):
        trained(named, tmp_path / "strict")


def test_a_model_that_has_learnt_nothing_says_so(
    tiny_recipe: dict[str, Any], tmp_path: Path, recorder: Recorder
) -> None:
    fit = {"epochs": 0.2, "learning_rate": 1e-9, "head_learning_rate": 1e-9}
    decide = {"thresholds": "fixed", "threshold": 0.99}
    trained(changed(tiny_recipe, fit=fit, decide=decide, export=FP32), tmp_path / "bundle", reporter=recorder)
    assert any("has learnt nothing" in line for line in recorder.lines)


def test_a_model_that_depends_on_batch_mates_fails_its_check(
    tiny_recipe: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from purport.runtime.calibration import Scores
    from purport.runtime.onnx import OnnxScorer

    honest = OnnxScorer.score

    def leaky(self: OnnxScorer, texts: Any) -> Scores:
        scores = honest(self, texts)
        # Like a scale that is taken over the batch. The form that is compared with torch is that of a batch.
        return Scores(scores.logits + 0.02 * (len(texts) == 1), scores.truncated)

    monkeypatch.setattr(OnnxScorer, "score", leaky)
    with pytest.raises(CheckFailed, match="other texts in a batch"):
        trained(changed(tiny_recipe, fit={"epochs": 0.2}, export=FP32), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_label_of_valid_that_train_has_not_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("a\tx\nb\ty\n", "utf-8")
    (tmp_path / "valid.tsv").write_text("a\tz\n", "utf-8")
    with pytest.raises(LabelUnknown, match='"z"'):
        trained(
            {"kind": "linear", "task": "multilabel", "data": {"name": str(tmp_path), "valid": "valid"}}, tmp_path / "o"
        )


def test_an_unknown_encoder_says_so(tiny_recipe: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot load encoder no/such-model"):
        trained(changed(tiny_recipe, model={"name": "no/such-model"}), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


SLOW = {"epochs": 4, "save_steps": 6, "batch_size": 32, "patience": 8, "metric": "f1_micro"}


def command(recipe: Path, out: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "purport", "train", str(recipe), "--out", str(out), *options]


def steps_of(checkpoints: Path) -> list[int]:
    """The steps after which there is a whole checkpoint."""
    return [int(file.parent.name.partition("-")[2]) for file in checkpoints.glob("checkpoint-*/trainer_state.json")]


def test_a_killed_training_resumes_to_the_same_result(
    tiny_recipe: dict[str, Any], tmp_path: Path, recorder: Recorder
) -> None:
    recipe = changed(tiny_recipe, fit=SLOW, export=FP32)
    whole = trained(recipe, tmp_path / "whole")
    file = as_toml(recipe, tmp_path / "recipe.toml")
    out = tmp_path / "killed"
    process = subprocess.Popen(command(file, out), stderr=subprocess.DEVNULL)
    checkpoints = work_directory(out) / "checkpoints"
    # Not at an epoch's end: 24 steps an epoch, a checkpoint every 6.
    while not any(step > 24 and step % 24 for step in steps_of(checkpoints)):
        assert process.poll() is None, "training ended before it could be killed"
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists()

    with pytest.raises(OutputExists, match="--resume"):
        train(parse_recipe(recipe), out)
    with pytest.raises(RunMismatch, match="a different recipe"):
        train(parse_recipe({**recipe, "seed": 9}), out, resume=True)
    resumed = trained(recipe, out, resume=True, reporter=recorder)
    assert any("resuming from checkpoint-" in line for line in recorder.lines)
    assert resumed.manifest == whole.manifest, "the resumed run gave another bundle"


def test_nothing_that_is_not_ours_is_deleted(tiny_recipe: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "bundle.run").mkdir()
    (tmp_path / "bundle.run" / "precious").touch()
    with pytest.raises(OutputExists, match="contains something else"):
        trained(tiny_recipe, tmp_path / "bundle", overwrite=True)
    assert (tmp_path / "bundle.run" / "precious").exists()


def test_a_run_that_replaces_a_bundle_can_be_resumed(
    tiny_recipe: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorder: Recorder
) -> None:
    out = tmp_path / "bundle"
    recipe = changed(tiny_recipe, fit={"epochs": 1}, export=FP32)
    trained(recipe, out)

    def failing(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(steps, "seal", failing)
        trained({**recipe, "seed": 8}, out, overwrite=True)
    assert Bundle.open(out).manifest.recipe["seed"] == 3, "the old bundle is untouched"
    # Thresholds may change between attempts: no checkpoint depends on them.
    again = changed({**recipe, "seed": 8}, decide={"thresholds": "fixed"})
    bundle = trained(again, out, overwrite=True, resume=True, reporter=recorder)
    assert any("resuming from" in line for line in recorder.lines) and bundle.manifest.recipe["seed"] == 8
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_an_encoder_is_not_asked_for_more_tokens_than_it_reads(tiny_recipe: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="reads at most 64 tokens"):
        trained(changed(tiny_recipe, model={"max_length": 65}), tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == [], "a run that failed at once leaves nothing"
    with pytest.raises(RecipeError, match="fp16 needs a GPU"):
        trained(changed(tiny_recipe, fit={"precision": "fp16"}), tmp_path / "bundle")


def test_an_interrupted_training_leaves_no_bundle(tiny_recipe: dict[str, Any], tmp_path: Path) -> None:
    file = as_toml(changed(tiny_recipe, fit=SLOW), tmp_path / "recipe.toml")
    out = tmp_path / "out" / "bundle"
    # A shell starts what runs in its background with Ctrl-C ignored; here it is not.
    heard = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command(file, out), stderr=subprocess.PIPE, text=True, preexec_fn=heard)
    while not list((work_directory(out) / "checkpoints").glob("checkpoint-*")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in stderr
    assert "interrupted; to continue, run the same command with --resume" in stderr
    assert [path.name for path in out.parent.iterdir()] == ["bundle.run"]


def test_two_processes_train_the_same_recipe(tiny_recipe: dict[str, Any], tmp_path: Path) -> None:
    file, out = as_toml(tiny_recipe, tmp_path / "recipe.toml"), tmp_path / "bundle"
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "0", "--standalone"]
    done = subprocess.run(
        [sys.executable, *launcher, "-m", "purport", "train", str(file), "--out", str(out)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    bundle = Bundle.open(out)
    assert done.stdout.count("try it: ") == 1, "both processes reported"
    recipe: Recipe = load_recipe(file)
    assert parse_recipe(bundle.manifest.recipe) == recipe
    assert Classifier.open(bundle).predict_proba(["where is my parcel"]).shape == (1, 18)
