"""In which order to label texts: those first that stand for many others."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.neighbors import NearestNeighbors

_NEIGHBOURS = 20  # as in TypiClust (Hacohen et al. 2022)
_MOST = 20_000  # texts that are compared with each other, which takes the square of their number


def typical_first(texts: Sequence[str], seed: int) -> NDArray[np.intp]:
    """The positions of different ``texts``, the most typical first; every beginning of it represents all of them.

    Texts are TF-IDF vectors of characters. A text represents itself and those among whose 20 nearest neighbours it is,
    as far as the cosine says. Each next one adds most to what is represented: greedy facility location, whose first
    ``n`` are within 1 - 1/e of the best ``n`` (Nemhauser et al. 1978; for text classification Wei et al. 2015). Density
    alone (most similar to their neighbours) would take all variants of one template first.

    Of more than 20,000 texts, as many drawn by chance are ordered, and the others follow as they were drawn.
    """
    drawn = np.random.default_rng(seed).permutation(len(texts))
    compared = drawn[:_MOST]
    try:
        vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True).fit_transform(
            [texts[row] for row in compared.tolist()]
        )
    except ValueError:  # the library's: there is no character to count
        return drawn
    nearest = NearestNeighbors(n_neighbors=min(_NEIGHBOURS + 1, len(compared)), metric="cosine", algorithm="brute")
    distances, neighbours = nearest.fit(vectors).kneighbors(vectors)
    order = compared[_greedy(np.clip(1 - distances, 0, 1), neighbours)]
    return np.concatenate([order, drawn[_MOST:]])


def _greedy(similar: NDArray[np.float64], neighbours: NDArray[np.intp]) -> NDArray[np.intp]:
    """All positions, the one with the largest gain next; ``similar`` and ``neighbours`` are ``(n, k)``.

    Gains only shrink, so that the first of the heap whose gain is current is the largest (Minoux 1978).
    """
    n, k = similar.shape
    by = np.argsort(neighbours.ravel(), kind="stable")
    starts = np.searchsorted(neighbours.ravel()[by], np.arange(n + 1))
    texts, worth, represented = by // k, similar.ravel()[by], np.zeros(n)

    def gain(position: int) -> float:
        own = slice(starts[position], starts[position + 1])
        return float(np.maximum(worth[own] - represented[texts[own]], 0).sum())

    heap = [(-gain(position), position) for position in range(n)]
    heapq.heapify(heap)
    order = []
    while heap:
        _, position = heapq.heappop(heap)
        now = -gain(position)
        if heap and now > heap[0][0]:
            heapq.heappush(heap, (now, position))
            continue
        order.append(position)
        own = slice(starts[position], starts[position + 1])
        represented[texts[own]] = np.maximum(represented[texts[own]], worth[own])
    return np.array(order, dtype=np.intp)
