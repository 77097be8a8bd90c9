"""Batches: every row once an epoch, little padding, an order that only seed and epoch decide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from purport.kinds.encoder.batching import Collator, LengthGroupedSampler, row_weights
from purport.kinds.encoder.compose import with_composed
from purport.kinds.run import Rows

LENGTHS = np.random.default_rng(0).integers(3, 60, size=1003)


def order(seed: int, epoch: int) -> list[int]:
    sampler = LengthGroupedSampler(LENGTHS, 16, seed)
    sampler.epoch = epoch
    return list(sampler)


def test_every_row_once_in_another_order_each_epoch() -> None:
    assert sorted(order(0, 0)) == list(range(len(LENGTHS)))
    assert order(0, 3) == order(0, 3)
    assert order(0, 0) != order(0, 1) and order(0, 0) != order(1, 0)


def test_batch_mates_are_of_similar_length() -> None:
    def padding(rows: list[int]) -> int:
        cut = [LENGTHS[rows[start : start + 16]] for start in range(0, len(rows), 16)]
        return int(sum(len(batch) * batch.max() - batch.sum() for batch in cut))

    assert padding(order(0, 0)) < 0.1 * padding(list(range(len(LENGTHS))))


def test_training_takes_the_order_of_each_epoch(
    tiny_recipe: dict[str, Any], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from purport.training.pipeline import train
    from purport.training.recipe import parse_recipe

    seen: list[int] = []
    plain = LengthGroupedSampler.__iter__

    def recording(self: LengthGroupedSampler) -> Any:
        seen.append(self.epoch)
        return plain(self)

    monkeypatch.setattr(LengthGroupedSampler, "__iter__", recording)
    train(parse_recipe({**tiny_recipe, "export": {"quantize": "none"}}), tmp_path / "bundle")
    assert seen == [0, 1]


def test_the_collator_pads_on_the_right() -> None:
    rows = [
        {"ids": np.array([5, 6, 7], np.int32), "gold": np.array([True, False]), "weight": np.float32(1)},
        {"ids": np.array([8], np.int32), "gold": np.array([False, True]), "weight": np.float32(2)},
    ]
    batch = Collator(pad_id=9)(rows)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 9, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist() == [[1, 0], [0, 1]] and batch["weights"].tolist() == [1, 2]


def test_rare_combinations_weigh_more_up_to_a_limit() -> None:
    gold = np.array([[1, 0]] * 90 + [[0, 1]] * 9 + [[1, 1]], dtype=bool)
    weights = row_weights(gold)
    assert weights[0] == 1
    assert weights[90] == pytest.approx(np.sqrt(100 / (3 * 9)))
    assert weights[99] == 5


def test_composed_texts_carry_the_labels_of_both() -> None:
    gold = np.array([[1, 0, 0]] * 10 + [[0, 1, 0]] * 2 + [[0, 0, 1]], dtype=bool)
    rows = Rows([f"t{number}" for number in range(len(gold))], gold)
    more = with_composed(rows, 1.0, " and ", seed=0)
    added = list(zip(more.texts[len(gold) :], more.gold[len(gold) :], strict=True))
    assert added and more.texts[: len(gold)] == rows.texts
    for text, labels in added:
        first, second = (int(part.removeprefix("t")) for part in text.split(" and "))
        assert (labels == gold[first] | gold[second]).all() and labels.sum() == 2
    assert with_composed(rows, 0.0, " and ", seed=0).texts == rows.texts
