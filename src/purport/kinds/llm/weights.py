"""Where the weights of a local model are, and whether they are those that a bundle was made with."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from ...errors import BundleUnsupported, ProviderError
from ...files import sha256
from ...settings import LOCAL_MODELS

GGUF = ".gguf"
_OF_MODEL = (".safetensors", ".json", ".jinja", ".model", ".txt")


def found(model: str) -> Path:
    """The directory or file that a recipe names.

    Raises:
        ProviderError: it is neither a directory of a model nor a file ``.gguf``.
    """
    path = Path(model)
    if (path / "config.json").is_file() or (path.suffix == GGUF and path.is_file()):
        return path.resolve()
    what = "has no config.json" if path.is_dir() else "is no file .gguf" if path.is_file() else "does not exist"
    raise ProviderError(
        f"local.model: {model} {what}; name a directory that holds a model of transformers, or a file .gguf"
    )


def checksum(path: Path) -> str:
    """The sha256 of all that decides the answers of the model at ``path``: weights, configuration and tokenizer."""
    if path.is_file():
        return sha256(path)
    files = sorted(each for each in path.iterdir() if each.suffix in _OF_MODEL and each.is_file())
    whole = "".join(f"{sha256(each)} {each.name}\n" for each in files)
    return hashlib.sha256(whole.encode()).hexdigest()


def located(bundle: Path, model: str, expected: str) -> Path:
    """Where the model of a ``bundle`` is on this machine: where it was, or below ``PURPORT_LOCAL_MODELS``.

    Raises:
        BundleUnsupported: it is not there, or is another one than the bundle was made with.
    """
    path = Path(model)
    if elsewhere := os.environ.get(LOCAL_MODELS, ""):
        path = Path(elsewhere) / path.name
    try:
        actual = checksum(found(str(path)))
    except (ProviderError, OSError):
        raise BundleUnsupported(
            f"{bundle} needs the language model {model}, which is not at {path}; put it there, or name the directory "
            f"that holds {path.name} in the environment variable {LOCAL_MODELS}"
        ) from None
    if actual != expected:
        raise BundleUnsupported(
            f"{bundle} was made with another language model than the one at {path} (their checksums differ); put the "
            "right one there, or train the bundle again"
        )
    return path.resolve()
