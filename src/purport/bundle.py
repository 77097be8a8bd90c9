"""The bundle: a trained classifier as a directory, the only thing that is deployed.

No pickle, nothing needed from the network. ``manifest.json`` names every file with its size and sha256
and carries its own checksum as ``id``, so that a changed byte anywhere is found when the bundle is opened.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import BundleCorrupt, BundleNotFound, BundleUnsupported, OutputExists, did_you_mean
from .labels import LabelSet, Task

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
STAGE = "stage-"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileEntry(_Part):
    """Size in bytes and sha256 of one file."""

    size: int
    sha256: str


class Calibration(_Part):
    """Logits are divided by ``temperature`` before they become probabilities (Guo et al. 2017)."""

    method: str = "temperature"
    temperature: float = Field(default=1.0, gt=0)


class Decision(_Part):
    """When a label is decided.

    multilabel: every label whose probability reaches its threshold. multiclass: the likeliest label,
    unless its probability is below ``reject_below``.
    """

    thresholds: tuple[float, ...] = ()
    reject_below: float = 0.0


class Provenance(_Part):
    """The data a bundle rests on. ``rows`` counts per split, ``fingerprint`` is a sha256 over all of them."""

    dataset: str
    fingerprint: str
    rows: dict[str, int]


class Manifest(_Part):
    """Everything about a bundle but its weights. ``id`` is the sha256 of the rest, shortened to 16 digits."""

    format_version: int = FORMAT_VERSION
    id: str = ""
    kind: str
    task: Task
    labels: tuple[str, ...]
    model: dict[str, Any] = Field(default_factory=dict)
    calibration: Calibration = Calibration()
    decision: Decision = Decision()
    provenance: Provenance
    recipe: dict[str, Any]
    versions: dict[str, str]
    gates: dict[str, float] = Field(default_factory=dict)
    files: dict[str, FileEntry] = Field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The canonical form: the same manifest always gives the same bytes."""
        return (json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True) + "\n").encode()

    def sealed(self) -> Manifest:
        """This manifest with ``id`` set to its own checksum."""
        bare = self.model_copy(update={"id": ""})
        return bare.model_copy(update={"id": hashlib.sha256(bare.to_bytes()).hexdigest()[:16]})


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle on disk."""

    path: Path
    manifest: Manifest

    @property
    def labels(self) -> LabelSet:
        """The ordered labels."""
        return LabelSet(self.manifest.labels)

    @property
    def size(self) -> int:
        """Bytes of all files, the manifest included."""
        entries = self.manifest.files.values()
        return sum(entry.size for entry in entries) + len(self.manifest.to_bytes())

    @classmethod
    def open(cls, ref: str | os.PathLike[str]) -> Bundle:
        """Open the bundle in directory ``ref``, or the one of that name that ships with the package.

        Raises:
            BundleNotFound: there is no such directory or name.
            BundleCorrupt: a file is missing, truncated or changed; the message says which.
            BundleUnsupported: another version of Purport wrote it.
        """
        path = locate(ref)
        manifest = _read_manifest(path)
        for name, entry in manifest.files.items():
            _verify(path, name, entry)
        return cls(path, manifest)


def shipped() -> dict[str, Path]:
    """The bundles inside the package, by name."""
    root = Path(str(files("purport"))) / "pretrained"
    if not root.is_dir():
        return {}
    return {child.name: child for child in sorted(root.iterdir()) if (child / MANIFEST).is_file()}


def locate(ref: str | os.PathLike[str]) -> Path:
    """The directory that ``ref`` names. A bundle at that path wins over a name.

    Raises:
        BundleNotFound: neither exists.
    """
    path = Path(ref)
    by_name = shipped()
    if str(ref) in by_name and not (path / MANIFEST).is_file():
        return by_name[str(ref)]
    if path.is_dir():
        return path
    if path.exists():
        raise BundleNotFound(f"{path} is a file; a bundle is a directory with a {MANIFEST}")
    hint = did_you_mean(str(ref), by_name)
    raise BundleNotFound(f"no bundle at {path} and none of that name ships with purport.{hint}")


def _read_manifest(path: Path) -> Manifest:
    try:
        raw = (path / MANIFEST).read_bytes()
    except FileNotFoundError:
        raise BundleCorrupt(path, MANIFEST, "is missing") from None
    except OSError as error:
        raise BundleCorrupt(path, MANIFEST, f"cannot be read ({error.strerror})") from None
    try:
        fields = json.loads(raw)
        version = fields["format_version"]
    except (ValueError, KeyError, TypeError):
        raise BundleCorrupt(path, MANIFEST, "is not a manifest") from None
    if version != FORMAT_VERSION:
        raise BundleUnsupported(
            f"{path} has bundle format {version!r}, this purport reads {FORMAT_VERSION}; "
            "install the version that wrote it, or train the bundle again"
        )
    try:
        manifest = Manifest.model_validate(fields)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise BundleCorrupt(path, MANIFEST, f"has a bad value at {where or 'its top'}") from None
    if raw != manifest.to_bytes() or manifest.sealed().id != manifest.id:
        raise BundleCorrupt(path, MANIFEST, "was changed after it was written")
    return manifest


def _verify(path: Path, name: str, entry: FileEntry) -> None:
    file = path / name
    if not file.resolve().is_relative_to(path.resolve()):
        raise BundleCorrupt(path, name, "lies outside the bundle")
    try:
        size = file.stat().st_size
        if size != entry.size:
            raise BundleCorrupt(path, name, f"has {size} bytes instead of {entry.size}")
        if _sha256(file) != entry.sha256:
            raise BundleCorrupt(path, name, "does not match its checksum")
    except FileNotFoundError:
        raise BundleCorrupt(path, name, "is missing") from None
    except OSError as error:
        raise BundleCorrupt(path, name, f"cannot be read ({error.strerror})") from None


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def staging(directory: Path) -> Iterator[Path]:
    """A temporary directory inside ``directory`` that :func:`commit` turns into a bundle.

    It is removed when the block ends without a commit, so that an interrupted run leaves nothing.
    ``directory`` has to be on the file system of the bundle, for the last step is a rename.
    """
    directory.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(prefix=STAGE, dir=directory))
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def require_free(target: Path, *, overwrite: bool) -> None:
    """Check that a bundle may be written to ``target``.

    Raises:
        OutputExists: it may not; only a bundle or an empty directory is ever overwritten.
    """
    if not target.exists():
        return
    is_bundle = (target / MANIFEST).is_file()
    if target.is_dir() and ((overwrite and is_bundle) or not any(target.iterdir())):
        return
    remedy = "pass --overwrite to replace it" if is_bundle else "it is no bundle; choose another place"
    raise OutputExists(f"{target} exists already: {remedy}")


def commit(stage: Path, target: Path, manifest: Manifest, *, overwrite: bool = False) -> Bundle:
    """Seal what lies in ``stage`` under ``manifest`` and rename it to ``target``.

    Every file is flushed to disk before (write beside, fsync, rename). An old bundle is moved aside first
    and put back if the new one cannot take its place.

    Raises:
        OutputExists: ``target`` is there already and may not be replaced.
    """
    entries = {}
    for file in sorted(stage.rglob("*")):
        if file.is_file() and file.name != MANIFEST:
            name = file.relative_to(stage).as_posix()
            entries[name] = FileEntry(size=file.stat().st_size, sha256=_sha256(file))
    sealed = manifest.model_copy(update={"files": entries}).sealed()
    (stage / MANIFEST).write_bytes(sealed.to_bytes())
    stage.chmod(0o755)
    for file in stage.rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o644)
        _fsync(file)
    _fsync(stage)
    require_free(target, overwrite=overwrite)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = stage.parent / f"{stage.name}-replaced"
    if target.exists():
        target.rename(aside)
    try:
        stage.rename(target)
    except OSError:
        if aside.exists():
            aside.rename(target)
        raise
    shutil.rmtree(aside, ignore_errors=True)
    _fsync(target.parent)
    return Bundle(target, sealed)


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
