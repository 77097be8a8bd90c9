"""The data that a recipe names, for training and for measuring again later."""

from __future__ import annotations

from pathlib import Path

from ..bundle import Bundle
from ..data import catalog
from ..data.dataset import Dataset, Split, require_known
from ..data.download import Progress
from ..errors import DataError
from .recipe import Recipe, parse_recipe


def load_data(recipe: Recipe, progress: Progress | None = None) -> Dataset:
    """The splits that ``recipe`` names, as ``train``, ``valid`` and, if it names one, ``test``.

    Raises:
        DataError: the data cannot be read, or ``valid`` has a label that ``train`` has not.
    """
    data = recipe.data
    source = catalog.load(data.name, data.reading(recipe.task), progress)
    parts = {"train": source[data.train]}
    if isinstance(data.valid, str):
        parts["valid"] = source[data.valid]
    if data.test is not None:
        parts["test"] = source[data.test]
    dataset = Dataset(source.name, parts, recipe.task)
    if not isinstance(data.valid, str):
        dataset = dataset.with_validation(data.valid, seed=recipe.seed)
    require_known(dataset, "valid", dataset.labels)
    return dataset


def evaluation_split(
    bundle: Bundle, split: str, data: str | None = None, progress: Progress | None = None
) -> tuple[str, Split]:
    """Name of the dataset and the split to measure ``bundle`` on, read as in its training.

    ``split`` is a split of the bundle's own dataset (as its recipe cuts it), of dataset ``data``, or a file.

    Raises:
        DataError: there is no such split or file.
    """
    recipe = parse_recipe(bundle.manifest.recipe, f"recipe of {bundle.path}")
    reading = recipe.data.reading(recipe.task)
    path = Path(split)
    if data is None and path.is_file():
        return path.name, catalog.load(path, reading)["train"]
    if data is not None:
        other = catalog.load(data, reading, progress)
        return other.name, other[split]
    own = load_data(recipe, progress)
    if split in own.splits:
        return own.name, own[split]
    return own.name, catalog.load(recipe.data.name, reading, progress)[split]


def own_data(bundle: Bundle, progress: Progress | None = None) -> Dataset | None:
    """The data that ``bundle`` was trained on, as its recipe cuts it; ``None`` if it is not here any more."""
    try:
        recipe = parse_recipe(bundle.manifest.recipe, f"recipe of {bundle.path}")
        dataset = load_data(recipe, progress)
        len(dataset["train"])
    except DataError:
        return None
    return dataset
