"""The bundle: a trained classifier as a directory, the only thing that is deployed.

A bundle has no pickles and needs nothing from the network. ``manifest.json`` lists every file with its size and
sha256, and contains its own checksum as ``id``, so that opening a bundle detects any changed byte.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from .contents import LONGEST_MANIFEST, parse_json, read_bytes, shortened, verify
from .destination import MANIFEST, NO_CONTENT, WORK, Destination, recover
from .errors import BundleCorrupt, BundleError, BundleNotFound, BundleUnsigned, BundleUnsupported, did_you_mean
from .files import flush, is_fixed, sha256
from .labels import LabelSet
from .manifest import READABLE_VERSIONS, FactsT, FileEntry, Manifest, is_intact, parse
from .signature import SIGNATURE, PublicKeys

PARTS = "parts"
_ATTEMPTS = 5  # at opening a bundle that is being replaced
_MOST_KEYS = 50_000  # of an object in a manifest
_MOST_FILES, _MOST_BYTES = 4096, 16 * 2**30
STAGE = "stage-"
DEFAULT_BUNDLE = "atis"
"""The name of the bundle that ships with the package, which is used if no other is given."""


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
        """Bytes of all files, including the manifest."""
        return sum(entry.size for entry in self.manifest.files.values()) + (self.path / MANIFEST).stat().st_size

    def facts(self, facts_type: type[FactsT]) -> FactsT:
        """The manifest's facts about the model, as the type that its opener expects.

        Raises:
            BundleCorrupt: the facts do not fit that type.
        """
        try:
            return self.manifest.model.as_type(facts_type)
        except ValidationError as error:
            raise BundleCorrupt(self.path, MANIFEST, f"has an invalid value at model: {_first(error)}") from None

    def part(self, name: str) -> Bundle:
        """The part ``name``: a bundle inside this one, covered by the checksums of this one.

        Raises:
            BundleCorrupt: there is no such part.
        """
        if name not in self.manifest.parts:
            raise BundleCorrupt(self.path, MANIFEST, f'lists no part "{name}"')
        path = self.path / PARTS / name
        return Bundle(path, _read_manifest(path))

    @classmethod
    def open(cls, ref: str | os.PathLike[str], *, signed_by: PublicKeys | None = None) -> Bundle:
        """Open the bundle in directory ``ref``, or the shipped bundle of that name.

        With ``signed_by``, nothing of it is read before its signature was checked.

        Raises:
            BundleNotFound: there is no such directory or name.
            BundleCorrupt: a file is missing, truncated or changed; the message names it.
            BundleUnsupported: the bundle was written by an incompatible version of Purport.
            BundleUnsigned: the bundle is not signed by one of the keys ``signed_by``.
        """
        for attempt in range(_ATTEMPTS):
            path = locate(ref)
            before = _instance(path)
            try:
                return cls._verified(path, signed_by)
            except (BundleCorrupt, BundleUnsigned):
                # Otherwise another bundle took its place while it was read.
                if _instance(path) == before or attempt + 1 == _ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")

    @classmethod
    def _verified(cls, path: Path, signed_by: PublicKeys | None) -> Bundle:
        manifest = _read_manifest(path, signed_by)
        _require_bounded(path, manifest)
        _require_listed(path, manifest)
        for name, entry in manifest.files.items():
            verify(path, name, entry.size, entry.sha256)
        bundle = cls(path, manifest)
        for name in manifest.parts:
            inside = {MANIFEST, *bundle.part(name).manifest.files}
            if missing := {f"{PARTS}/{name}/{file}" for file in inside} - manifest.files.keys():
                raise BundleCorrupt(path, sorted(missing)[0], "is not covered by the bundle's checksums")
        return bundle

    @property
    def is_current(self) -> bool:
        """Whether ``path`` is still this bundle, and not another one that has taken its place."""
        try:
            return _read_manifest(self.path).id == self.manifest.id
        except BundleError:
            return False


def shipped() -> dict[str, Path]:
    """The bundles that ship with the package, by name."""
    root = Path(str(files("purport"))) / "pretrained"
    if not root.is_dir():
        return {}
    return {child.name: child for child in sorted(root.iterdir()) if (child / MANIFEST).is_file()}


def locate(ref: str | os.PathLike[str]) -> Path:
    """The directory that ``ref`` refers to. A bundle at that path takes precedence over a shipped name.

    Raises:
        BundleNotFound: neither exists.
    """
    path = Path(ref)
    try:
        return _located(path, str(ref))
    except OSError as error:  # such as a name that is too long
        raise BundleNotFound(f"no bundle at {shortened(path)} ({error.strerror})") from None


def _located(path: Path, ref: str) -> Path:
    by_name = shipped()
    if ref in by_name and not (path / MANIFEST).is_file():
        return by_name[ref]
    if path.is_dir():
        return path
    if path.is_file():
        raise BundleNotFound(f"{path} is a file; name the bundle's directory, which contains {MANIFEST}")
    recover(path)
    if path.is_dir():
        return path
    hint = did_you_mean(ref, by_name)
    raise BundleNotFound(f"no bundle at {shortened(path)}, and purport ships no bundle of that name.{hint}")


def _read_manifest(path: Path, signed_by: PublicKeys | None = None) -> Manifest:
    raw = read_bytes(path, MANIFEST, LONGEST_MANIFEST)
    if signed_by:
        signed_by.require(path, raw)
    try:
        fields = parse_json(raw, most_keys=_MOST_KEYS)
        version = fields["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleCorrupt(path, MANIFEST, f"is not a manifest ({shortened(error)})") from None
    if type(version) is not int or version not in READABLE_VERSIONS:
        raise BundleUnsupported(
            f"{path} has bundle format {shortened(version)}; this version of purport reads formats "
            f"{' and '.join(map(str, READABLE_VERSIONS))}. Install the version that wrote it, or train the bundle again"
        )
    if not is_intact(raw):
        raise BundleCorrupt(path, MANIFEST, "was changed after it was written")
    try:
        return parse(fields)
    except ValidationError as error:
        raise BundleCorrupt(path, MANIFEST, f"has an invalid value at {_first(error)}") from None
    except (KeyError, TypeError, AttributeError, RecursionError):
        raise BundleCorrupt(path, MANIFEST, f"is not a manifest of format {version}") from None


def _instance(path: Path) -> tuple[int, int] | None:
    """Tells one directory at ``path`` from another. Inodes are used again, so that their times count, too."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_ctime_ns


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = shortened(".".join(str(part) for part in first["loc"]) or "the top level")
    return f"{where} ({shortened(first['msg'].removeprefix('Value error, '))})"


