"""Token ids of a split, batched by similar length, in an order that depends only on the seed and the epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset, Sampler

from ...data.noise import noisy
from ...model import BoolArray
from ...runtime.tokens import TextReader
from ..run import Rows

# Batches are cut from sorted windows of this many batches: little padding, but different batches in each epoch.
_WINDOW = 50
_LARGEST_WEIGHT = 5.0


def row_weights(gold: BoolArray) -> NDArray[np.float32]:
    """Weights ``(n,)`` that compensate for rare label combinations, from ``gold (n, n_labels) bool``.

    √(n / (combinations · rows of this combination)), limited to 1 to 5: rare labels and rare combinations count more,
    and no row dominates.
    """
    _, combination, counts = np.unique(gold, axis=0, return_inverse=True, return_counts=True)
    weights = np.sqrt(len(gold) / (len(counts) * counts))
    return np.clip(weights, 1.0, _LARGEST_WEIGHT).astype(np.float32)[combination]


class TokenRows(Dataset[dict[str, Any]]):
    """Token ids as ``int32`` arrays, gold labels, and weights: the product of ``weights (n,)`` and those of the rows.

    With ``noise``, that share of the rows, others in each epoch, has the typing errors of
    :func:`~purport.data.noise.noisy`, which depend only on ``seed``, ``epoch`` and the row.
    """

    def __init__(
        self,
        rows: Rows,
        reader: TextReader,
        weights: NDArray[np.float32] | None = None,
        *,
        noise: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.ids: list[NDArray[np.int32]] = []
        for start in range(0, len(rows), 4096):
            read = reader(rows.texts[start : start + 4096])
            self.ids.extend(np.asarray(ids, dtype=np.int32) for ids in read.ids)
        self._rows, self._reader, self._noise, self._seed = rows, reader, noise, seed
        self.epoch = 0
        # Composed rows come after the rows with weights; their weight is 1.
        self._weights = np.ones(len(rows), dtype=np.float32)
        if weights is not None:
            self._weights[: len(weights)] = weights
        if rows.weights is not None:
            self._weights *= rows.weights

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"ids": self._ids(index), "gold": self._rows.gold[index], "weight": self._weights[index]}

    def _ids(self, index: int) -> NDArray[np.int32]:
        if self._noise:
            rng = np.random.default_rng((self._seed, self.epoch, index))
            if rng.random() < self._noise:
                return np.asarray(self._reader([noisy(self._rows.texts[index], rng)]).ids[0], dtype=np.int32)
        return self.ids[index]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens per row, without noise."""
        return np.array([len(ids) for ids in self.ids], dtype=np.int64)


class Collator:
    """Pads a batch to its longest text, on the right."""

    def __init__(self, pad_id: int) -> None:
        self._pad_id = pad_id

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """``input_ids``, ``attention_mask (batch, tokens)``, ``labels (batch, n_labels)``, ``weights (batch,)``."""
        ids = [torch.from_numpy(row["ids"]).long() for row in rows]
        input_ids = pad_sequence(ids, batch_first=True, padding_value=self._pad_id)
        attention_mask = pad_sequence([torch.ones_like(each) for each in ids], batch_first=True)
        labels = torch.from_numpy(np.stack([row["gold"] for row in rows])).float()
        weights = torch.tensor([row["weight"] for row in rows])
        return {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels, "weights": weights}


class LengthGroupedSampler(Sampler[int]):
    """Yields every row once, grouped by similar length, in an order that depends only on the seed and ``epoch``.

    The library's own sampler uses the global random state, so that a run resumed within an epoch would see a
    different order from an uninterrupted run.
    """

    def __init__(self, lengths: NDArray[np.int64], batch_size: int, seed: int) -> None:
        self._lengths = lengths
        self._batch_size = batch_size
        self._seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self._seed, self.epoch))
        shuffled, size = rng.permutation(len(self._lengths)), self._batch_size
        batches: list[NDArray[np.int64]] = []
        for start in range(0, len(shuffled), size * _WINDOW):
            window = shuffled[start : start + size * _WINDOW]
            window = window[np.argsort(self._lengths[window], kind="stable")]
            batches += [window[cut : cut + size] for cut in range(0, len(window), size)]
        # Only the last batch may have fewer rows, so it stays last.
        full = len(shuffled) // size
        for index in [*rng.permutation(full), *range(full, len(batches))]:
            yield from batches[index].tolist()
