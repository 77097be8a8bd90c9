"""Where the bundles may lie that a client asks for: nobody may look at the server's disk through ``PUT /v1/models``."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ..bundle import shipped
from ..destination import MANIFEST
from ..errors import Forbidden, SettingsError


class Places:
    """The directories ``named`` at the start, everything below ``models_dir``, and the shipped bundles.

    Raises:
        SettingsError: ``models_dir`` is not a directory.
    """

    def __init__(self, named: Iterable[str | os.PathLike[str]], models_dir: str = "") -> None:
        self._named = {_spelt(each) for each in named}
        self._models_dir = _spelt(models_dir) if models_dir else ""
        if self._models_dir and not Path(self._models_dir).is_dir():
            raise SettingsError(f"models_dir: {models_dir} is not a directory; name one that is there")

    def resolved(self, ref: str | os.PathLike[str]) -> Path:
        """The directory that ``ref`` means; one below ``models_dir`` is given without links, wherever they were.

        Relative paths start at the server's working directory. A path elsewhere is refused for what it says: the disk
        is not asked, so that neither the answer nor its time tells whether something is there.

        Raises:
            Forbidden: it is none of the places.
        """
        asked = os.fspath(ref)
        path, by_name = _spelt(asked), shipped()
        found = Path(path) if path in self._named else self._below(path)
        if asked in by_name and not (found and (found / MANIFEST).is_file()):
            return by_name[asked]
        if found is None:
            raise self._refusal(by_name)
        return found

    def _below(self, path: str) -> Path | None:
        """``path`` without links, if it is below ``models_dir`` before and after they are followed."""
        if not self._models_dir:
            return None
        root = os.path.realpath(self._models_dir)
        if not any(_is_below(path, each) for each in (self._models_dir, root)):
            return None
        try:
            real = os.path.realpath(path)
        except ValueError:  # it cannot be the name of a file
            return None
        return Path(real) if _is_below(real, root) else None

    def _refusal(self, by_name: Iterable[str]) -> Forbidden:
        below = f"which is {self._models_dir}" if self._models_dir else "which is not set (serve --models-dir DIR)"
        return Forbidden(
            f'"bundle" must be a shipped name ({", ".join(by_name)}), a directory that the server was started with, or '
            f"one below the setting models_dir, {below}."
        )


def _spelt(path: str | os.PathLike[str]) -> str:
    """The absolute form of ``path``, without asking the disk about links."""
    return os.path.abspath(path)  # noqa: PTH100


def _is_below(path: str, root: str) -> bool:
    return Path(path).is_relative_to(root)
