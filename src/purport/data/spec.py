"""The ``data`` table of a recipe: which data to use and how to read it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from ..bundle import Bundle
from ..destination import MANIFEST
from ..errors import BundleCorrupt, DataError, did_you_mean
from ..frozen import Frozen
from ..labels import Task
from ..progress import SILENT, Line, Reporter
from .catalog import is_path, load
from .dataset import Dataset, require_known
from .formats import Layout
from .reading import Reading
from .shares import Prints, find_again
from .taught_rows import with_taught

Share = Annotated[float, Field(gt=0, lt=1)]
_ROUNDED = 1e-9  # 0.7 + 0.2 + 0.1 is a little less than 1


class DataSpec(Frozen):
    """Which data to use, and how to read it."""

    name: str
    """``sample``, a catalog name, a directory of ``<split>.<format>`` files, or one file (the train split)."""
    train: str = "train"
    """The split that the model learns from."""
    valid: str | Share = 0.1
    """A split, or the share of the train split to set aside (stratified, near-duplicates together)."""
    test: str | Share | None = None
    """A split, or a share, that is evaluated once, after all choices have been made on ``valid``."""
    calibration: str | Share | None = None
    """With a promise: a split, or a share, that only the promise is fitted on. The share is one of the split ``valid``,
    where that is named (by default 0.5), and otherwise of the train split (0.2)."""
    joint: bool = False
    """multiclass: a combination of labels is a label of its own."""
    unlabelled: Literal["error", "out_of_scope", "skip"] = "error"
    """Rows without a label: an error, messages that no label covers, or left out."""
    out_of_scope: tuple[str, ...] = ()
    """Labels that mean that none applies, such as ``["other", "none"]``; the model does not learn them as labels."""
    label_names: tuple[str, ...] | Literal["numbers"] | None = None
    """The names of labels that are numbers in the file, from 0 on, or ``"numbers"`` to take the numbers as names."""
    text_column: str = "text"
    """Column of the texts. The default also finds well-known names, such as ``Utterance`` or ``Frage``."""
    label_column: str = "label"
    """Column of the labels, likewise."""
    label_delimiter: str = "+"
    """Stands between the labels of one text."""
    confidence_column: str | None = None
    """Column with a number from 0 to 1 for each row, such as ``purport label`` writes: what the row counts in training.
    A row without one counts 1. Validation, calibration and test rows all count alike."""
    header: bool | None = None
    """Whether the first row of a CSV or TSV names the columns; without it, it does if it holds ``text_column``."""
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    """Stands between the columns of a CSV or TSV; without it, it is found out."""
    keep_examples: bool = False
    """Keep the texts of the training rows in the bundle, so that answers can show the nearest of them."""
    include_taught: str | None = None
    """Directory of a bundle whose taught examples (``purport teach``) are training rows, too."""
    encoding: str | None = None
    """Encoding of text files, such as ``cp1252``; without it, UTF-8, or what a byte order mark says."""

    @field_validator("out_of_scope", mode="before")
    @classmethod
    def _one_name(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _leaves_rows_to_train_on(self) -> Self:
        if sum(self.shares.values()) > 1 - _ROUNDED:
            named = " and ".join(f"data.{name} = {share:g}" for name, share in self.shares.items())
            raise ValueError(f"{named} leave no rows to train on; choose shares whose sum is below 1")
        return self

    def reading(self, task: Task) -> Reading:
        """How rows become examples."""
        layout = Layout(
            self.text_column, self.label_column, self.header, self.label_delimiter, self.delimiter, self.encoding,
            keep_columns=self.confidence_column is not None,
        )  # fmt: skip
        return Reading(
            task, layout, self.joint, self.unlabelled, self.out_of_scope, self.label_names, self.confidence_column
        )

    def parts(self, labels: frozenset[str]) -> frozenset[str]:
        """``labels`` with joint labels split into the labels they combine."""
        if not self.joint or not self.label_delimiter:
            return labels
        return frozenset(part for label in labels for part in label.split(self.label_delimiter))

    @property
    def path(self) -> str | None:
        """The absolute path of the data, if it is a file or a directory and no known name."""
        return str(Path(self.name).resolve()) if is_path(self.name) else None

    @property
    def shares(self) -> dict[str, float]:
        """The splits that are set aside from the train split, and their shares of all its rows, in this order."""
        names = ("test", "valid") if self._drawn_from_valid else ("test", "valid", "calibration")
        # The last one drawn leaves those before it as they are without it.
        drawn = {name: getattr(self, name) for name in names}
        return {name: value for name, value in drawn.items() if isinstance(value, float)}

    @property
    def _drawn_from_valid(self) -> bool:
        """Whether calibration rows are a share of ``valid``: a split of its own may differ from train, as test does."""
        return isinstance(self.calibration, float) and isinstance(self.valid, str)

    def load(
        self, task: Task, seed: int, reporter: Reporter = SILENT, *, known: Mapping[str, Prints] | None = None,
        grouped: bool = True,
    ) -> Dataset:  # fmt: skip
        """``train``, ``valid`` and, if there are any, ``test`` and ``calibration``, each read once and kept in memory.

        ``known`` are the fingerprints of the rows of each split, to find the rows of an earlier run again; rows that
        are new since then are left out. Without it, shares are drawn (row by row unless ``grouped``).

        Raises:
            DataError: the data cannot be read, ``valid`` or ``calibration`` has a label that is not in ``train``, or
                rows of ``known`` are missing.
        """
        reading = self.reading(task)
        source = load(self.name, reading, reporter)
        chosen = {"train": self.train, "valid": self.valid, "test": self.test, "calibration": self.calibration}
        splits = {name: source[split].held(name) for name, split in chosen.items() if isinstance(split, str)}
        dataset = Dataset(source.name, splits, task)
        self._require_labels(dataset, reading)
        if known:
            sources = dict.fromkeys(self.shares, "train")
            sources |= {"calibration": "valid"} if self._drawn_from_valid else {}
            dataset = _found_again(dataset, known, sources, reporter)
        else:
            left = 1.0
            for name, share in self.shares.items():
                dataset = dataset.with_share(name, share / left, seed=seed, grouped=grouped)
                left -= share
            if self._drawn_from_valid and isinstance(self.calibration, float):
                dataset = dataset.with_share("calibration", self.calibration, seed=seed, source="valid")
            if self.include_taught is not None:
                dataset = with_taught(dataset, self.include_taught, reporter)
        for said in reading.left_out:
            reporter.emit(Line(said))
        for name in ("valid", "calibration"):
            if name in dataset.splits:
                require_known(dataset, name, dataset.labels)
        return dataset

    def _require_labels(self, dataset: Dataset, reading: Reading) -> None:
        """Check that there is something to learn, and that every name in ``out_of_scope`` occurs."""
        if not dataset.labels:
            raise DataError(f"no row of {dataset.name} has a label to learn; add labels, or correct out_of_scope")
        for problem in reading.unused_names(dataset.name, dataset.labels):
            raise DataError(problem)
        wanted, present = self.confidence_column, reading.tally.columns
        if wanted is not None and wanted not in present:
            raise DataError(
                f'{dataset.name} has no column "{wanted}" (data.confidence_column); the columns are '
                f"{', '.join(present) or 'without names'}.{did_you_mean(wanted, present)}"
            )


def _found_again(
    dataset: Dataset, known: Mapping[str, Prints], sources: Mapping[str, str], reporter: Reporter
) -> Dataset:
    """``dataset`` with the rows that its splits had when ``known`` was saved; ``sources`` has the splits of shares.

    Raises:
        DataError: rows are missing.
    """
    splits = {}
    drawn = {name: dataset[source] for name, source in sources.items()}
    for name, split in {**dataset.splits, **drawn}.items():
        splits[name] = split.where(find_again(split, known[name], name, dataset.name), name).held(name)
    new = sum(map(len, dataset.splits.values())) - sum(map(len, splits.values()))
    if new > 0:
        reporter.emit(Line(f"{new:,} rows of {dataset.name} are new since the bundle was trained, and are left out"))
    return Dataset(dataset.name, splits, dataset.task)


def data_spec(bundle: Bundle) -> DataSpec:
    """The ``data`` table of the recipe that ``bundle`` was trained with.

    Raises:
        BundleCorrupt: the recipe has no such table.
    """
    try:
        return DataSpec.model_validate(bundle.manifest.recipe.get("data"))
    except ValidationError:
        raise BundleCorrupt(bundle.path, MANIFEST, "does not say which data it was trained on") from None
