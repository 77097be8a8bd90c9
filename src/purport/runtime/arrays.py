"""Arrays of a bundle, in files of NumPy."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleCorrupt


def read_arrays(
    directory: Path, name: str, required: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, NDArray[Any]]:
    """The arrays in the file ``name``: all that are ``required``, and those of ``optional`` that are there.

    Raises:
        BundleCorrupt: the file cannot be read, or an array is missing.
    """
    try:
        with np.load(directory / name, allow_pickle=False) as arrays:
            return {each: arrays[each] for each in (*required, *(each for each in optional if each in arrays))}
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise BundleCorrupt(directory, name, f"cannot be loaded ({error})") from None
