"""Datasets by name: the sample that ships with the package, and public ones.

Public data is taken from ``PURPORT_DATA_DIR`` if it is there, otherwise from the cache, otherwise it is downloaded.
It is stored as ``<name>/<split>.tsv`` (text, tab, labels joined by ``+``, runs of white space replaced by one space)
and checked against a sha256.
"""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path

from ..errors import DatasetNotFound, DependencyMissing, DownloadFailed, FormatUnknown, did_you_mean
from ..files import replacing, user_cache
from ..progress import SILENT, Reporter
from .dataset import Dataset
from .download import fetch
from .formats import format_of
from .formats.rasa import Rasa
from .publishers import convert
from .reading import Reading

_FOLD = re.compile(r"fold[-_]?\d+", re.IGNORECASE)
_PART = re.compile(r"(.+?)-\d{5}-of-\d{5}(?:-[0-9a-f]+)?")
_SPLITS = ("train", "valid", "validation", "dev", "val", "test")


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

    In a directory, every ``<split>.<suffix of a format>[.gz]`` is a split, and so are all its parts
    ``<split>-00000-of-00002.<suffix>``; a single file is the split ``train``. A directory with data takes precedence
    over a name.

    Raises:
        DatasetNotFound: nothing has that name.
        DownloadFailed: a catalog dataset is not stored locally and cannot be downloaded.
        DataError: the data cannot be read (see :func:`~purport.data.dataset.file_split`).
    """
    reading, path, name = reading or Reading(), Path(ref), str(ref)
    known = ["sample", *catalog()]
    if is_path(name) and path.is_dir():
        return from_directory(path, reading)
    if is_path(name):
        return Dataset.from_files({"train": path}, name=path.name.split(".")[0], reading=reading)
    if name not in known:
        raise DatasetNotFound(f"no file, directory or catalog dataset {ref}.{did_you_mean(name, known)}")
    shipped = Path(str(files(__package__) / "sample"))
    plain = replace(reading.layout, header=False) if reading.layout.header is None else reading.layout
    return from_directory(shipped if name == "sample" else locate(name, reporter), replace(reading, layout=plain))


def is_path(ref: str) -> bool:
    """Whether ``ref`` is a file, or a directory that is not hidden by a known name (one with data is not)."""
    path = Path(ref)
    return path.is_file() or (path.is_dir() and (ref not in ("sample", *catalog()) or bool(_data_files(path))))


def from_directory(path: Path, reading: Reading) -> Dataset:
    """Read every data file in ``path``, or else in its folder ``data`` or in a folder per split, as a split.

    The parts in which Hugging Face datasets are saved are one split; several files of Rasa, folds without a split
    ``train``, and the only file, are the split ``train``.

    Raises:
        DatasetNotFound: there is no data file, or there are two for one split.
    """
    found: dict[str, list[Path]] = {}
    for split, file in _data_files(path):
        found.setdefault(split, []).append(file)
    if not found:
        raise DatasetNotFound(f"{path} has no data files; add one file per split, such as train.tsv and test.tsv")
    every = [file for files in found.values() for file in files]
    folds, rasa = all(map(_FOLD.fullmatch, found)), all(isinstance(format_of(file), Rasa) for file in every)
    if "train" not in found and (len(every) == 1 or folds or rasa):
        found = {"train": every}
    for split, parts in found.items():
        if split != "train" and len(parts) > 1 and not all(_PART.fullmatch(_stem(part)) for part in parts):
            listed = ", ".join(part.name for part in parts)
            raise DatasetNotFound(f"{path} has {len(parts)} files for split {split}: {listed}; move all but one away")
    if reading.label_names is None and (names := _class_names(path, reading.layout.label_column)):
        reading = replace(reading, label_names=names)
    return Dataset.from_files(found, name=path.resolve().name, reading=reading)


def _class_names(path: Path, column: str | None) -> tuple[str, ...]:
    """The names of label numbers in the card of a Hugging Face dataset (``dataset_info`` in README.md), if any."""
    card = path / "README.md"
    content = card.read_text("utf-8", errors="replace") if card.is_file() else ""
    if not content.startswith("---") or "class_label" not in content:
        return ()
    try:
        import yaml
    except ImportError:
        raise DependencyMissing("the card of a Hugging Face dataset", "train") from None
    try:
        info = yaml.safe_load(content.split("---")[1])["dataset_info"]
        features = (info[0] if isinstance(info, list) else info)["features"]
        names = next(each["dtype"]["class_label"]["names"] for each in features if each["name"] == column)
        ordered = [names[key] for key in sorted(names, key=int)] if isinstance(names, dict) else names
    except (LookupError, TypeError, ValueError, StopIteration, yaml.YAMLError):
        return ()
    return tuple(map(str, ordered))


def _data_files(path: Path) -> list[tuple[str, Path]]:
    """Split name and path of each file that has a registered format and is not hidden."""
    found = [(_PART.sub(r"\1", _stem(file)), file) for file in _readable(path)]
    if found:
        return found
    if (path / "data").is_dir():
        return _data_files(path / "data")
    folders = sorted(each for each in path.iterdir() if each.is_dir() and each.name in _SPLITS)
    return [(folder.name, file) for folder in folders for file in _readable(folder)]


def _readable(path: Path) -> list[Path]:
    files = []
    for file in sorted(path.iterdir()):
        if file.name.startswith(".") or not file.is_file():
            continue
        with suppress(FormatUnknown):
            format_ = format_of(file)
            # Folders of other tools have YAML and JSON files that hold no data.
            recognises = getattr(format_, "recognises", None)
            if recognises is None or recognises(file):
                files.append(file)
    return files


def _stem(file: Path) -> str:
    """The name of ``file`` without the suffix of its format."""
    return (file.stem if file.suffix.lower() == ".gz" else file.name).rsplit(".", 1)[0]


def locate(name: str, reporter: Reporter = SILENT) -> Path:
    """The directory of the catalog dataset ``name``, downloaded to ``$XDG_CACHE_HOME`` or ``~/.cache`` if needed.

    Raises:
        DownloadFailed: it could not be downloaded; the next attempt resumes the download.
    """
    local = os.environ.get("PURPORT_DATA_DIR")
    if local and (Path(local) / name).is_dir():
        return Path(local) / name
    target = user_cache() / "data" / name
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
