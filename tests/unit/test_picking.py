"""What is picked for review, what stands together, and in which order."""

from __future__ import annotations

from typing import Any

from purport.labels import Task
from purport.ui.picking import Candidate, pick, uncertainty


def answer(*ranked: tuple[str, float], labels: tuple[str, ...] | None = None) -> dict[str, Any]:
    decided = [ranked[0][0]] if labels is None else list(labels)
    return {"labels": decided, "intents": [{"label": label, "confidence": value} for label, value in ranked]}


def sure(label: str = "a") -> dict[str, Any]:
    return answer((label, 0.99), ("z", 0.005))


def whys(*candidates: Candidate, task: Task = Task.MULTICLASS, below: float = 0.8) -> list[str]:
    return [each.why for each in pick(candidates, task, below=below)]


def test_what_is_sure_and_undisputed_is_not_shown() -> None:
    assert whys(Candidate("x", sure()), Candidate("y", sure(), ("a",)), Candidate("z", sure(), None, sure())) == []


def test_each_reason() -> None:
    assert whys(Candidate("x", sure(), ("b",))) == ["label"]
    assert whys(Candidate("x", sure(), None, sure("b"))) == ["bundles"]
    assert whys(Candidate("x", answer(("a", 0.4), ("b", 0.3), labels=()))) == ["out_of_scope"]
    assert whys(Candidate("x", answer(("a", 0.7), ("b", 0.2)))) == ["unsure"]
    assert whys(Candidate("x", answer(("a", 0.7), ("b", 0.2))), below=0.6) == []
    assert whys(Candidate("x", answer(("a", 0.4), labels=()), ())) == [], "data and model agree that none applies"
    both = answer(("a", 0.99), ("b", 0.4))
    assert whys(Candidate("x", both)) == [] and whys(Candidate("x", both), task=Task.MULTILABEL) == ["unsure"]


def test_uncertainty() -> None:
    assert uncertainty(answer(("a", 0.5), ("b", 0.5)), Task.MULTICLASS) == 1
    assert uncertainty(answer(("a", 1.0), ("b", 0.0)), Task.MULTICLASS) == 0
    assert uncertainty(answer(("a", 1.0), ("b", 0.5)), Task.MULTILABEL) == 1
    assert uncertainty(answer(("a", 1.0), ("b", 0.0)), Task.MULTILABEL) == 0


def test_similar_texts_that_are_decided_alike_stand_together() -> None:
    unsure, other = answer(("a", 0.6), ("b", 0.3)), answer(("b", 0.6), ("a", 0.3))
    texts = [
        Candidate("where is my parcel with the lamp", unsure),
        Candidate("how do i pay by invoice", unsure),
        Candidate("where is my parcel with the chair", unsure),
        Candidate("where is my parcel with the table", other),
    ]
    batches: dict[int, list[str]] = {}
    for each in pick(texts, Task.MULTICLASS):
        batches.setdefault(each.batch, []).append(each.candidate.text)
    assert sorted(map(len, batches.values())) == [1, 1, 2]
    assert ["where is my parcel with the lamp", "where is my parcel with the chair"] in [*batches.values()]


def test_equal_texts_are_shown_once() -> None:
    unsure = answer(("a", 0.6), ("b", 0.3))
    assert len(whys(Candidate("Hello there!", unsure), Candidate("hello  there", unsure))) == 1


def test_rare_labels_come_first_then_the_least_certain_and_labels_take_turns() -> None:
    def unsure(text: str, label: str, confidence: float) -> Candidate:
        return Candidate(text, answer((label, confidence), ("z", 0.1)))

    texts = [unsure(f"{word} {number}", "common", 0.5 + number / 100) for number, word in enumerate("qwertyuiop")]
    texts += [unsure("completely different", "rare", 0.79), unsure("some other words", "middle", 0.75)]
    picked = pick(texts, Task.MULTICLASS, known={"common": 500, "rare": 3, "middle": 90})
    labels = [each.candidate.likeliest for each in picked]
    assert labels[0] == "rare" and labels.count("common") == 10
    assert labels[1:4] == ["common", "middle", "common"], "no two groups of one label while there are others"
    common = [each.candidate.text for each in picked if each.candidate.likeliest == "common"]
    assert common[0] == "q 0" and common[-1] == "p 9", "the least certain first"


def test_at_most_so_many_and_disputed_ones_first() -> None:
    unsure = [Candidate(f"text {number}", answer(("a", 0.5), ("b", 0.5))) for number in range(10)]
    disputed = Candidate("entirely other", sure(), ("b",))
    picked = pick([*unsure, disputed], Task.MULTICLASS, most=3)
    assert len(picked) == 3 and disputed in [each.candidate for each in picked]
