"""Utterances with several intents, made from pairs of training utterances.

Data with few multi-intent rows teaches that intents exclude each other. Two utterances put together, with
the labels of both, teach that they add up.
"""

from __future__ import annotations

import numpy as np

from ..run import Rows


def with_composed(rows: Rows, share: float, conjunction: str, seed: int) -> Rows:
    """``rows`` and ``share`` times as many pairs, each of two rows without a label in common.

    The first utterance is drawn evenly over rows, the second evenly over label combinations, so that rare
    intents take part.
    """
    rng = np.random.default_rng(seed)
    combinations, member = np.unique(rows.gold, axis=0, return_inverse=True)
    labelled = np.flatnonzero(combinations.any(axis=1))
    members = [np.flatnonzero(member == index) for index in range(len(combinations))]
    texts, gold = list(rows.texts), [rows.gold]
    for _ in range(round(share * len(rows))):
        first = int(rng.integers(len(rows)))
        second = int(rng.choice(members[rng.choice(labelled)]))
        if (rows.gold[first] & rows.gold[second]).any():
            continue
        texts.append(f"{rows.texts[first]}{conjunction}{rows.texts[second]}")
        gold.append((rows.gold[first] | rows.gold[second])[None, :])
    return Rows(texts, np.concatenate(gold))
