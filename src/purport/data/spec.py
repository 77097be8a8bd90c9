"""The ``data`` table of a recipe: which data to use and how to read it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ..frozen import Frozen
from ..labels import Task
from ..progress import SILENT, Reporter
from .catalog import load
from .dataset import Dataset, Reading, require_known
from .formats import Layout


class DataSpec(Frozen):
    """Which data to use, and how to read it."""

    name: str
    """``sample``, a catalog name, a directory of ``<split>.<format>`` files, or one file (the train split)."""
    train: str = "train"
    """The split that the model learns from."""
    valid: str | Annotated[float, Field(gt=0, lt=1)] = 0.1
    """A split, or the share of the train split to set aside (stratified)."""
    test: str | None = None
    """A split that is evaluated once, after all choices have been made on ``valid``."""
    joint: bool = False
    """multiclass: a combination of labels is a label of its own."""
    unlabelled: Literal["error", "out_of_scope", "skip"] = "error"
    """Rows without a label: an error, messages that no label covers (multilabel), or left out."""
    text_column: str = "text"
    """Column of the texts."""
    label_column: str = "label"
    """Column of the labels."""
    label_delimiter: str = "+"
    """Stands between the labels of one text."""
    header: bool | None = None
    """Whether the first row of a CSV or TSV names the columns; without it, it does if it holds ``text_column``."""

    def reading(self, task: Task) -> Reading:
        """How rows become examples."""
        layout = Layout(self.text_column, self.label_column, self.header, self.label_delimiter)
        return Reading(task, layout, self.joint, self.unlabelled)

    def parts(self, labels: frozenset[str]) -> frozenset[str]:
        """``labels`` with joint labels split into the labels they combine."""
        if not self.joint or not self.label_delimiter:
            return labels
        return frozenset(part for label in labels for part in label.split(self.label_delimiter))

    def load(self, task: Task, seed: int, reporter: Reporter = SILENT) -> Dataset:
        """The splits ``train``, ``valid`` and, if there is one, ``test``, each read once and kept in memory.

        Raises:
            DataError: the data cannot be read, or ``valid`` has a label that is not in ``train``.
        """
        source = load(self.name, self.reading(task), reporter)
        chosen = {"train": self.train, "valid": self.valid, "test": self.test}
        splits = {name: source[split].held(name) for name, split in chosen.items() if isinstance(split, str)}
        dataset = Dataset(source.name, splits, task)
        if not isinstance(self.valid, str):
            dataset = dataset.with_validation(self.valid, seed=seed)
        require_known(dataset, "valid", dataset.labels)
        return dataset
