"""Examples that a bundle was taught as rows of the training split of the next one."""

from __future__ import annotations

from dataclasses import replace

from ..bundle import Bundle
from ..errors import DataError
from ..labels import LabelSet, Task
from ..progress import Line, Reporter
from ..taught import Taught
from ..text import normal_form
from ..wording import count
from .dataset import Dataset, Split
from .reading import TAUGHT, Example


def with_taught(dataset: Dataset, ref: str, reporter: Reporter) -> Dataset:
    """``dataset`` with the examples that bundle ``ref`` was taught in its training split, which only that one gets.

    An example whose text is a row of another split is left out, because a model must not be measured with what it
    learned; one that is a training row already is not added twice.

    Raises:
        BundleError: the bundle cannot be opened.
        DataError: it was not taught anything, or an example does not fit the task.
    """
    found = Taught.load(Bundle.open(ref).path).examples
    if not found:
        raise DataError(f"{ref} was not taught anything; leave data.include_taught out, or name another bundle")
    if dataset.task is Task.MULTICLASS and (wrong := next((each for each in found if len(each.labels) > 1), None)):
        raise DataError(
            f'{ref} was taught "{wrong.text}" with {len(wrong.labels)} labels, but the task is multiclass; use '
            "the task multilabel, or undo that"
        )
    measured = {normal_form(text) for name, split in dataset.splits.items() if name != "train" for text in split.texts}
    there = {(example.text, example.labels) for example in dataset["train"]}
    new, left_out = [], 0
    for text, labels in dict.fromkeys((each.text, tuple(sorted(each.labels))) for each in found):
        if normal_form(text) in measured:
            left_out += 1
        elif (text, labels) not in there:
            new.append(Example(text, labels, TAUGHT))
    reporter.emit(Line(f"{count(len(new), 'taught example')} of {ref} added to train"))
    if left_out:
        reporter.emit(Line(f"{count(left_out, 'taught example')} left out: the text is a row of another split"))
    train = Split("train", [*dataset["train"], *new].__iter__)
    known = LabelSet(sorted({*dataset.labels, *(label for example in new for label in example.labels)}))
    return replace(dataset, splits={**dataset.splits, "train": train}, given_labels=known)
