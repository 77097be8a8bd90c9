"""The signing component alone: make a key, sign a copy of the shipped bundle, open it for who knows the key."""

import importlib.util
import shutil
import tempfile
from pathlib import Path

from typer.testing import CliRunner

from purport.bundle import locate
from purport.cli.main import app

HEAVY = ("torch", "transformers", "peft", "sklearn", "pandas", "fastapi")
present = [name for name in HEAVY if importlib.util.find_spec(name)]
assert not present, f"the signing environment has {present}"


def call(*words: str | Path) -> str:
    done = CliRunner().invoke(app, [*map(str, words)])
    assert done.exit_code == 0, (words, done.output, done.exception)
    return done.output


with tempfile.TemporaryDirectory() as folder:
    key, bundle = Path(folder, "key"), shutil.copytree(locate("atis"), Path(folder, "bundle"))
    call("sign", "--new-key", key)
    assert "is signed" in call("sign", bundle, "--key", key)
    answer = call("predict", bundle, "show me flights", "--json", "--require-signature", f"{key}.pub")
    assert '"flight"' in answer, answer
    refused = CliRunner().invoke(app, ["predict", "atis", "x", "--require-signature", f"{key}.pub"])
    assert "has no signature" in str(refused.exception), refused
