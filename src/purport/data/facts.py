"""Facts about a dataset that users of its model should know, counted without a model."""

from __future__ import annotations

from ..frozen import Frozen
from .dataset import Dataset
from .table import RowTable

RARE = 10


class DataFacts(Frozen):
    """Counts over the splits of one dataset. Texts are compared without case and punctuation.

    Attributes:
        labels: training rows of each label, most frequent label first.
        several_labels: training rows with more than one label.
        repeated: training rows that repeat the text of an earlier row.
        contradicted: training rows whose text also occurs with different labels.
        leaked: rows of each other split whose text is also in train.
        unseen: labels of each other split that are not in train, with their number of rows.
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
