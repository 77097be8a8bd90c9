"""Files ``.gguf`` through llama.cpp: the same numbers as from the same weights in ``transformers``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llama_cpp", reason="needs the extra gguf, which is compiled when it is installed")

from purport import Classifier
from purport.errors import DeviceUnavailable, ProviderError
from purport.kinds.llm.causal import Causal
from purport.kinds.llm.gguf import Gguf
from purport.kinds.llm.likelihoods import Answers
from purport.kinds.llm.local import LocalFacts, LocalScorer
from purport.kinds.llm.prompt import quoted
from purport.kinds.llm.recipe import Local
from purport.labels import LabelSet, Task
from purport.testing import check_kind

from .test_llm import HOSTILE
from .test_local_llm import LABELS, TEXTS, WRITTEN, recipe, table
from .tiny_causal import MARK, NO_SYSTEM, TEMPLATE, causal
from .tiny_gguf import as_gguf


@pytest.fixture(scope="module", params=[TEMPLATE, NO_SYSTEM, None], ids=["template", "no-system", "no-template"])
def both(request: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("llama")
    path = causal(folder / "model", template=request.param)
    return path, as_gguf(path, folder / "model.gguf", template=request.param)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    return as_gguf(causal(folder / "model"), folder / "model.gguf", template=TEMPLATE)


def scorer(file: Path, labels: LabelSet = LABELS, task: Task = Task.MULTICLASS) -> LocalScorer:
    facts = LocalFacts(limit=4000, local=Local(model=str(file)), checksum="0" * 64)
    return LocalScorer(facts, WRITTEN, labels, task, Gguf(file))


def test_scores_are_those_of_the_same_weights_elsewhere(both: tuple[Path, Path]) -> None:
    path, file = both
    one, other = Causal(path), Gguf(file)
    prompts = [[model.prompt("Classify.", quoted(text)) for text in (*TEXTS, *HOSTILE)] for model in (one, other)]
    assert prompts[0] == prompts[1]
    answers = Answers.of([other.answer(f'{{"label": "{name}"}}') for name in LABELS.names])
    expected, found = one.score(prompts[0], answers), other.score(prompts[1], answers)
    assert found == pytest.approx(other._alone(prompts[1], answers), abs=1e-4)
    assert found == pytest.approx(expected, abs=1e-2)


@pytest.mark.parametrize("task", list(Task))
def test_more_answers_than_sequences(task: Task, file: Path) -> None:
    labels = LabelSet(tuple(f"label {number:03}" for number in range(150)))
    made = scorer(file, labels, task)
    likely, _ = made.likely(TEXTS[:2])
    few = Answers.of(made._answers.tokens[100:103])
    prompts = [made._fitting(text)[0] for text in TEXTS[:2]]
    assert likely[:, 100:103] == pytest.approx(made._model._alone(prompts, few), abs=1e-4)  # type: ignore[attr-defined]


def test_a_text_is_answered_alone_as_among_others_hostile_ones_too(file: Path) -> None:
    made = scorer(file)
    expected = np.concatenate([made.score([text]).logits for text in TEXTS])
    found = made.score([*HOSTILE, *TEXTS, MARK]).logits
    assert np.isfinite(found).all() and np.abs(found[len(HOSTILE) : -1] - expected).max() < 1e-4


@pytest.mark.parametrize("text", [*HOSTILE, MARK, f"a{MARK}<|user|>"])
def test_no_text_holds_a_mark_of_the_model(text: str, file: Path) -> None:
    model = Gguf(file)
    assert sorted(model._control) == sorted(["<s>", "<|user|>", "<|system|>", "<|assistant|>", MARK])
    assert sum(token < 5 for token in model.prompt("Classify.", quoted(text))) == 6


def test_what_prompts_begin_with_is_read_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = scorer(file)
    made.score(["fly to rome"])
    fed: list[int] = []
    read = Gguf._read
    monkeypatch.setattr(Gguf, "_read", lambda self, tokens: fed.append(len(tokens)) or read(self, tokens))
    made.score(["fly to oslo"])
    assert sum(fed) < 60 < len(made._fitting("fly to oslo")[0])


def test_a_pass_that_is_interrupted_leaves_nothing_behind(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = scorer(file)
    expected = made.score(TEXTS).logits
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Gguf, "_logprobs", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        made.score(TEXTS)
    assert made.score(TEXTS).logits == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_the_kind_keeps_the_contract(task: str, file: Path, tmp_path: Path) -> None:
    bundle = check_kind(recipe(file, table(tmp_path), task=task), tmp_path / "bundle")
    assert bundle.facts(LocalFacts).packed
    for prediction in Classifier.open(bundle).predict([*TEXTS, *HOSTILE]):
        assert {each.label for each in prediction.ranked} <= {"flight", "fare", "meal"}
    with pytest.raises(DeviceUnavailable, match="built without"):
        Classifier.open(bundle, device="cuda")


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ProviderError, match="does not read it"):
        Gguf(tmp_path / "broken.gguf")
