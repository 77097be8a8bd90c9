"""Everything that is registered keeps the contract of its seam, third parties' additions included."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from purport import Bundle, Classifier, Dataset, registry
from purport.data.formats import Format
from purport.kinds.kind import Kind
from purport.prediction import AnswerOptions
from purport.serving.explanations import ExplainOptions
from purport.settings import ServerSettings
from purport.testing import (
    check_authenticator,
    check_bundle,
    check_explainer,
    check_format,
    check_kind,
    check_model,
    check_operation,
)

from ..conftest import SAMPLE
from ..unit.scripted_llm import Script, serving

TEXTS = ["where is my parcel", "cancel my order and send an invoice", "x", "My lamp came in pieces. " * 300]


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Script]:
    """A service that knows two labels by their words."""
    words = {"track_order": ("where", "parcel"), "cancel_order": ("cancel",)}
    with pytest.MonkeyPatch.context() as patch, serving(Script(words=words)) as script:
        patch.setenv("OPENAI_API_KEY", "sk-scripted")
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield script


@pytest.fixture(scope="session")
def recipes(
    tiny_recipe: dict[str, Any], linear_bundle: Bundle, encoder_bundle: Bundle, service: Script
) -> dict[str, dict[str, Any]]:
    """A recipe of each kind that trains in seconds. Who adds a kind adds one here."""
    common = {"task": "multilabel", "data": dict(SAMPLE)}
    fp32 = {"export": {"quantize": "none"}}
    return {
        "linear": {"kind": "linear", **common},
        "encoder": tiny_recipe | fp32,
        "distilled": {
            "kind": "distilled",
            **common,
            **fp32,
            "teacher": {"bundle": str(encoder_bundle.path), "layers": [1]},
            "fit": {"steps": 20, "batch_size": 16, "save_steps": 10},
        },
        "cascade": {
            "kind": "cascade",
            **common,
            "stages": {"bundles": [str(encoder_bundle.path), str(linear_bundle.path)], "target": "passed_on <= 0.5"},
        },
        "llm": {
            "kind": "llm",
            **common,
            "provider": {"model": "scripted", "base_url": service.url},
            "prompt": {"votes": 2, "examples": 1},
        },
        "dictionary": {"kind": "dictionary", **common},
    }


@pytest.mark.parametrize("name", registry.names("kinds"))
def test_a_kind_trains_answers_and_is_measured(
    name: str, recipes: dict[str, dict[str, Any]], tmp_path: Path
) -> None:  # fmt: skip
    bundle = check_kind(recipes[name], tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name], "a finished run leaves its bundle only"
    assert bundle.manifest.provenance.splits.keys() == {"train", "valid", "test"}


def test_every_opener_belongs_to_a_kind_that_is_tested_or_to_a_test() -> None:
    openers = {registry.load("kinds", name).opener for name in registry.names("kinds")}
    assert set(registry.names("models")) == openers | {"scripted"}


@pytest.mark.parametrize("name", registry.names("kinds"))
def test_importing_a_kind_imports_no_training_library(name: str) -> None:
    import subprocess
    import sys

    code = (
        "import sys; sys.path[:0] = sys.argv[2:]; from purport import registry; registry.load('kinds', sys.argv[1]);"
        "print([each for each in ('torch', 'sklearn', 'transformers', 'scipy') if each in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, name, *sys.path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert isinstance(registry.load("kinds", name), Kind)


def test_the_shipped_bundle() -> None:
    check_bundle("atis", texts=TEXTS)


def test_a_bundle_in_the_format_of_the_last_version() -> None:
    check_bundle(Path(__file__).parents[1] / "data" / "linear-format-1", texts=TEXTS)


@pytest.mark.parametrize("name", registry.names("operations"))
def test_an_operation(name: str, linear_bundle: Bundle) -> None:
    explain = ExplainOptions(label=None, method=None, calls=16, examples=2)
    options = {"classify": AnswerOptions(probabilities=True), "explain": explain, "probe": None, "spell": None}
    operation = registry.load("operations", name)()
    check_operation(operation, Classifier.open(linear_bundle), options=options[name], texts=TEXTS)


@pytest.mark.parametrize("name", registry.names("explainers"))
def test_a_method_of_explaining(name: str, linear_bundle: Bundle, encoder_bundle: Bundle) -> None:
    explainer = registry.load("explainers", name)
    if name.startswith("integrated_gradients"):
        pytest.importorskip("captum", reason="the extra explain is not installed")
    bundle = next(each for each in (linear_bundle, encoder_bundle) if explainer.unfit(each) is None)
    check_explainer(explainer, Classifier.open(bundle, threads=1), texts=TEXTS)


@pytest.mark.parametrize("name", registry.names("authenticators"))
def test_an_authenticator(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PURPORT_API_KEYS", "clerk@intent")
    check_authenticator(registry.load("authenticators", name)(ServerSettings()), credential="clerk", wrong=None)


@pytest.mark.parametrize("name", registry.names("formats"))
def test_a_format(name: str, tmp_path: Path) -> None:
    format_: Format = registry.load("formats", name)
    check_format(format_, tmp_path)


def test_a_contract_that_is_broken_is_found(linear_bundle: Bundle, sample: Dataset) -> None:
    model = Classifier.open(linear_bundle).model

    class Leaky:
        """Answers that depend on the other texts of the call, and traits that deny it."""

        traits, lengths = model.traits, model.lengths

        def answer(self, texts: Any) -> Any:
            answers = model.answer(texts)
            answers.probabilities[:] = (answers.probabilities + 0.1 * (len(texts) > 1)).clip(0, 1)
            return answers

    texts = list(sample["test"].texts)[:5]
    check_model(model, n_labels=len(linear_bundle.labels), texts=texts)
    with pytest.raises(AssertionError, match="other texts in its batch"):
        check_model(Leaky(), n_labels=len(linear_bundle.labels), texts=texts)
