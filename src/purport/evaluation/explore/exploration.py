"""The results of an exploration."""

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
    """An item, and how often it occurs."""

    item: str
    count: int


class LabelFacts(Frozen):
    """One label in one split. ``alone``: rows where it is the only label; ``words``, ``tokens``: median length."""

    rows: int
    share: float
    alone: int
    words: float
    tokens: float
    over_limit: float


class WordFacts(Frozen):
    """The vocabulary of one split. ``unknown_*`` compare it with the first training split (``None`` for that split).

    ``zipf_slope`` is the slope of log frequency over log rank, by least squares (Zipf 1949: about -1).
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
    """One split. Duplicates are rows that repeat an earlier row of the split, ignoring case and punctuation.

    ``imbalance`` is the largest label count divided by the smallest; ``evenness`` is the entropy of the label counts
    divided by its maximum.
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
        label_distance_by_chance: its mean when rows are assigned to the two splits at random.
        label_p_value: p-value of a permutation chi-squared test that both splits have the same shares.
        unigram_divergence: Jensen-Shannon divergence in bits; ``_by_chance``: its mean for random assignments.
        classifier_auc: out-of-fold AUC of a model that tells the splits apart (Lopez-Paz & Oquab 2017); 0.5: no drift.
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
    """A group of texts that are near-duplicates of the first one."""

    size: int
    splits: dict[str, int]
    label_sets: int
    text: str


class Exploration(Frozen):
    """The full exploration of a dataset."""

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
        """A copy without complete utterances; words and n-grams stay."""
        bare = [cluster.model_copy(update={"text": ""}) for cluster in self.largest_clusters]
        return self.model_copy(update={"largest_clusters": bare})
