"""Models and data that many tests share. Tiny models stand for large ones: same code, made in seconds."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from purport import Bundle, Dataset, Example, load_dataset
from purport.data.reading import Reading
from purport.testing import Recorder
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# A machine that does other work as well takes its time; speed is measured in benchmarks.
settings.register_profile("purport", deadline=None)
settings.load_profile("purport")

SAMPLE = {"name": "sample", "valid": "valid", "test": "test", "unlabelled": "out_of_scope"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts servers, browsers, environments or trains for long is slow; see `make check`. The longest come first,
    because the tests of one file run in one process: the last file should be a short one (`--no-loadscope-reorder`)."""
    items.sort(key=lambda item: not item.path.name.startswith("test_every_"))
    for item in items:
        if {"e2e", "integration"} & set(item.path.parts):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def program() -> Callable[..., str]:
    """Finds the first of some programs that this machine has; without any the test is skipped, but fails in CI."""

    def find(*names: str, install: str) -> str:
        found = next(filter(None, map(shutil.which, names)), None)
        if found:
            return found
        # CI installs it, and must not pass without.
        assert not os.environ.get("CI"), f"no {' or '.join(names)}"
        pytest.skip(f"no {' or '.join(names)}: {install}")

    return find


@pytest.fixture
def recorder() -> Recorder:
    """A reporter that keeps what it is told."""
    return Recorder()


@pytest.fixture(scope="session")
def sample() -> Dataset:
    return load_dataset("sample", Reading(unlabelled="out_of_scope"))


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory, sample: Dataset) -> Path:
    """A randomly initialised BERT of 2 layers whose word pieces are the sample's characters and most frequent words.

    A trained tokenizer would be another one each time: ties are broken by the order of a hash table.
    """
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel, BertTokenizerFast, set_seed

    path = tmp_path_factory.mktemp("tiny-encoder")
    words = re.findall(r"\w+|[^\w\s]", "\n".join(sample["train"].texts).lower())
    letters = sorted(set("".join(words)))
    frequent = [word for word, count in Counter(words).most_common() if count > 1 and len(word) > 1]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = [*special, *letters, *(f"##{letter}" for letter in letters), *frequent][:800]
    pieces = BertWordPieceTokenizer({piece: number for number, piece in enumerate(vocabulary)}, lowercase=True)
    tokenizer = BertTokenizerFast(tokenizer_object=pieces._tokenizer)
    tokenizer.save_pretrained(path)
    set_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def tiny_recipe(tiny_encoder: Path) -> dict[str, Any]:
    """A recipe that trains in about two seconds; quantisation is checked on trained models, not on this noise."""
    return {
        "kind": "encoder",
        "task": "multilabel",
        "seed": 3,
        "data": dict(SAMPLE),
        "model": {"name": str(tiny_encoder), "max_length": 32},
        "adapter": {"rank": 4, "alpha": 8},
        "fit": {"epochs": 2, "learning_rate": 5e-3, "head_learning_rate": 1e-2, "precision": "fp32"},
    }


@pytest.fixture(scope="session")
def linear_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    recipe = parse_recipe({"kind": "linear", "task": "multilabel", "data": SAMPLE})
    bundle = train(recipe, tmp_path_factory.mktemp("linear") / "bundle")
    assert bundle is not None
    return bundle


@pytest.fixture(scope="session")
def encoder_bundle(tmp_path_factory: pytest.TempPathFactory, tiny_recipe: dict[str, Any]) -> Bundle:
    bundle = train(parse_recipe(tiny_recipe), tmp_path_factory.mktemp("encoder") / "bundle")
    assert bundle is not None
    return bundle


@pytest.fixture(scope="session")
def public_data() -> Path:
    """Where the public datasets lie; tests that need them say so when they are not here."""
    directory = os.environ.get("PURPORT_DATA_DIR")
    if not directory or not Path(directory, "atis").is_dir():
        pytest.skip("the public datasets are not here: set PURPORT_DATA_DIR (README, Your own data)")
    return Path(directory)


@pytest.fixture
def animals() -> Dataset:
    """Four rows that anybody can check by eye."""
    return Dataset.from_examples(
        {
            "train": [
                Example("a cat", ("cat",)),
                Example("a dog", ("dog",)),
                Example("cat and dog", ("cat", "dog")),
                Example("a bird", ("bird",)),
            ],
            "test": [Example("a cow", ("cow",)), Example("cat", ("cat",))],
        }
    )
