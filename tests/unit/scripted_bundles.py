"""Bundles that are made in a millisecond, for tests of what loads them."""

from __future__ import annotations

from pathlib import Path

from purport import Bundle, Task
from purport.bundle import commit, staging
from purport.manifest import Manifest, ModelFacts, PerLabel, Provenance

PLUGIN = Path(__file__).parents[1] / "e2e" / "plugin"
"""What workers need on their path to open them."""
LABELS = ("one", "two", "three")


def scripted(target: Path, best: str = "one", *, load_s: float = 0.0, opener: str = "scripted", **facts: int) -> Bundle:
    """The bundle ``target`` (a new one takes its place), whose likeliest label is ``best``; ``facts`` of its model:
    ``at_once`` makes it remote."""
    logits = [5.0 if label == best else -5.0 for label in LABELS]
    manifest = Manifest(
        kind="scripted",
        opener=opener,
        task=Task.MULTILABEL,
        labels=LABELS,
        model=ModelFacts.model_validate({"logits": logits, "load_s": load_s, **facts}),
        decision=PerLabel(thresholds=(0.5,) * len(LABELS)),
        provenance=Provenance(dataset="none", fingerprint="", rows={}),
    )
    with staging(target.parent) as stage:
        (stage / "README.md").write_text(best)
        return commit(stage, target, manifest, overwrite=True)
