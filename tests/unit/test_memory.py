"""A bundle's memory finds the nearest training examples, exactly, and a damaged one is noticed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from purport.errors import BundleCorrupt
from purport.runtime import memory as module
from purport.runtime.memory import MEMORY_FILE, Memory


def unit(values: np.ndarray) -> np.ndarray:
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def made(rng: np.random.Generator, n: int = 500, labels: int = 7, texts: bool = False) -> tuple[Memory, np.ndarray]:
    vectors = unit(rng.normal(size=(n, 32)))
    gold = rng.random((n, labels)) < 0.2
    gold[np.arange(n), rng.integers(labels, size=n)] = True
    prints = rng.integers(2**60, size=n).astype(np.uint64)
    return Memory.of(vectors, gold, prints, [f"text {i}" for i in range(n)] if texts else None), vectors


def test_an_example_is_nearest_to_itself_and_has_its_labels(rng: np.random.Generator) -> None:
    memory, vectors = made(rng)
    for row, found in enumerate(memory.nearest(vectors[:20], 3)):
        assert found[0].position == row and found[0].similarity == pytest.approx(1, abs=0.005)
        assert found[0].labels == memory.labels_of(row)
        assert [each.similarity for each in found] == sorted((each.similarity for each in found), reverse=True)


def test_the_search_is_exact_across_blocks(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, vectors = made(rng)
    asked = unit(rng.normal(size=(9, 32)))
    expected = np.argsort(-(asked @ vectors.T), axis=1)[:, 0]
    monkeypatch.setattr(module, "_BLOCK", 64)
    found = [row[0].position for row in memory.nearest(asked, 5)]
    # int8 vectors may exchange two that are equally near
    exact = (asked @ vectors.T)[np.arange(9), expected]
    assert np.allclose((asked @ vectors.T)[np.arange(9), found], exact, atol=0.01)
    assert len(memory.nearest(asked, 10_000)[0]) == len(memory)


def test_of_equally_near_examples_the_first_come_first() -> None:
    vectors = unit(np.array([[1, 0], [0, 1], [1, 0], [1, 1], [1, 0]], dtype=np.float32))
    memory = Memory.of(vectors, np.ones((5, 1), dtype=np.bool_), np.zeros(5, dtype=np.uint64))
    for k in range(7):
        expected = [0, 2, 4, 3, 1][:k]
        assert [each.position for each in memory.nearest(vectors[:1], k)[0]] == expected
        assert [each.position for each in memory.nearest_with(vectors[0], k, 0)] == expected


def test_closeness_is_to_the_nearest_examples_of_the_label_and_to_their_mean(rng: np.random.Generator) -> None:
    memory, vectors = made(rng)
    asked, label = unit(rng.normal(size=(50, 32))), rng.integers(7, size=50)
    found = memory.closeness(asked, label)
    for row in range(50):
        members = vectors[memory.members(int(label[row]))]
        density = np.log(np.exp((members @ asked[row] - 1) / 0.05).mean())
        assert found[row, 0] == pytest.approx(1 + 0.05 * density, abs=0.01)
        assert found[row, 1] == pytest.approx(unit(members.mean(axis=0)[None])[0] @ asked[row], abs=0.01)


def test_one_strange_example_does_not_vouch_for_what_is_like_it(rng: np.random.Generator) -> None:
    """A mislabelled row: its copy is less similar to the label than a text that is near several of its rows."""
    usual, odd = unit(np.eye(8)[0] + 0.2 * rng.normal(size=(40, 8))), np.eye(8)[[7]]
    memory = Memory.of(np.vstack([usual, odd]).astype(np.float32), np.ones((41, 1), bool), np.zeros(41, np.uint64))
    found = memory.closeness(np.eye(8, dtype=np.float32)[[0, 7]], np.zeros(2, dtype=np.intp))
    assert (found[0] > found[1] + 0.05).all()


def test_a_label_without_examples_is_close_to_nothing(rng: np.random.Generator) -> None:
    memory = Memory.of(unit(rng.normal(size=(2, 8))), np.array([[True, False]] * 2), np.zeros(2, np.uint64))
    assert memory.closeness(unit(rng.normal(size=(1, 8))), np.array([1])).tolist() == [[0, 0]]


@pytest.mark.parametrize("texts", [False, True])
def test_it_can_be_saved_and_loaded(rng: np.random.Generator, tmp_path: Path, texts: bool) -> None:
    memory, vectors = made(rng, texts=texts)
    memory.save(tmp_path)
    again = Memory.load(tmp_path, 7)
    assert again is not None and again.texts == memory.texts
    assert again.nearest(vectors[:3], 2) == memory.nearest(vectors[:3], 2)


def test_no_memory_is_no_error(tmp_path: Path) -> None:
    assert Memory.load(tmp_path, 3) is None


@pytest.mark.parametrize("name", ["labels", "offsets", "vectors", "scales", "prints"])
def test_a_damaged_memory_is_noticed(rng: np.random.Generator, tmp_path: Path, name: str) -> None:
    made(rng)[0].save(tmp_path)
    with np.load(tmp_path / MEMORY_FILE) as arrays:
        held = dict(arrays)
    held[name] = held[name][:-1] if name != "labels" else held[name] + 100
    np.savez(tmp_path / MEMORY_FILE, **held)
    with pytest.raises(BundleCorrupt, match=MEMORY_FILE):
        Memory.load(tmp_path, 7)
    (tmp_path / MEMORY_FILE).write_bytes(b"PK nothing")
    with pytest.raises(BundleCorrupt, match=MEMORY_FILE):
        Memory.load(tmp_path, 7)
