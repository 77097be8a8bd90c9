"""Where this installation came from, so that a message can name a command that works there."""

from __future__ import annotations

import json
import shlex
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


def install_command(extra: str) -> str:
    """The command that adds ``extra`` to this installation.

    A checkout and a wheel file are named by their path, as ``direct_url.json`` records it (PEP 610); anything else
    came from a package index.
    """
    origin = _origin()
    if origin is None:
        return f"pip install 'purport[{extra}]'"
    if origin.is_file():
        return f"pip install {shlex.quote(f'{origin}[{extra}]')}"
    here = origin == Path.cwd()
    place = "." if here else str(origin)
    pins = shlex.quote("constraints.txt" if here else str(origin / "constraints.txt"))
    return f"pip install -c {pins} -e {shlex.quote(f'{place}[{extra}]')}"


def _origin() -> Path | None:
    """The checkout or the wheel file that was installed, where it is still there."""
    recorded = _direct_url()
    try:
        parts = urlsplit(str(recorded.get("url", "")))
    except ValueError:
        return None
    path = Path(unquote(parts.path))
    if parts.scheme != "file":
        return None
    whole = path.is_file() if "archive_info" in recorded else (path / "constraints.txt").is_file()
    return path if whole else None


def _direct_url() -> dict[str, Any]:
    try:
        text = Distribution.from_name("purport").read_text("direct_url.json")
    except PackageNotFoundError:
        return {}
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
