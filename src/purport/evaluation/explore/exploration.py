"""What an exploration finds out."""

from __future__ import annotations

from ...frozen import Frozen


class Spread(Frozen):
    """A distribution in six numbers."""

    smallest: float
    median: float
    mean: float
    p95: float
    p99: float
    largest: float


class Counted(Frozen):
    """Something and how often it occurs."""

    item: str
    count: int


class LabelFacts(Frozen):
    """One label in one split. ``alone``: rows where it is the only one; ``words``: median length."""

    rows: int
    share: float
    alone: int
    words: float
    tokens: float
    over_limit: float


class WordFacts(Frozen):
    """The vocabulary of one split. ``unknown_*`` are against the first training split, ``None`` for itself.

    ``zipf_slope`` is that of log frequency over log rank, by least squares (Zipf 1949: about -1).
    """

    running_words: int
    vocabulary: int
    once_only: int
    most_common: list[Counted]
    least_common: list[Counted]
    unknown_words: float | None
    unknown_vocabulary: float | None
    zipf_slope: float | None
    zipf: list[tuple[int, int]]
    bigrams: list[Counted]
    bigrams_without_stop_words: list[Counted]
    trigrams: list[Counted]
    trigrams_without_stop_words: list[Counted]


class SplitFacts(Frozen):
    """One split. Duplicates are rows that repeat an earlier one of the split, case and punctuation aside.

    ``imbalance`` is the largest over the smallest label count; ``evenness`` their entropy over its maximum.
    """

    name: str
    training: bool
    rows: int
    unusable: int
    unlabelled: int
    duplicate_texts: int
    duplicate_rows: int
    several_labels: int
    labels_per_row: float
    label_combinations: int
    combinations: list[Counted]
    combinations_not_in_training: int
    rows_with_new_combination: int
    labels_not_in_training: dict[str, int]
    imbalance: float | None
    evenness: float | None
    characters: Spread
    words: Spread
    tokens: Spread
    over_limit: float
    labels: dict[str, LabelFacts]
    vocabulary: WordFacts


class Drift(Frozen):
    """How a split differs from the training split.

    Attributes:
        label_distance: total variation between the shares of label combinations, in [0, 1].
        label_distance_by_chance: its mean where rows are dealt to the two splits at random.
        label_p_value: of a permutation chi-squared test that both have the same shares.
        unigram_divergence: Jensen-Shannon, in bits; ``_by_chance`` again for random deals of the rows.
        classifier_auc: out of fold, of a model that tells the splits apart (Lopez-Paz & Oquab 2017); 0.5 is no drift.
    """

    split: str
    against: str
    label_distance: float
    label_distance_by_chance: float
    label_p_value: float
    unigram_divergence: float
    unigram_divergence_by_chance: float
    bigram_divergence: float
    bigram_divergence_by_chance: float
    classifier_auc: float | None
    classifier_auc_low: float | None
    classifier_auc_high: float | None
    classifier_rows: int


class Cluster(Frozen):
    """Texts that are near-duplicates of the first."""

    size: int
    splits: dict[str, int]
    label_sets: int
    text: str


class Exploration(Frozen):
    """Everything about a dataset."""

    dataset: str
    fingerprint: str
    seed: int
    tokenizer: str
    token_limit: int
    token_unit: str
    labels: int
    splits: list[SplitFacts]
    cooccurrence_labels: list[str]
    cooccurrence: list[list[int]]
    clusters: int
    clustered_rows: int
    largest_clusters: list[Cluster]
    drift: list[Drift]

    def without_texts(self) -> Exploration:
        """The same without a whole utterance; words and n-grams stay."""
        bare = [cluster.model_copy(update={"text": ""}) for cluster in self.largest_clusters]
        return self.model_copy(update={"largest_clusters": bare})
