"""Writes a bundle that differs from an existing one in what it was taught, in its place or beside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..bundle import Bundle, commit, locate, shipped, staging
from ..destination import MANIFEST, Destination
from ..errors import BundleCorrupt, OutputExists, TeachingError
from ..manifest import Decision, Manifest, PerLabel, TaughtFacts
from ..progress import Reporter
from ..runtime.taught_vectors import VECTORS_FILE, TaughtVectors
from ..taught import TAUGHT_FILE, Batch, Taught, TaughtExample
from ..training.markdown import code, prose
from ..training.workspace import claim, release, workspace
from ..wording import count
from .lesson import Lesson

CARD = "README.md"
_HEADING = "\n## Taught\n"
_OWN = {MANIFEST, CARD, VECTORS_FILE, TAUGHT_FILE}


@dataclass(frozen=True)
class Place:
    """A bundle that is rewritten, and where: ``stage`` becomes ``target``."""

    bundle: Bundle
    target: Path
    stage: Path
    overwrite: bool


@contextmanager
def rewriting(
    ref: str | os.PathLike[str], out: str | os.PathLike[str] | None, *, overwrite: bool, reporter: Reporter
) -> Iterator[Place]:
    """Lock the place of the new bundle, and open the old one.

    Raises:
        BundleError: it cannot be opened.
        OutputExists, OutputUnwritable: the new one cannot be written.
    """
    target = locate(ref) if out is None else Path(out)
    if target in shipped().values():
        raise OutputExists(
            f"{target.name} ships with the package and stays as it is; name a directory for the new bundle with --out"
        )
    destination = Destination.of(target)
    if out is None and destination.fixed:
        raise OutputExists(
            f"{target} is a mount point or the current directory, whose bundle cannot be replaced in one step; "
            "name another directory for the new bundle with --out"
        )
    overwrite = overwrite or out is None
    destination.require_free(overwrite=overwrite)
    with workspace(destination, reporter) as work:
        claim(work)
        with staging(work) as stage:
            # Opened under the lock: what somebody else teaches in the meantime must not be lost.
            yield Place(Bundle.open(ref), target, stage, overwrite)
        release(work)


def taught_bundle(place: Place, given: Lesson, taught: TaughtVectors, decision: Decision) -> Bundle:
    """The bundle of ``place`` with ``given``; all its taught examples are then ``taught``."""
    old = place.bundle.manifest
    batch = Batch(
        parent=old.id,
        examples=tuple(TaughtExample(text=text, labels=labels) for text, labels in
                       zip(given.texts, given.gold, strict=True)),
        new_labels=len(given.new),
        in_scope_at=old.decision.in_scope_at,
    )  # fmt: skip
    record = Taught.load(place.bundle.path).with_batch(batch)
    return _written(place, record, taught, given.labels.names, decision)


def undone_bundle(place: Place) -> Bundle:
    """The bundle of ``place`` without its last batch.

    Raises:
        TeachingError: it has none.
    """
    manifest = place.bundle.manifest
    require_taught(place.bundle)
    record = Taught.load(place.bundle.path)
    taught = TaughtVectors.load(place.bundle.path, len(manifest.labels))
    if taught is None or not record.batches:
        raise BundleCorrupt(place.bundle.path, TAUGHT_FILE, "has no batches, although the manifest counts some")
    last, record = record.batches[-1], Taught(batches=record.batches[:-1])
    labels = manifest.labels[: len(manifest.labels) - last.new_labels]
    update: dict[str, object] = {"in_scope_at": last.in_scope_at}
    if isinstance(manifest.decision, PerLabel):
        update["thresholds"] = manifest.decision.thresholds[: len(labels)]
    kept = taught.first(len(record.examples), len(labels))
    return _written(place, record, kept, labels, manifest.decision.model_copy(update=update))


def require_taught(bundle: Bundle) -> None:
    """Check that there is something to take back.

    Raises:
        TeachingError: there is not.
    """
    if bundle.manifest.taught is None:
        raise TeachingError(f"{bundle.path} was not taught anything, so that there is nothing to undo")


def _written(
    place: Place, record: Taught, taught: TaughtVectors, labels: tuple[str, ...], decision: Decision
) -> Bundle:
    """Copy what stays the same, write what was taught, and commit."""
    old, stage = place.bundle, place.stage
    for name in old.manifest.files:
        if name not in _OWN:
            (stage / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(old.path / name, stage / name)
    if record.batches:
        record.save(stage)
        taught.save(stage)
    if (old.path / CARD).exists():
        card = (old.path / CARD).read_text("utf-8").partition(_HEADING)[0]
        (stage / CARD).write_text(card + _section(record), "utf-8")
    return commit(stage, place.target, _manifest(old.manifest, record, labels, decision), overwrite=place.overwrite)


def _manifest(old: Manifest, record: Taught, labels: tuple[str, ...], decision: Decision) -> Manifest:
    parents = old.provenance.parents[:-1] if old.taught else old.provenance.parents
    facts = None
    if record.batches:
        parents = (*parents, record.batches[-1].parent)
        new = sum(batch.new_labels for batch in record.batches)
        facts = TaughtFacts(examples=len(record.examples), new_labels=new)
    return old.model_copy(
        update={
            "id": "",
            "labels": labels,
            "decision": decision,
            "taught": facts,
            "provenance": old.provenance.model_copy(update={"parents": parents}),
        }
    )


def _section(record: Taught) -> str:
    """What the card says about ``record``; empty if nothing was taught."""
    if not record.batches:
        return ""
    examples = record.examples
    counts: dict[str, int] = {}
    for example in examples:
        for label in example.labels or ("",):
            counts[label] = counts.get(label, 0) + 1
    named = ", ".join(f"{code(label) if label else 'out of scope'} ({n})" for label, n in sorted(counts.items()))
    last = prose(record.batches[-1].parent)
    return (
        f"{_HEADING}\nAfter its training, this bundle was taught {count(len(examples), 'example')} in "
        f"{count(len(record.batches), 'batch', 'batches')}: {named}. Texts near them are answered so; all others as "
        "before. The results above were measured before, and promises proved before: check them with `purport verify`. "
        "The texts are in `taught.json`; `purport teach --undo` gives "
        f"back the bundle before the last batch, `{last}`.\n"
    )
