"""Tables of one's own on the pages *Review* and *Fix plan*: read as remembered or as the person says, told in words."""

from __future__ import annotations

import asyncio
from importlib.resources import files
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from purport import Bundle
from purport.data.formats import Layout
from purport.data.hints import Hints
from purport.doctor.finding import Fix
from purport.doctor.plan import write_plan
from purport.errors import DataError
from purport.serving.access import Principal
from purport.serving.app import create_app
from purport.serving.context import AppContext
from purport.serving.generation import Generation
from purport.settings import load
from purport.ui.background import problem_of
from purport.ui.filling import Fillings, Served
from purport.ui.fixes import _read
from purport.ui.forms import File
from purport.ui.given_rows import read_into
from purport.ui.ledger import REVIEW, Ledger
from purport.ui.remedies import FIELD, said_on_page
from purport.ui.sheets import Sheet

TABLE = "Frage;Anliegen\r\nWann fährt der Bus?;Fahrplan\r\n"
PLAIN = {"kind": REVIEW, "title": "q", "task": "multilabel", "labels": ["Fahrplan", "Bad"]}


@pytest.fixture
def server(tmp_path: Path) -> TestClient:
    """A server whose workers were never started."""
    context = AppContext.of(load({"review_dir": str(tmp_path)}), {"atis": "atis"}, 1)
    return TestClient(create_app(context), client=("192.0.2.7", 50_000), follow_redirects=False)


def queue(tmp_path: Path, data: dict[str, object]) -> None:
    made = Ledger.create(tmp_path / "q.db", PLAIN | {"data": data}, [(1, {"text": "Wo ist das Bad?"})])
    made.decide({1: 0}, "done", {"labels": ["Bad"]}, "ada")


NEW = TABLE + "Wo ist das Bad?;Bad\r\n"
OWN = {"text_column": "Frage", "label_column": "Anliegen"}


def test_a_table_is_read_in_the_encoding_that_the_queue_remembers(server: TestClient, tmp_path: Path) -> None:
    queue(tmp_path, OWN | {"encoding": "cp1252"})
    answer = server.post("/ui/review/q/into", files={"file": ("own.csv", TABLE.encode("cp1252"))})
    assert answer.status_code == 200 and answer.content.decode("cp1252") == NEW


def test_where_no_encoding_is_known_the_person_chooses(server: TestClient, tmp_path: Path) -> None:
    queue(tmp_path, OWN)
    asked = server.post("/ui/review/q/into", files={"file": ("own.csv", TABLE.encode("cp1252"))})
    assert asked.status_code == 400 and "--" not in asked.text.partition("<main")[2]
    assert "Western European: fährt" in asked.text and 'action="/ui/review/q/into/encoding"' in asked.text
    assert server.post("/ui/review/other/into/encoding", data={"encoding": "cp1252"}).status_code == 400
    assert server.post("/ui/review/q/into/encoding", data={"encoding": "rot13"}).status_code == 400
    answer = server.post("/ui/review/q/into/encoding", data={"encoding": "cp1252"})
    assert answer.status_code == 200 and answer.content.decode("cp1252") == NEW
    again = server.post("/ui/review/q/into/encoding", data={"encoding": "cp1252"})
    assert again.status_code == 400 and "Send the file again" in again.text


def plan(path: Path) -> bytes:
    """As a spreadsheet saves it again."""
    fix = Fix(apply=True, action="drop", split="train", row=1, text="Wann fährt der Bus?", labels=("Fahrplan",),
              check="c", why="w")  # fmt: skip
    write_plan([fix], path)
    head, line = path.read_text("utf-8-sig").splitlines()
    line = line.replace('"[""Fahrplan""]"', "Fahrplan")
    return f"{head.replace(',', ';')}\r\n{line.replace(',', ';')}\r\n".encode("cp1252")


def test_a_plan_that_a_spreadsheet_saved_is_read_as_the_person_says(server: TestClient, tmp_path: Path) -> None:
    content = plan(tmp_path / "made.csv")
    (tmp_path / "made.csv").unlink()
    asked = server.post("/ui/fixes", files={"file": ("fixes.csv", content)})
    assert asked.status_code == 400 and "Western European: fährt" in asked.text and "plan-encoding" not in asked.text
    answer = server.post("/ui/fixes/encoding", data={"encoding": "cp1252"})
    assert answer.status_code == 303
    assert "Wann fährt der Bus?" in server.get(answer.headers["location"]).text


