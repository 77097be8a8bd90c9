"""What anybody who uses a model should know of its data; counted, without any model."""

from __future__ import annotations

from ..frozen import Frozen
from .dataset import Dataset
from .table import RowTable

RARE = 10


class DataFacts(Frozen):
    """Counts over the splits of one dataset; texts are equal whatever their case and punctuation.

    Attributes:
        labels: training rows of each label, the most frequent first.
        several_labels: training rows with more than one label.
        repeated: training rows whose text stands in an earlier one.
        contradicted: training rows whose text stands under other labels too.
        leaked: rows of each other split whose text stands in train.
        unseen: labels of each other split that are never in train, with their rows.
    """

    labels: dict[str, int]
    several_labels: int
    repeated: int
    contradicted: int
    leaked: dict[str, int]
    unseen: dict[str, dict[str, int]]

    @property
    def rare(self) -> list[str]:
        """Labels with fewer than ten training rows."""
        return [label for label, count in self.labels.items() if count < RARE]


def data_facts(dataset: Dataset) -> DataFacts:
    """Count the facts of ``dataset``, whose training split is ``train``."""
    table = RowTable.of(dataset)
    train = table.positions("train").tolist()
    labels: dict[str, set[tuple[str, ...]]] = {}
    for position in train:
        labels.setdefault(table.forms[position], set()).add(table.gold[position])
    others = [name for name in table.split_names if name != "train"]
    counts = dataset["train"].label_counts
    return DataFacts(
        labels=dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
        several_labels=sum(len(table.gold[position]) > 1 for position in train),
        repeated=len(train) - len(labels),
        contradicted=sum(len(labels[table.forms[position]]) > 1 for position in train),
        leaked={name: sum(table.forms[p] in labels for p in table.positions(name).tolist()) for name in others},
        unseen={name: dataset.unseen(name) for name in others},
    )
