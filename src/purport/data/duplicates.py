"""Near-duplicates: clusters of texts that differ by about one word (MinHash and LSH, Broder 1997)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

SIMILARITY = 0.75
_PERMUTATIONS = 64
_MARGIN = 0.15
_MOST_CANDIDATES = 20


def near_duplicates(words: Sequence[Sequence[str]], *, threshold: float = SIMILARITY) -> list[list[int]]:
    """Clusters of at least two positions whose texts are near-duplicates of the cluster's first text.

    Texts are near-duplicates if the Jaccard similarity of their sets of words and word pairs reaches ``threshold``.
    Each text is compared only with the first text of each cluster, so that large clusters do not slow this down.
    """
    from datasketch import MinHash, MinHashLSH

    # The index misses some matches, so it uses a lower threshold; its candidates are then compared exactly.
    index = MinHashLSH(threshold=max(0.1, threshold - _MARGIN), num_perm=_PERMUTATIONS)
    members: dict[tuple[str, ...], list[int]] = {}
    for position, found in enumerate(words):
        if found:
            members.setdefault(tuple(found), []).append(position)
    sketches = MinHash.generator(
        ([shingle.encode() for shingle in _shingles(key)] for key in members), num_perm=_PERMUTATIONS
    )
    clusters: dict[int, list[int]] = {}
    for (key, positions), sketch in zip(members.items(), sketches, strict=True):
        shingles, leader, best = _shingles(key), positions[0], 0.0
        for other in sorted(index.query(sketch))[:_MOST_CANDIDATES]:
            similarity = jaccard(shingles, _shingles(words[other]))
            if similarity >= threshold and similarity > best:
                leader, best = other, similarity
        if leader == positions[0]:
            index.insert(leader, sketch, check_duplication=False)
        clusters.setdefault(leader, []).extend(positions)
    return [sorted(found) for found in clusters.values() if len(found) > 1]


def _shingles(words: Sequence[str]) -> set[str]:
    return {*words, *(f"{left} {right}" for left, right in pairwise(words))}


def jaccard(left: set[str], right: set[str]) -> float:
    """Jaccard similarity: the size of the intersection divided by the size of the union."""
    return len(left & right) / len(left | right)
