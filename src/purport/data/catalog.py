"""Datasets by name: the sample that ships with the package, and public ones.

Public data is taken from ``PURPORT_DATA_DIR`` if it is there, otherwise from the cache, otherwise it is downloaded.
It is stored as ``<name>/<split>.tsv`` (text, tab, labels joined by ``+``, runs of white space replaced by one space)
and checked against a sha256.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from ..errors import DatasetNotFound, DownloadFailed, FormatUnknown, did_you_mean
from ..files import replacing
from ..progress import SILENT, Reporter
from .dataset import Dataset, Reading
from .download import fetch
from .formats import format_of
from .publishers import convert


@dataclass(frozen=True, slots=True)
class CatalogSplit:
    """One split: where it is published (one URL, or separate URLs for texts and labels), and its checksum as TSV."""

    urls: tuple[str, ...]
    sha256: str
    rows: int
    part: str = ""


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A public dataset."""

    name: str
    title: str
    licence: str
    homepage: str
    source: str
    splits: dict[str, CatalogSplit]


@cache
def catalog() -> dict[str, CatalogEntry]:
    """The public datasets, by name."""
    raw = tomllib.loads((files(__package__) / "catalog.toml").read_text("utf-8"))
    entries = {}
    for name, fields in raw.items():
        base, splits = fields.pop("base"), {}
        for split, spec in fields.pop("splits").items():
            splits[split] = CatalogSplit(tuple(f"{base}/{file}" for file in spec.pop("files")), **spec)
        entries[name] = CatalogEntry(name, **fields, splits=splits)
    return entries


def load(ref: str | os.PathLike[str], reading: Reading | None = None, reporter: Reporter = SILENT) -> Dataset:
    """The dataset that ``ref`` names: ``sample``, a catalog name, a directory of splits, or one file.

    In a directory, every ``<split>.<suffix of a format>[.gz]`` is a split; a single file is the split ``train``. A
    directory with data takes precedence over a name.

    Raises:
        DatasetNotFound: nothing has that name.
        DownloadFailed: a catalog dataset is not stored locally and cannot be downloaded.
        DataError: the data cannot be read (see :func:`~purport.data.dataset.file_split`).
    """
    reading, path, name = reading or Reading(), Path(ref), str(ref)
    known = ["sample", *catalog()]
    if path.is_dir() and (name not in known or _data_files(path)):
        return from_directory(path, reading)
    if path.is_file():
        return Dataset.from_files({"train": path}, name=path.name.split(".")[0], reading=reading)
    if name not in known:
        raise DatasetNotFound(f"no file, directory or catalog dataset {ref}.{did_you_mean(name, known)}")
    shipped = Path(str(files(__package__) / "sample"))
    return from_directory(shipped if name == "sample" else locate(name, reporter), reading)


def from_directory(path: Path, reading: Reading) -> Dataset:
    """Read every data file in ``path`` as a split."""
    found: dict[str, Path] = {}
    for split, file in _data_files(path):
        if split in found:
            raise DatasetNotFound(
                f"{path} has two files for split {split}: {found[split].name}, {file.name}; move one of them away"
            )
        found[split] = file
    if not found:
        raise DatasetNotFound(f"{path} has no data files; add one file per split, such as train.tsv and test.tsv")
    return Dataset.from_files(found, name=path.name, reading=reading)


def _data_files(path: Path) -> list[tuple[str, Path]]:
    """Split name and path of each file that has a registered format and is not hidden."""
    found = []
    for file in sorted(path.iterdir()):
        if file.name.startswith(".") or not file.is_file():
            continue
        with suppress(FormatUnknown):
            format_of(file)
            stem = file.stem if file.suffix.lower() == ".gz" else file.name
            found.append((stem.rsplit(".", 1)[0], file))
    return found


def locate(name: str, reporter: Reporter = SILENT) -> Path:
    """The directory of the catalog dataset ``name``, downloaded to ``$XDG_CACHE_HOME`` or ``~/.cache`` if needed.

    Raises:
        DownloadFailed: it could not be downloaded; the next attempt resumes the download.
    """
    local = os.environ.get("PURPORT_DATA_DIR")
    if local and (Path(local) / name).is_dir():
        return Path(local) / name
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    target = cache / "purport" / "data" / name
    for split in catalog()[name].splits:
        if not (target / f"{split}.tsv").is_file():
            _download(name, split, target, reporter)
    return target


def _download(name: str, split: str, target: Path, reporter: Reporter) -> None:
    source, spec, downloads = catalog()[name].source, catalog()[name].splits[split], target / "download"
    raw = [fetch(url, downloads / hashlib.sha256(url.encode()).hexdigest()[:16], reporter) for url in spec.urls]
    content, problem = b"", "differs from what the catalog expects (its sha256 differs)"
    try:
        content = "".join(f"{text}\t{labels}\n" for text, labels in convert(source, raw, spec.part)).encode()
    except (ValueError, KeyError, IndexError, TypeError) as error:
        problem = f"cannot be read ({error})"
    if hashlib.sha256(content).hexdigest() != spec.sha256:
        for download in raw:
            download.unlink(missing_ok=True)
        raise DownloadFailed(
            f"split {split} of {name}, as currently published, {problem}; the download was deleted. "
            f"Put a correct copy at $PURPORT_DATA_DIR/{name}/{split}.tsv"
        )
    with replacing(target / f"{split}.tsv") as partial:
        partial.write_bytes(content)
