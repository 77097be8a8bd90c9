"""The rows to evaluate a bundle on, read with the settings of its recipe."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from ..bundle import Bundle
from ..data import catalog
from ..data.dataset import Dataset, Split
from ..data.spec import DataSpec
from ..destination import MANIFEST
from ..errors import BundleCorrupt, DataError
from ..progress import SILENT, Reporter


def data_spec(bundle: Bundle) -> DataSpec:
    """The ``data`` table of the recipe that ``bundle`` was trained with.

    Raises:
        BundleCorrupt: the recipe has no such table.
    """
    try:
        return DataSpec.model_validate(bundle.manifest.recipe.get("data"))
    except ValidationError:
        raise BundleCorrupt(bundle.path, MANIFEST, "does not say which data it was trained on") from None


def evaluation_split(
    bundle: Bundle, split: str, data: str | None = None, reporter: Reporter = SILENT
) -> tuple[str, Split]:
    """Name of the dataset, and the split to evaluate ``bundle`` on.

    ``split`` is a split of the bundle's own dataset (as divided by its recipe), of dataset ``data``, or a file.

    Raises:
        DataError: there is no such split or file.
    """
    spec = data_spec(bundle)
    reading = spec.reading(bundle.manifest.task)
    path = Path(split)
    if data is None and path.is_file():
        return path.name, catalog.load(path, reading)["train"]
    if data is not None:
        other = catalog.load(data, reading, reporter)
        return other.name, other[split]
    own = _load(bundle, spec, reporter)
    if split in own.splits:
        return own.name, own[split]
    return own.name, catalog.load(spec.name, reading, reporter)[split]


def own_data(bundle: Bundle, reporter: Reporter = SILENT) -> Dataset | None:
    """The data that ``bundle`` was trained on, as divided by its recipe; ``None`` if it is no longer available."""
    try:
        return _load(bundle, data_spec(bundle), reporter)
    except DataError:
        return None


def _load(bundle: Bundle, spec: DataSpec, reporter: Reporter) -> Dataset:
    seed = bundle.manifest.recipe.get("seed")
    return spec.load(bundle.manifest.task, seed if isinstance(seed, int) else 0, reporter)