def test_a_plan_of_the_operator_is_asked_about_as_well(server: TestClient, tmp_path: Path) -> None:
    (tmp_path / "ours.csv").write_bytes(plan(tmp_path / "ours.csv"))
    asked = server.post("/ui/fixes/open", data={"plan": "ours.csv"})
    assert asked.status_code == 400 and 'action="/ui/fixes/open/encoding"' in asked.text
    assert server.post("/ui/fixes/encoding", data={"encoding": "cp1252"}).status_code == 400, "another one waits"
    assert server.post("/ui/fixes/open/encoding", data={"encoding": "cp1252"}).headers["location"] == "/ui/fixes/ours"
    assert "Wann fährt der Bus?" in server.get("/ui/fixes/ours").text


@pytest.mark.parametrize(
    "content", ["a,b,c\n1,2,3\n", "a,b\nhow are you,x\nand why so,x\nok now,x\n", "Frage,text \n,\n"]
)
def test_a_missing_column_is_told_with_the_field_of_the_page(content: str, tmp_path: Path) -> None:
    assert FIELD in files("purport.ui").joinpath("templates/begin.html.j2").read_text("utf-8")
    path = tmp_path / "rows.csv"
    path.write_text(content.replace("text ", "message"), "utf-8")
    with pytest.raises(DataError) as found:
        read_into(path, "rows.csv", Layout(label_column=None), Hints.again({}), Sheet(tmp_path / "sheet.db"), 1 << 20)
    said = str(problem_of(found.value, "rows.csv", field=True))
    assert said.startswith("rows.csv") and "--" not in said and "recipe" not in said
    assert f'write the name of the column into the field "{FIELD}"' in said, said
    elsewhere = str(problem_of(found.value, "rows.csv"))
    assert "--" not in elsewhere and 'rename the column of the texts to "text"' in elsewhere


def test_a_plan_is_read_in_the_encoding_of_the_bundle_that_is_served(tmp_path: Path) -> None:
    hints = Hints.again({"data": {"encoding": "cp1250"}})
    (fix,) = _read(File("fixes.csv", plan(tmp_path / "made.csv")), hints, None)
    assert fix.text == "Wann fährt der Bus?"


def test_a_table_with_a_usual_column_takes_labels_that_are_new(server: TestClient, tmp_path: Path) -> None:
    queue(tmp_path, OWN)
    content = "Nr;Frage;Kategorie\n1;Was kostet es?;Preis\n"
    answer = server.post("/ui/review/q/into", files={"file": ("own.csv", content.encode())})
    assert answer.text == content + ";Wo ist das Bad?;Bad\n"


def test_the_page_batch_names_its_field(linear_bundle: Bundle, tmp_path: Path) -> None:
    context = AppContext.of(load({"review_dir": str(tmp_path)}), {"atis": "atis"}, 1)
    anna = Principal("anna", frozenset())

    async def told() -> str:
        made = Fillings(context)
        model = Served("mine", Generation(linear_bundle))
        found = await made.start(File("rows.csv", b"a,b,c\n1,2,3\n"), Layout(label_column=None), [model], anna)
        if found.task is not None:
            await found.task
        return str(found.problem)

    assert FIELD in asyncio.run(told())


def test_the_name_of_a_file_stays_as_it_is(server: TestClient, tmp_path: Path) -> None:
    queue(tmp_path, OWN)
    answer = server.post("/ui/review/q/into", files={"file": ("tickets.csv", b"a,b,c\n1,2,3\n")})
    assert (
        answer.status_code == 400
        and "tickets.csv: no column" in answer.text
        and "--" not in answer.text.partition("<main")[2]
    )
    dated = "Frage;Fecha\nhola;2024-01-02\n"
    answer = server.post("/ui/review/q/into", files={"file": ("tickets.csv", dated.encode())})
    assert answer.status_code == 400 and "rename the column of the labels to &#34;label&#34;" in answer.text
    assert said_on_page("no rows", "tickets.csv") == "No rows."


def test_the_page_of_a_queue_says_how_its_file_was_read(server: TestClient, tmp_path: Path) -> None:
    content = {"text": "hola", "why": "unsure", "labels": None, "decided": ["Bad"], "ranked": [["Bad", 0.4]]}
    content |= {"where": "", "reason": None, "in_scope": 1.0, "other": None, "examples": []}
    Ledger.create(tmp_path / "said.db", PLAIN | {"said": ["No value of column Fecha is a label."]}, [(1, content)])
    assert "No value of column Fecha is a label." in server.get("/ui/review/said").text
