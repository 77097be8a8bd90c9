"""What is picked for review, what stands together, and in which order."""

from __future__ import annotations

from typing import Any

from purport.labels import Task
from purport.ui.picking import Candidate, Limits, pick, uncertainty


def answer(*ranked: tuple[str, float], labels: tuple[str, ...] | None = None) -> dict[str, Any]:
    decided = [ranked[0][0]] if labels is None else list(labels)
    return {"labels": decided, "intents": [{"label": label, "confidence": value} for label, value in ranked]}


def sure(label: str = "a") -> dict[str, Any]:
    return answer((label, 0.99), ("z", 0.005))


def whys(*candidates: Candidate, task: Task = Task.MULTICLASS, below: float = 0.8) -> list[str]:
    return [each.why for each in pick(candidates, task, Limits(below=below))[0]]


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
    for each in pick(texts, Task.MULTICLASS)[0]:
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
    picked, _ = pick(texts, Task.MULTICLASS, known={"common": 500, "rare": 3, "middle": 90})
    labels = [each.candidate.likeliest for each in picked]
    assert labels[0] == "rare" and labels.count("common") == 10
    assert labels[1:4] == ["common", "middle", "common"], "no two groups of one label while there are others"
    common = [each.candidate.text for each in picked if each.candidate.likeliest == "common"]
    assert common[0] == "q 0" and common[-1] == "p 9", "the least certain first"


def test_at_most_so_many_and_disputed_ones_first() -> None:
    unsure = [Candidate(f"text {number}", answer(("a", 0.5), ("b", 0.5))) for number in range(10)]
    disputed = Candidate("entirely other", sure(), ("b",))
    picked, left = pick([*unsure, disputed], Task.MULTICLASS, Limits(3))
    assert len(picked) == 3 and left == {"most": 8} and disputed in [each.candidate for each in picked]


def declined(text: str, in_scope: float = 0.02, **more: Any) -> Candidate:
    return Candidate(text, answer(("a", 0.4), labels=()) | {"in_scope": in_scope}, **more)


def test_of_sure_rejections_a_few_of_each_kind_come_last_and_the_others_are_counted() -> None:
    cities = [f"when does the bus to {city} leave on sunday" for city in ("ulm", "bonn", "kiel", "jena", "trier")]
    odd = [declined(f"{number:x} {number * number:x}") for number in range(1000, 1300)]
    unsure = [Candidate(f"text {number}", answer(("a", 0.5), ("b", 0.5))) for number in range(40)]
    everything = [*odd, *map(declined, cities), declined("perhaps", 0.45), *unsure]
    picked, left = pick(everything, Task.MULTICLASS)
    rejected = [each for each in picked if each.why == "out_of_scope"]
    assert len(picked) + sum(left.values()) == len(everything), "nothing vanishes"
    assert len(rejected) == 21 and left["declined"] >= 250
    assert [each.candidate.text for each in picked if "bus" in each.candidate.text] == cities[:3]
    place = {each.candidate.text: number for number, each in enumerate(picked)}
    assert max(place[f"text {number}"] for number in range(40)) < place[cities[0]]
    assert place["perhaps"] < place[cities[0]], "an unsure rejection is asked about like any other"
    whole, left = pick(everything, Task.MULTICLASS, Limits(all_declined=True))
    assert len(whole) == len(everything) and not left


def test_near_copies_that_are_declined_stand_together_whatever_label_is_likeliest() -> None:
    texts = ["Wann fährt der Bus 12 am Sonntag?", "Wann fährt der Bus 7 am Sonntag?", "Wann fährt der Bus 12 nach Ulm?"]
    none = [answer((label, 0.2), labels=()) | {"in_scope": 0.4} for label in ("a", "b", "c")]
    picked, _ = pick([Candidate(*each) for each in zip(texts, none, strict=True)], Task.MULTICLASS)
    assert {each.batch for each in picked} == {1}


def test_what_was_labelled_with_doubts_is_shown_whatever_the_bundle_says_now() -> None:
    assert whys(declined("x", labels=())) == [] and whys(declined("x", labels=(), doubtful=True)) == ["out_of_scope"]
    assert whys(Candidate("x", sure(), ("a",), doubtful=True)) == ["doubtful"]
    assert whys(declined("x", 0.4, labels=())) == ["out_of_scope"], "an unsure rejection, even if the file agrees"
    assert pick([declined("x", labels=()), Candidate("y", sure())], Task.MULTICLASS)[1] == {"none": 1, "sure": 1}
