"""Where encoders come from: no code of theirs is run, and a hub that is out of reach is told at once."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from purport.errors import RecipeError
from purport.kinds.encoder.network import load_encoder, load_tokenizer
from purport.kinds.encoder.recipe import EncoderModel

COMMIT = "0" * 40
LOAD = """
import json, sys, time
from purport.errors import RecipeError
from purport.kinds.encoder.network import load_encoder, load_tokenizer
from purport.kinds.encoder.recipe import EncoderModel

started, said = time.monotonic(), []
for load in (load_tokenizer, load_encoder):
    try:
        load(EncoderModel(name="somebody/encoder", max_length=32))
    except RecipeError as error:
        said.append(str(error))
print(json.dumps({"seconds": time.monotonic() - started, "said": said}))
"""


def edit(file: Path, **keys: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), **keys}), "utf-8")


@pytest.mark.parametrize("known", [True, False], ids=["bert", "unknown-type"])
@pytest.mark.parametrize("where", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("load", [load_encoder, load_tokenizer])
def test_an_encoder_with_code_is_refused_and_the_code_is_not_run(
    where: str, known: bool, load: Callable[[EncoderModel], Any], tiny_encoder: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folder = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n", "utf-8")
    classes = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model", "AutoTokenizer": [None, "evil.Tokenizer"]}
    edit(folder / where, auto_map=classes)
    if not known:
        edit(folder / "config.json", model_type="evil")
    # On a terminal, `transformers` would ask whether to run it.
    monkeypatch.setattr("builtins.input", lambda _: "y")
    with pytest.raises(RecipeError, match=rf"brings Python code of its own \(auto_map in its {where}\)"):
        load(EncoderModel(name=str(folder)))
    assert not (tmp_path / "ran").exists()


def load_from_hub(cache: Path, **environment: str) -> dict[str, Any]:
    """What loading an encoder from the hub says, and the seconds it takes."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    done = subprocess.run(
        [sys.executable, "-c", LOAD],
        capture_output=True,
        text=True,
        env={**variables, "HF_HOME": str(cache), **environment},
    )
    assert done.returncode == 0, done.stderr
    assert "Retrying" not in done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def silent_hub() -> Any:
    """The address of a hub that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "http://127.0.0.1:9 cannot be reached"),
        ({"HF_ENDPOINT": "http://hub.invalid"}, "http://hub.invalid cannot be reached"),
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
        ({"TRANSFORMERS_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
        ({}, "cannot be reached (no answer)"),
    ],
)
def test_a_hub_out_of_reach_is_told_in_one_sentence(
    environment: dict[str, str], why: str, silent_hub: str, tmp_path: Path
) -> None:
    told = load_from_hub(tmp_path, **(environment or {"HF_ENDPOINT": silent_hub}))
    assert told["seconds"] < 8
    for said in told["said"]:
        assert said.startswith("cannot load encoder somebody/encoder: ") and why in said and "\n" not in said
    assert len(told["said"]) == 2


def test_what_lies_in_the_cache_is_loaded_without_the_hub(tiny_encoder: Path, tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "models--somebody--encoder"
    shutil.copytree(tiny_encoder, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT, "utf-8")
    told = load_from_hub(tmp_path, HF_ENDPOINT="http://127.0.0.1:9")
    assert told["said"] == [] and told["seconds"] < 8