def _require_bounded(path: Path, manifest: Manifest) -> None:
    """Check how much there is to read: a disk needs no room for files of zeros, or for one file under many names.

    Raises:
        BundleCorrupt: it is more than a bundle may have.
    """
    if (n := len(manifest.files)) > _MOST_FILES:
        raise BundleCorrupt(path, MANIFEST, f"lists {n:,} files; a bundle has at most {_MOST_FILES:,}")
    if (size := sum(entry.size for entry in manifest.files.values())) > _MOST_BYTES:
        raise BundleCorrupt(path, MANIFEST, f"lists {size:,} bytes; a bundle has at most {_MOST_BYTES:,}")


def _require_listed(path: Path, manifest: Manifest) -> None:
    """Check that the directory has only what the checksums cover: openers look for some files without the manifest.

    Raises:
        BundleCorrupt: there is something else, hidden or not; a mount point may have the work directory of a run.
    """
    listed, harmless = {MANIFEST, SIGNATURE, *manifest.files}, NO_CONTENT | ({WORK} if is_fixed(path) else set())
    folders = {str(folder) for name in listed for folder in PurePosixPath(name).parents}
    for folder in sorted(folders):
        with suppress(OSError), os.scandir(path / folder) as entries:  # what is missing is reported with its name later
            for entry in entries:
                name = str(PurePosixPath(folder, entry.name))
                known = name in listed or (name in folders and entry.is_dir(follow_symlinks=False))
                if not known and name not in harmless:
                    raise BundleCorrupt(path, name, "is not covered by the bundle's checksums")


@contextmanager
def staging(directory: Path) -> Iterator[Path]:
    """A temporary directory inside ``directory`` that :func:`commit` turns into a bundle.

    It is removed if the block ends without a commit, so that an interrupted run leaves nothing behind. ``directory``
    must be on the same file system as the bundle, because the last step is a rename.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=STAGE, dir=directory, ignore_cleanup_errors=True) as stage:
        yield Path(stage)


def commit(stage: Path, target: Path, manifest: Manifest, *, overwrite: bool = False) -> Bundle:
    """Write ``manifest`` with the checksums of the files in ``stage``, and put ``stage`` in the place of ``target``.

    All files are flushed to disk before. If the process is killed, ``target`` is the old bundle or the new one. A
    signature in ``stage`` is that of another manifest, and is removed.

    Raises:
        OutputExists: ``target`` already exists and may not be replaced.
    """
    (stage / SIGNATURE).unlink(missing_ok=True)
    entries = {}
    for file in sorted(stage.rglob("*")):
        name = file.relative_to(stage).as_posix()
        if file.is_file() and name != MANIFEST:
            entries[name] = FileEntry(size=file.stat().st_size, sha256=sha256(file))
    sealed = manifest.model_copy(update={"files": entries}).sealed()
    (stage / MANIFEST).write_bytes(sealed.to_bytes())
    stage.chmod(0o755)
    for file in stage.rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o644)
        flush(file)
    flush(stage)
    destination = Destination.of(target)
    destination.require_free(overwrite=overwrite)
    destination.put(stage)
    return Bundle(target, sealed)
