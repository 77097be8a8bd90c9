"""Files that anybody may have written are read in bounded time and memory, or not at all."""

from __future__ import annotations

import hashlib
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from purport.arrays import Form, read_all_arrays, read_arrays
from purport.contents import (
    largest,
    loading,
    opened,
    parse_json,
    read_bytes,
    read_json,
    shortened,
    verify,
    while_wanted,
)
from purport.errors import BundleCorrupt, DeviceUnavailable


def test_only_regular_files_inside_are_read(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "file").write_bytes(b"abc")
    (tmp_path / "fifo.json").touch()
    (tmp_path / "fifo.json").unlink()
    os.mkfifo(tmp_path / "fifo.json")
    (tmp_path / "link").symlink_to(tmp_path / "inner" / "file")
    (tmp_path / "outer").symlink_to(tmp_path / "inner")
    assert read_bytes(tmp_path, "inner/file") == b"abc"
    for name in ("fifo.json", "link", "outer/file", "inner", "nothing", "inner/file/more", "a\0b", "x" * 300):
        with pytest.raises(BundleCorrupt):
            read_bytes(tmp_path, name)


def test_a_bundle_may_be_named_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "file").write_bytes(b"abc")
    (tmp_path / "current").symlink_to("v1")
    assert read_bytes(tmp_path / "current", "file") == b"abc"


def test_a_size_is_compared_before_anything_is_read(tmp_path: Path) -> None:
    for name in ("manifest.json", "words.json", "README.md", "model.onnx", "weights.bin"):
        file = tmp_path / name
        file.touch()
        os.truncate(file, largest(name) + 1)
        for read in (lambda: read_bytes(tmp_path, name), lambda: verify(tmp_path, name, largest(name) + 1, "")):  # noqa: B023
            with pytest.raises(BundleCorrupt, match="at most"):
                read()
        file.unlink()
    (tmp_path / "words.json").write_bytes(b"[1234]")
    with pytest.raises(BundleCorrupt, match="has 6 bytes; such a file has at most 5"):
        read_json(tmp_path, "words.json", 5)
    with opened(tmp_path, "words.json") as (stream, size):
        assert (stream.read(), size) == (b"[1234]", 6)


def test_a_file_is_read_only_as_long_as_somebody_wants_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.truncate(tmp_path / "file", 2**31)
    asked = iter(range(1000))
    with while_wanted(lambda: next(asked) < 5), pytest.raises(BundleCorrupt, match="nobody waits"):
        verify(tmp_path, "file", 2**31, "")
    assert next(asked) == 6
    (tmp_path / "file").write_bytes(b"abc")
    assert read_bytes(tmp_path, "file") == b"abc"


def test_a_checksum_is_that_of_the_whole_file(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "file").write_bytes(content)
    verify(tmp_path, "file", len(content), hashlib.sha256(content).hexdigest())
    with pytest.raises(BundleCorrupt, match="instead of 2"):
        verify(tmp_path, "file", 2, hashlib.sha256(content[:2]).hexdigest())
    (tmp_path / "file").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(BundleCorrupt, match="does not match"):
        verify(tmp_path, "file", len(content), hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    "raw", [b"NaN", b"[-Infinity]", b'["\\ud800"]', b"\xff", b"", b"[" * 100_000, b"1" * 5000, b"[" + b"[]," * 200_000]
)
def test_json_is_that_of_the_standard(raw: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        parse_json(raw)


def test_brackets_in_texts_and_pairs_of_surrogates_are_no_mistake() -> None:
    assert parse_json(b'["\\ud83d\\ude00"]') == ["\U0001f600"]
    many = b'["' + b'[\\"' * 150_000 + b'"]'
    assert len(parse_json(many)[0]) == 300_000
    with pytest.raises(ValueError, match="2 keys"):
        parse_json(b'{"a": 1, "b": 2}', most_keys=1)


def test_whatever_a_library_raises_is_a_damaged_bundle_but_for_our_own_errors(tmp_path: Path) -> None:
    class PanicException(BaseException):  # as libraries in Rust raise it
        pass

    for error in (ZeroDivisionError("x" * 9999), PanicException("unwrap"), MemoryError()):
        with pytest.raises(BundleCorrupt, match="file cannot be loaded") as caught, loading(tmp_path, "file"):
            raise error
        assert len(str(caught.value)) < 500
    for error in (DeviceUnavailable("no cuda"), KeyboardInterrupt()):
        with pytest.raises(type(error)), loading(tmp_path, "file"):
            raise error
    assert shortened(ValueError("a\nb")) == "a" and shortened(MemoryError()) == "MemoryError"


def npy(shape: str, data: bytes, descr: str = "'<f4'") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def test_arrays_are_what_they_are_said_to_be(tmp_path: Path) -> None:
    values = np.array([1.0, 2.0], dtype=np.float32)
    np.savez_compressed(tmp_path / "a.npz", x=values, y=np.array([[1]], dtype=np.int64))
    found = read_arrays(tmp_path, "a.npz", {"x": Form("float32")}, {"y": Form("int64", axes=2), "z": Form("bool")})
    assert found["x"].tolist() == [1, 2] and found["y"].tolist() == [[1]] and "z" not in found
    for wrong in (Form("float64"), Form("float32", axes=2)):
        with pytest.raises(BundleCorrupt, match="instead of"):
            read_arrays(tmp_path, "a.npz", {"x": wrong})
    with pytest.raises(BundleCorrupt, match="no array w"):
        read_arrays(tmp_path, "a.npz", {"w": Form("float32")})
    with pytest.raises(BundleCorrupt):
        read_all_arrays(tmp_path, "a.npz", Form("float32"))
    np.savez(tmp_path / "a.npz", x=np.array([np.nan], dtype=np.float32))
    with pytest.raises(BundleCorrupt, match="not a finite number"):
        read_arrays(tmp_path, "a.npz", {"x": Form("float32")})


@pytest.mark.parametrize(
    "member",
    [npy("(1000000000000,)", b""), npy("(-1,)", b""), npy("(1,)", b""), npy("(1,)", bytes(8)), b"", b"\x93NUMPY"],
)
def test_an_array_that_is_not_as_large_as_it_says_is_not_made(tmp_path: Path, member: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", member)
    with pytest.raises(BundleCorrupt):
        read_arrays(tmp_path, "a.npz", {"x": Form("float32")})


def test_a_small_archive_does_not_become_a_large_one(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", npy("(50000000,)", bytes(200_000_000)))
    assert (tmp_path / "a.npz").stat().st_size < 300_000
    with pytest.raises(BundleCorrupt, match="would become 200,"):
        read_arrays(tmp_path, "a.npz", {"x": Form("float32")})
