"""A ledger loses no edit: versions, undo, all or nothing, several people at once."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from purport.errors import EntryChanged, PathUnknown, QueueInvalid
from purport.ui.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    entries = [(1, {"text": "a"}), (1, {"text": "b"}), (2, {"text": "c"})]
    return Ledger.create(tmp_path / "queue.db", {"kind": "review", "title": "t"}, entries)


def test_an_edit_of_an_older_version_is_refused_and_shows_what_is_there(ledger: Ledger) -> None:
    ledger.decide({1: 0}, "done", {"labels": ["x"]}, "anna")
    with pytest.raises(EntryChanged, match="anna") as refused:
        ledger.decide({1: 0}, "done", {"labels": ["y"]}, "ben")
    (now,) = refused.value.entries
    assert now["state"] == {"labels": ["x"]} and now["version"] == 1 and now["who"] == "anna"
    assert ledger.entry(1).state == {"labels": ["x"]}
    assert ledger.decide({1: 1}, "done", {"labels": ["y"]}, "ben")[0].version == 2


def test_a_decision_for_several_is_for_all_or_for_none(ledger: Ledger) -> None:
    ledger.decide({2: 0}, "skipped", {}, "anna")
    with pytest.raises(EntryChanged):
        ledger.decide({1: 0, 2: 0, 3: 0}, "done", {"labels": ["x"]}, "ben")
    with pytest.raises(PathUnknown):
        ledger.decide({1: 0, 4: 0}, "done", {"labels": ["x"]}, "ben")
    assert ledger.tally() == {"open": 2, "skipped": 1}


def test_undo_goes_back_step_by_step_and_is_an_edit_itself(ledger: Ledger) -> None:
    for version, label in enumerate("xyz"):
        ledger.decide({1: version}, "done", {"labels": [label]}, "anna")
    states = []
    for version in (3, 4, 5, 6):
        (entry,) = ledger.undo({1: version}, "anna")
        states.append((entry.status, entry.state, entry.version))
    assert states == [
        ("done", {"labels": ["y"]}, 4), ("done", {"labels": ["x"]}, 5), ("open", {}, 6), ("open", {}, 7)
    ]  # fmt: skip
    ledger.decide({1: 7}, "done", {"labels": ["w"]}, "anna")
    assert ledger.undo({1: 8}, "anna")[0].status == "open", "what was undone does not come back"
    with pytest.raises(EntryChanged):
        ledger.undo({1: 8}, "ben")


def test_of_many_at_once_exactly_one_is_first(ledger: Ledger) -> None:
    def decide(number: int) -> bool:
        try:
            Ledger(ledger.path).decide({1: 0, 2: 0}, "done", {"labels": [str(number)]}, f"person {number}")
        except EntryChanged:
            return False
        return True

    with ThreadPoolExecutor(8) as people:
        won = list(people.map(decide, range(24)))
    assert won.count(True) == 1
    entry = ledger.entry(1)
    assert entry.version == 1 and entry.state == {"labels": [str(won.index(True))]}


def test_the_next_open_entry_comes_after_this_one_and_then_from_the_start(ledger: Ledger) -> None:
    assert [ledger.next_open(after) for after in (0, 1, 2, 3, 10**30)] == [1, 2, 3, 1, 1]
    ledger.decide({1: 0, 3: 0}, "done", {}, "anna")
    assert [ledger.next_open(after) for after in (0, 2, 3)] == [2, 2, 2]
    ledger.decide({2: 0}, "skipped", {}, "anna")
    assert ledger.next_open() is None


def test_what_is_no_ledger_is_told(tmp_path: Path) -> None:
    with pytest.raises(QueueInvalid, match="no file"):
        Ledger(tmp_path / "missing.db")
    (tmp_path / "text.db").write_text("not a database, but long enough to be taken for one" * 20)
    with pytest.raises(QueueInvalid, match=r"text\.db"):
        Ledger(tmp_path / "text.db")
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE entries (id INTEGER)")
    other.close()
    with pytest.raises(QueueInvalid, match=r"no review queue of this version"):
        Ledger(tmp_path / "other.db")


def test_numbers_that_are_no_entry(ledger: Ledger) -> None:
    for number in (0, -1, 4, 2**31, 10**30):
        with pytest.raises(PathUnknown):
            ledger.entry(number)
