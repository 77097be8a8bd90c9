"""Computes an exploration from the rows of a dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy.stats import entropy
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from ...bundle import DEFAULT_BUNDLE
from ...classifier import Classifier
from ...data.duplicates import near_duplicates
from ...data.table import RowTable, is_evaluation
from ...model import BoolArray, Lengths
from ...progress import SILENT, Progress, Reporter
from ...text import phrase
from ..resampling import rounded
from .drift import drift_between
from .exploration import Cluster, Counted, Exploration, LabelFacts, SplitFacts, Spread, WordFacts

_TOP = 25
_MOST_COMBINATIONS = 100
_MOST_LABELS = 30  # of the co-occurrence matrix
_MOST_CLUSTERS = 20
_ZIPF_POINTS = 60

_Counts = NDArray[np.int64]


def explore(
    table: RowTable, *, classifier: Classifier | None = None, seed: int = 0, reporter: Reporter = SILENT
) -> Exploration:
    """Explore ``table``. ``classifier`` provides the tokenizer and the limit; the default is the shipped bundle."""

    def report(what: str) -> None:
        reporter.emit(Progress(what))

    report("counting tokens")
    model = classifier or Classifier.open(DEFAULT_BUNDLE)
    tokens = model.lengths(table.texts)
    base, *others = (name for name in table.split_names if len(table.positions(name)))
    known = {word for position in table.positions(base) for word in table.words[position]}
    splits = []
    for name in (base, *others):
        report(f"counting words and labels of {name}")
        splits.append(_split(table, name, tokens, None if name == base else known))
    report("comparing texts")
    clusters = sorted(near_duplicates(table.words), key=len, reverse=True)
    drift = []
    for name in filter(is_evaluation, others):
        report(f"measuring the drift from {base} to {name}")
        drift.append(drift_between(table, base, name, seed=seed))
    top = np.argsort(-table.matrix.sum(axis=0), kind="stable")[:_MOST_LABELS]
    chosen = table.matrix[:, top].astype(np.int64)
    return Exploration(
        dataset=table.name,
        fingerprint=table.fingerprint,
        seed=seed,
        tokenizer=model.bundle.path.name if classifier else f"{DEFAULT_BUNDLE} (default)",
        token_limit=tokens.limit,
        token_unit=tokens.unit,
        labels=len(table.labels),
        splits=splits,
        cooccurrence_labels=[table.labels.names[column] for column in top],
        cooccurrence=(chosen.T @ chosen).tolist(),
        clusters=len(clusters),
        clustered_rows=sum(map(len, clusters)),
        largest_clusters=[
            Cluster(
                size=len(members),
                splits=dict(Counter(table.split(position) for position in members)),
                label_sets=len({table.gold[position] for position in members}),
                text=table.texts[members[0]],
            )
            for members in clusters[:_MOST_CLUSTERS]
        ],
        drift=drift,
    )


def _split(table: RowTable, name: str, tokens: Lengths, known: set[str] | None) -> SplitFacts:
    """``known`` has the words of the first split, or is ``None`` for the first split itself."""
    positions = table.positions(name)
    gold = [table.gold[position] for position in positions]
    forms = [table.forms[position] for position in positions]
    words = [table.words[position] for position in positions]
    matrix = table.matrix[positions]
    counts = matrix.sum(axis=0)
    present = counts[counts > 0]
    combinations = Counter("+".join(labels) for labels in gold)
    trained = {labels for labels, training in zip(table.gold, table.is_training, strict=True) if training}
    new = [labels for labels in gold if labels not in trained]
    lengths = np.array([len(found) for found in words])
    taught = table.matrix[table.is_training].any(axis=0)
    measured, alone = tokens.counts[positions], matrix.sum(axis=1) == 1
    over = measured > tokens.limit
    return SplitFacts(
        name=name,
        training=not is_evaluation(name),
        rows=len(positions),
        unusable=len(table.bad_rows.get(name, ())),
        unlabelled=sum(not labels for labels in gold),
        duplicate_texts=len(forms) - len(set(forms)),
        duplicate_rows=len(forms) - len(set(zip(forms, gold, strict=True))),
        several_labels=sum(len(labels) > 1 for labels in gold),
        labels_per_row=rounded(float(matrix.sum(axis=1).mean())),
        label_combinations=len(combinations),
        combinations=_counted(combinations.most_common(_MOST_COMBINATIONS)),
        combinations_not_in_training=len(set(new)),
        rows_with_new_combination=len(new),
        labels_not_in_training={
            table.labels.names[column]: int(counts[column]) for column in np.flatnonzero((counts > 0) & ~taught)
        },
        imbalance=rounded(float(present.max() / present.min())) if len(present) else None,
        evenness=rounded(float(entropy(present, base=len(present)))) if len(present) > 1 else None,
        characters=spread([len(table.texts[position]) for position in positions]),
        words=spread(lengths),
        tokens=spread(measured),
        over_limit=rounded(float(over.mean())),
        labels={
            table.labels.names[column]: _label(matrix[:, column], alone, lengths, measured, over)
            for column in np.argsort(-counts, kind="stable")
            if counts[column]
        },
        vocabulary=_words(words, known),
    )


def _label(has: BoolArray, alone: BoolArray, lengths: _Counts, tokens: _Counts, over: BoolArray) -> LabelFacts:
    return LabelFacts(
        rows=int(has.sum()),
        share=rounded(float(has.mean())),
        alone=int((has & alone).sum()),
        words=float(np.median(lengths[has])),
        tokens=float(np.median(tokens[has])),
        over_limit=rounded(float(over[has].mean())),
    )


def _words(rows: Sequence[list[str]], known: set[str] | None) -> WordFacts:
    vocabulary = Counter(chain.from_iterable(rows))
    running = vocabulary.total()
    ranked = sorted(vocabulary.items(), key=lambda item: (-item[1], item[0]))
    frequencies = np.array([count for _, count in ranked])
    unknown = unknown_kinds = None
    if known is not None and running:
        outside = {word: count for word, count in vocabulary.items() if word not in known}
        unknown = rounded(sum(outside.values()) / running)
        unknown_kinds = rounded(len(outside) / len(vocabulary))
    return WordFacts(
        running_words=running,
        vocabulary=len(vocabulary),
        once_only=int((frequencies == 1).sum()),
        most_common=_counted(ranked[:_TOP]),
        least_common=_counted(ranked[-_TOP:][::-1]),
        unknown_words=unknown,
        unknown_vocabulary=unknown_kinds,
        zipf_slope=zipf_slope(frequencies),
        zipf=_zipf_points(frequencies),
        bigrams=_most_common(rows, 2, frozenset()),
        bigrams_without_stop_words=_most_common(rows, 2, ENGLISH_STOP_WORDS),
        trigrams=_most_common(rows, 3, frozenset()),
        trigrams_without_stop_words=_most_common(rows, 3, ENGLISH_STOP_WORDS),
    )


def zipf_slope(frequencies: _Counts) -> float | None:
    """Least-squares slope of log frequency over log rank of descending ``frequencies``, without words seen once."""
    often = frequencies[frequencies > 1]
    if len(often) < 3:
        return None
    return rounded(float(np.polyfit(np.log(np.arange(1, len(often) + 1)), np.log(often), 1)[0]))


def _zipf_points(frequencies: _Counts) -> list[tuple[int, int]]:
    if not len(frequencies):
        return []
    ranks = np.unique(np.geomspace(1, len(frequencies), _ZIPF_POINTS).astype(int))
    return [(int(rank), int(frequencies[rank - 1])) for rank in ranks]


def ngrams(rows: Iterable[Sequence[str]], size: int, stop_words: frozenset[str]) -> Iterator[str]:
    """Every run of ``size`` words in each row, after removing ``stop_words``."""
    for row in rows:
        kept = [word for word in row if word not in stop_words] if stop_words else row
        yield from map(" ".join, zip(*(kept[start:] for start in range(size)), strict=False))


def _most_common(rows: Sequence[list[str]], size: int, stop_words: frozenset[str]) -> list[Counted]:
    counts = Counter(ngrams(rows, size, stop_words))
    top = sorted(counts.most_common(_TOP), key=lambda item: (-item[1], item[0]))
    return _counted((phrase(words.split(" ")), count) for words, count in top)


def _counted(pairs: Iterable[tuple[str, int]]) -> list[Counted]:
    return [Counted(item=item, count=count) for item, count in pairs]


def spread(values: Sequence[int] | _Counts) -> Spread:
    """Six numbers that describe ``values``."""
    smallest, median, p95, p99, largest = map(rounded, np.quantile(values, [0, 0.5, 0.95, 0.99, 1]))
    mean = rounded(float(np.mean(values)))
    return Spread(smallest=smallest, median=median, mean=mean, p95=p95, p99=p99, largest=largest)
