"""Makes utterances with several intents by joining pairs of training utterances.

A model trained on data with few multi-intent rows learns that intents exclude each other. Joined utterances, with the
labels of both parts, teach it that intents can occur together.
"""

from __future__ import annotations

import numpy as np

from ..run import Rows


def with_composed(rows: Rows, share: float, conjunction: str, seed: int) -> Rows:
    """``rows``, plus ``share`` times as many pairs, each of two rows without a common label.

    The first utterance is drawn uniformly from the rows, the second uniformly from the label combinations, so that
    rare intents are included. A pair weighs what both of its rows weigh, multiplied.
    """
    rng = np.random.default_rng(seed)
    combinations, member = np.unique(rows.gold, axis=0, return_inverse=True)
    labelled = np.flatnonzero(combinations.any(axis=1))
    members = [np.flatnonzero(member == index) for index in range(len(combinations))]
    texts, gold = list(rows.texts), [rows.gold]
    weights = [] if rows.weights is None else rows.weights.tolist()
    for _ in range(round(share * len(rows))):
        first = int(rng.integers(len(rows)))
        second = int(rng.choice(members[rng.choice(labelled)]))
        if (rows.gold[first] & rows.gold[second]).any():
            continue
        texts.append(f"{rows.texts[first]}{conjunction}{rows.texts[second]}")
        gold.append((rows.gold[first] | rows.gold[second])[None, :])
        if weights:
            weights.append(weights[first] * weights[second])
    return Rows(texts, np.concatenate(gold), np.array(weights, dtype=np.float32) if weights else None)
