"""What a spreadsheet of another country exports goes through every command, from the first look to the last review."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from typer.testing import CliRunner

from purport.cli.main import app
from purport.data.formats import Layout, Row, read_rows
from purport.ui.ledger import Ledger

ASKED = {
    "Lieferung": ("wo bleibt {}?", "Lieferung von {} verspätet", "wann kommt {} endlich an", "{} ist nicht da"),
    "Kündigung": ("ich möchte {} kündigen", "{} bitte beenden", "Kündigung für {}", "Vertrag {} auflösen"),
    "Rechnung": ("{} ist falsch berechnet", "falscher Betrag für {}", "Rechnung über {} prüfen", "Mahnung wegen {}"),
}
THINGS = ("Strom", "Gas", "Internet", "Öl", "Wärme", "das Paket", "den Tarif", "die Tür", "das Café", "die Straße")
BREAKS = ("", "", "", '\r\n\r\nMit freundlichen Grüßen\r\n"Müller"; Köln', "\nDanke!")
ROWS = [
    (f"{1 + number % 28:02d}.03.2024", say.format(thing) + BREAKS[number % 5], label, f"{number},50")
    for number, (thing, label, say) in enumerate(
        (thing, label, say) for thing in THINGS for label, says in ASKED.items() for say in says
    )
]  # fmt: skip
HEAD = ("Datum", "Nachricht", "Kategorie", "Betrag")


def exported(path: Path, rows: list[tuple[str, ...]], head: tuple[str, ...] = HEAD) -> Path:
    """As Excel saves it in Germany: "CSV UTF-8", or "Unicode text" with tabs; it ends with empty rows."""
    delimiter, encoding = ("\t", "utf-16") if path.suffix == ".txt" else (";", "utf-8-sig")
    table = io.StringIO(newline="")
    csv.writer(table, delimiter=delimiter, lineterminator="\r\n").writerows([head, *rows, *[[""] * len(head)] * 3])
    path.write_bytes((table.getvalue() + "\r\n\r\n").encode(encoding))
    return path


@pytest.mark.parametrize("ending", [".csv", ".txt"])
def test_an_export_of_a_spreadsheet_goes_through_all_commands(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    old, new = exported(Path(f"alt{ending}"), ROWS[:96]), exported(Path(f"neu{ending}"), ROWS[96:])
    texts = exported(Path(f"texte{ending}"), [(row[0], row[1], row[3]) for row in ROWS[96:]], (*HEAD[:2], HEAD[3]))

    def run(*words: object) -> str:
        done = CliRunner().invoke(app, [*map(str, words)])
        assert done.exit_code == 0, (words, done.output, done.exception)
        return " ".join(done.output.split())

    said = run("data", old)
    assert 'texts from "Nachricht", labels from "Kategorie"; not used: Datum, Betrag' in said
    assert "3 empty rows of train left out" in said and "96" in said and "warning" not in said
    run("init", old, "-o", "alt.toml")
    run("train", "alt.toml", "--out", "one", "--set", "kind=linear")
    assert "no problems found" in run("doctor", "alt.toml", "-o", "page")
    assert f"neu{ending}: 24 rows" in run("evaluate", "one", new, "--resamples", 20)
    assert "rows classified: 24; empty rows: 5" in run("predict", "one", "--input", new, "--output", "answers.csv")
    assert "taught 24 examples" in run("teach", "one", new, "--out", "two", "--allow-flips", 99)
    assert "24 rows" in run("compare", "one", "two", "--data", new, "-o", "compared", "--resamples", 20)
    assert "24 rows, of which" in run("label", texts, "--with", "two", "--output", "labels.csv")
    assert "with 24 new rows" in run("review", "labels.csv", "--into", old, "--export", f"both{ending}")
    assert "24 texts read; to review" in run("review", texts, "--with", "one", "--below", 1, "--out", "queue.db")
    shown = {each.content["text"] for each in Ledger(Path("queue.db")).entries()}
    assert shown == {row[1] for row in ROWS[96:]}, "with their line breaks"
    both = [row for row in read_rows(Path(f"both{ending}"), Layout(keep_columns=True)) if isinstance(row, Row)]
    kept = [tuple(row.cells.values()) for row in both if row.text]
    assert kept[:96] == ROWS[:96] and {row[1] for row in kept[96:]} == {row[1] for row in ROWS[96:]}
