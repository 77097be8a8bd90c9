"""Arrays of a bundle, in files of NumPy that may come from anybody."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from .contents import loading, opened

# An archive may unpack to so many bytes, and to more only if it is not much smaller itself.
_SMALL, _LARGE, _MOST_TIMES = 2**26, 2**31, 16
# The end of a ZIP archive without a comment (APPNOTE.TXT 4.3.16): signature, numbers of disks and entries, size and
# place of the directory. Larger ones, which NumPy writes from 4 GiB on, have a locator before it (4.3.15).
_END = struct.Struct("<4s4H2LH")
_LOCATOR_SIZE, _LOCATOR = 20, b"PK\x06\x07"
_LARGEST_DIRECTORY = 2**16
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


class Form(NamedTuple):
    """What an array must be: its type, as NumPy names it, and its number of axes."""

    dtype: str
    axes: int = 1


def read_arrays(
    directory: Path, name: str, required: Mapping[str, Form], optional: Mapping[str, Form] | None = None
) -> dict[str, NDArray[Any]]:
    """The arrays in the file ``name``: all that are ``required``, and those of ``optional`` that are there.

    Sizes are compared before anything is unpacked.

    Raises:
        BundleCorrupt: the file cannot be read, or an array is missing, of another form, or has a value that is not a
            finite number.
    """
    with opened(directory, name) as (stream, size), loading(directory, name), _archive(stream, size) as archive:
        present = {*archive.namelist()}
        forms = {**required, **{each: form for each, form in (optional or {}).items() if f"{each}.npy" in present}}
        return {each: _array(archive, each, form) for each, form in forms.items()}


def read_all_arrays(directory: Path, name: str, form: Form) -> dict[str, NDArray[Any]]:
    """All arrays in the file ``name``, which are of one ``form``.

    Raises:
        BundleCorrupt: see :func:`read_arrays`.
    """
    with opened(directory, name) as (stream, size), loading(directory, name), _archive(stream, size) as archive:
        return {each.removesuffix(".npy"): _array(archive, each.removesuffix(".npy"), form)
                for each in archive.namelist()}  # fmt: skip


def _archive(stream: BinaryIO, size: int) -> zipfile.ZipFile:
    """The archive of ``size`` bytes in ``stream``.

    Raises:
        ValueError: it is none that NumPy writes, or it unpacks to too much.
    """
    stream.seek(max(0, size - _END.size - _LOCATOR_SIZE))
    tail = stream.read(_END.size + _LOCATOR_SIZE)
    signature, *_, directory, _place, comment = _END.unpack(tail[-_END.size :])
    if signature != b"PK\x05\x06" or comment or directory > _LARGEST_DIRECTORY or tail.startswith(_LOCATOR):
        raise ValueError("it is not a file of arrays")
    archive = zipfile.ZipFile(stream)
    unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > min(_LARGE, max(_SMALL, _MOST_TIMES * size)):
        raise ValueError(f"{size:,} bytes would become {unpacked:,}")
    return archive


def _array(archive: zipfile.ZipFile, name: str, form: Form) -> NDArray[Any]:
    try:
        entry = archive.getinfo(f"{name}.npy")
    except KeyError:
        raise ValueError(f"there is no array {name}") from None
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is packed in a way that NumPy does not use")
    with archive.open(entry) as member:
        version = npy.read_magic(member)
        if version not in _HEADERS:
            raise ValueError(f"{name} has the unknown format {version}")
        shape, _, dtype = _HEADERS[version](member)
        if dtype != np.dtype(form.dtype) or len(shape) != form.axes:
            raise ValueError(f"{name} has {len(shape)} axes of {dtype} instead of {form.axes} of {form.dtype}")
        if min(shape) < 0 or prod(shape) * dtype.itemsize != entry.file_size - member.tell():
            raise ValueError(f"{name} is not as large as it says")
    with archive.open(entry) as member:
        array: NDArray[Any] = npy.read_array(member, allow_pickle=False)
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name} has a value that is not a finite number")
    return array
