"""What somebody sends to the pages to stop them, to read what is not theirs, or to make them fail."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from purport.data.formats import Layout, Row, read_rows
from purport.data.hints import Hints
from purport.data.spec import DataSpec
from purport.errors import DataError, Overloaded, QueueInvalid, SettingsError
from purport.labels import Task
from purport.serving.access import Principal
from purport.serving.app import create_app
from purport.serving.context import AppContext
from purport.settings import load
from purport.ui import desk, sessions
from purport.ui.forms import File, in_time
from purport.ui.given_rows import Bounds
from purport.ui.jobs import Jobs, _read
from purport.ui.ledger import Ledger
from purport.ui.picking import Limits
from purport.ui.troubles import trouble

Client = Callable[..., TestClient]


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """Makes clients of a server whose workers were never started."""

    def make(**settings: Any) -> TestClient:
        context = AppContext.of(load({"review_dir": str(tmp_path), **settings}), {"atis": "atis"}, 1)
        return TestClient(create_app(context), client=("192.0.2.7", 50_000), follow_redirects=False)

    return make


def multipart(charset: str, field: bytes) -> dict[str, Any]:
    body = b'--B\r\nContent-Disposition: form-data; name="key"\r\n\r\n' + field + b"\r\n--B--\r\n"
    return {"content": body, "headers": {"content-type": f"multipart/form-data; boundary=B; charset={charset}"}}


@pytest.mark.parametrize("charset", ["punycode", '"punycode"', "idna", "undefined", "utf-7", "zip", "unicode_escape"])
def test_a_form_is_never_decoded_as_its_sender_wishes(client: Client, charset: str) -> None:
    answer = client().post("/ui/sign-in", **multipart(charset, b"9ca" + b"a" * 7_000))
    assert answer.status_code == 400 and "UTF-8" in answer.text
    assert client(api_keys="anna").post("/ui/sign-in", **multipart("UTF-8", b"anna")).status_code == 303


def test_an_urlencoded_form_is_small(client: Client) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    server = client()
    assert server.post("/ui/review", content=b"&" * 65_537, headers=form).status_code == 413
    assert server.post("/ui/review", content=b"&" * 65_536, headers=form).status_code == 400


def test_a_form_must_arrive_in_time() -> None:
    async def never() -> Any:
        await asyncio.Future[None]()

    async def wait() -> None:
        await in_time(never, 0.01)()

    with pytest.raises(Exception, match=r"within 0\.01 seconds"):
        asyncio.run(asyncio.wait_for(wait(), 2))


def test_pages_count_towards_the_rate_limit_and_say_when_to_come_back(client: Client) -> None:
    server = client(rate_limit="3/minute")
    answers = [server.get("/ui/review") for _ in range(4)]
    assert [each.status_code for each in answers] == [200, 200, 200, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    signing = client(rate_limit="3/minute", api_keys="anna")
    assert [signing.post("/ui/sign-in", data={"key": "anna"}).status_code for _ in range(4)] == [303] * 3 + [429]


def test_one_key_cannot_sign_others_out(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_MOST_OF_ONE", 3)
    monkeypatch.setattr(sessions, "_MOST", 5)
    server = client(api_keys="anna,ben,carl,dora")

    def sign_in(key: str) -> str:
        server.cookies.clear()
        return str(server.post("/ui/sign-in", data={"key": key}).cookies["purport_session"])

    def alive(session: str) -> bool:
        server.cookies.clear()
        return server.get("/ui/review", headers={"cookie": f"purport_session={session}"}).status_code == 200

    anna, *bens = sign_in("anna"), *(sign_in("ben") for _ in range(9))
    assert alive(anna) and [alive(each) for each in bens] == [False] * 6 + [True] * 3
    assert [alive(each) for each in (sign_in("carl"), sign_in("dora"), anna)] == [True, True, True]


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [("GET", {"host": "[::1"}, 400), ("POST", {"origin": "http://[::1"}, 403), ("POST", {"host": "[::1"}, 400)],
)
def test_headers_that_cannot_be_parsed_are_refused(
    tmp_path: Path, method: str, headers: dict[str, str], status: int
) -> None:
    context = AppContext.of(load({"review_dir": str(tmp_path)}), {"atis": "atis"}, 1)
    server = TestClient(create_app(context), client=("127.0.0.1", 1), follow_redirects=False)
    assert server.request(method, "/ui/review", headers=headers).status_code == status


PLAN = "apply,action,split,row,text,labels,new_text,new_labels,check,why\n"


def plan(labels: str = "[]", rows: int = 1, check: str = "c") -> bytes:
    cell = labels.replace('"', '""')
    lines = (f'yes,drop,train,{row},a,"{cell}",,,{check.format(row)},\n' for row in range(1, rows + 1))
    return (PLAN + "".join(lines)).encode()


def upload(server: TestClient, path: str, content: bytes, name: str = "plan.csv") -> Any:
    return server.post(path, files={"file": (name, content)})


@pytest.mark.parametrize(
    "labels", ["[" * 10_000 + "]", "[" * 9_000 + "]" * 9_000, "[" + "-" * 5_000 + "1]", '["\\ud800"]', "[" * 100_000]
)
def test_a_plan_with_labels_that_cannot_be_is_refused_with_its_line(client: Client, labels: str) -> None:
    answer = upload(client(), "/ui/fixes", plan(labels))
    assert answer.status_code == 400 and "plan.csv:2: labels" in answer.text and len(answer.text) < 5_000


@pytest.mark.parametrize(
    ("content", "said"),
    [(plan(rows=51, check="check {}"), "more than 50 checks"), (plan(rows=20_001), "more than 20,000 fixes")],
)
def test_a_plan_is_bounded(client: Client, content: bytes, said: str) -> None:
    answer = upload(client(), "/ui/fixes", content)
    assert answer.status_code == 400 and said in answer.text


def test_a_page_of_a_plan_is_a_part_of_it(client: Client) -> None:
    server = client()
    where = upload(server, "/ui/fixes", plan(rows=120)).headers["location"]
    assert server.get(f"{where}?page=99999999999999999999&show=c").text.count('class="fix"') == 20
    assert server.get(where).text.count('class="fix"') == 50 and "Page 1 of 3" in server.get(where).text
    assert "There are none." in server.get(f"{where}?show=accepted").text


def test_nobody_has_lists_without_end(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "_MOST_OF_ONE", 2)
    server = client()
    answers = [upload(server, "/ui/fixes", plan()) for _ in range(3)]
    assert [each.status_code for each in answers] == [303, 303, 400] and "You have 2" in answers[-1].text
    server.post(f"{answers[0].headers['location']}/delete")
    assert upload(server, "/ui/fixes", plan()).status_code == 303


def test_what_a_page_writes_is_for_the_server_alone(client: Client, tmp_path: Path) -> None:
    where = tmp_path / "new" / "odd#dir?mode=memory&%41"
    server = client(review_dir=str(where))
    plan_ = upload(server, "/ui/fixes", plan()).headers["location"]
    assert server.get(plan_).status_code == 200
    (file,) = where.iterdir()
    assert (file.stat().st_mode & 0o777, where.stat().st_mode & 0o777) == (0o600, 0o700)


def queue(path: Path, owner: str | None = None, **about: Any) -> Ledger:
    content = {
        "text": "=cmd|calc", "where": "", "labels": None, "why": "unsure", "reason": None, "decided": [],
        "in_scope": 0.5, "ranked": [["a", 0.5]], "other": None, "examples": [],
    }  # fmt: skip
    whole = {"kind": "review", "title": "t", "owner": owner, "created": "2026", "labels": ["\x1bred", "=a"], "texts": 1}
    return Ledger.create(path, whole | about, [(1, content)])


def test_a_queue_of_the_operator_is_not_deleted_from_a_page(client: Client, tmp_path: Path) -> None:
    queue(tmp_path / "theirs.db")
    server = client()
    assert server.get("/ui/review/theirs").text.count("delete") == 0
    assert server.post("/ui/review/theirs/delete").status_code == 403 and (tmp_path / "theirs.db").exists()


def test_formulas_are_escaped_in_tables_and_come_back(client: Client, tmp_path: Path) -> None:
    queue(tmp_path / "q.db").decide({1: 0}, "done", {"labels": ["=a"]}, "anna")
    server = client()
    table = server.get("/ui/review/q/export.csv").content
    assert table.decode().splitlines()[1] == "'=cmd|calc,'=a,yes"
    (tmp_path / "q.csv").write_bytes(table)
    (row,) = read_rows(tmp_path / "q.csv", Layout())
    assert isinstance(row, Row) and (row.text, row.label) == ("=cmd|calc", "=a")
    assert server.get("/ui/review/q/export.jsonl").json() == {"text": "=cmd|calc", "label": ["=a"]}


def test_a_label_with_control_characters_can_be_chosen(client: Client, tmp_path: Path) -> None:
    made = queue(tmp_path / "q.db")
    assert r"\x1bred" in client().get("/ui/review/q/1").text
    answer = client().post("/ui/review/q/1", data={"version": "0", "label": r"\x1bred"})
    assert answer.status_code == 303 and made.entry(1).state == {"labels": ["\x1bred"]}


def test_numbers_without_end_lead_nowhere(client: Client, tmp_path: Path) -> None:
    queue(tmp_path / "q.db")
    server = client()
    assert server.get("/ui/review/q/next?after=-9999999999999999999999").headers["location"] == "/ui/review/q/1"
    assert server.get("/ui/review/q/99999999999999999999").status_code == 404
    assert server.get(f"/ui/review/q/{'9' * 5_000}").status_code in (404, 414, 431)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE about SET value = '[' WHERE name = 'title'", "UPDATE about SET value = '7' WHERE name = 'title'",
        "UPDATE about SET value = '{}' WHERE name = 'labels'", "DELETE FROM about", "DROP TABLE entries",
        "UPDATE entries SET content = '['", "UPDATE entries SET content = '7'", "UPDATE entries SET content = '{}'",
        "UPDATE entries SET content = json_set(content, '$.why', 7)", "UPDATE entries SET state = '[]'",
        "UPDATE entries SET content = json_set(content, '$.ranked', 7)",
    ],
)  # fmt: skip
def test_a_damaged_queue_spoils_no_page(client: Client, tmp_path: Path, damage: str) -> None:
    queue(tmp_path / "good.db")
    queue(tmp_path / "bad.db")
    with sqlite3.connect(tmp_path / "bad.db") as file:
        file.execute(damage)
    server = client()
    assert "/review/good" in server.get("/ui/review").text
    for page in ("bad", "bad/1", "bad/next", "bad/export.csv"):
        answer = server.get(f"/ui/review/{page}")
        assert answer.status_code < 500 and str(tmp_path) not in answer.text


def test_a_locked_queue_is_told_soon_and_in_words(client: Client, tmp_path: Path) -> None:
    made = queue(tmp_path / "q.db")
    server = client()
    with sqlite3.connect(made.path, isolation_level=None) as file:
        file.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        answer = server.get("/ui/review/q")
        assert time.monotonic() - began < 4
    assert answer.status_code == 503 and "locked" in answer.text and answer.headers["retry-after"] == "1"


def test_the_list_of_others_is_never_read(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue(tmp_path / "theirs.db", owner="somebody")
    queue(tmp_path / "everybody.db")
    read: list[str] = []
    about = vars(Ledger)["about"].func

    def whole(ledger: Ledger) -> Any:
        read.append(ledger.path.name)
        return about(ledger)

    monkeypatch.setattr(Ledger, "about", property(whole))
    assert "everybody" in client().get("/ui/review").text
    assert client().get("/ui/review/theirs").status_code == 404 and set(read) == {"everybody.db"}


def test_a_locked_disk_does_not_keep_the_server_from_answering(client: Client, tmp_path: Path) -> None:
    """Reading a list happens in a thread: the loop goes on meanwhile."""
    queue(tmp_path / "q.db")
    seen: list[bool] = []

    def progress(ledger: Ledger) -> dict[str, int]:
        seen.append(threading.current_thread() is threading.main_thread())
        return {}

    async def ask() -> None:
        await desk.Desk(tmp_path).all("review", Principal("me", frozenset()), progress)

    asyncio.run(ask())
    assert seen == [False]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.csv", b"\x1f\x8babc", "compressed with gzip"), ("x.csv", b"PAR1abc", "a Parquet file"),
        ("x.csv", b"PK\x03\x04abc", "zip archive"), ("x.parquet", b"PAR1", "unknown file format"),
        ("x.csv", b"text\n" + b"a b\n" * 20_001, "more than 20,000 rows"),
        ("x.csv", b"text,label\n" + b"".join(b"a,l%d\n" % n for n in range(2_001)), "more than 2,000 labels"),
        ("x.csv", b"," * 600_000 + b"\na\n", "more than 500 columns"),
    ],
)  # fmt: skip
def test_a_file_is_read_within_bounds(name: str, content: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        _read(File(name, content), Hints(DataSpec(name=""), frozenset(), Task.MULTILABEL), None)


def test_reading_ends_when_its_time_is_over(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="takes too long"):
        Bounds("x.csv", 10, time.monotonic() - 1).count("a")
    with pytest.raises(DataError, match="too large"):
        Bounds("x.csv", 10, time.monotonic() + 60).count("a" * 11)


def test_one_file_of_a_client_and_two_in_all_are_read_at_once(client: Client, tmp_path: Path) -> None:
    async def start() -> list[str]:
        context = AppContext.of(load({"review_dir": str(tmp_path)}), {"atis": "atis"}, 1)
        found, waits = Jobs(context), asyncio.create_task(asyncio.sleep(60))
        said: list[str] = []
        for who in ("192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3"):
            try:
                principal = Principal(who, frozenset(), anonymous=True)
                job = found.start(tmp_path / f"{len(said)}.db", File("x.csv", b""), ("", None), principal, Limits())
                job.task, _ = waits, job.task and job.task.cancel()
                said.append("")
            except Overloaded as error:
                said.append(str(error))
        waits.cancel()
        return said

    one, again, other, third = asyncio.run(start())
    assert (one, other) == ("", "") and "Another file of yours" in again and "other people" in third


def test_a_page_has_the_first_labels_and_the_search_gets_the_others_once(client: Client, tmp_path: Path) -> None:
    names = [f"label {number}" for number in range(3_000)]
    queue(tmp_path / "q.db", labels=names)
    server = client()
    page = server.get("/ui/review/q/1").text
    assert page.count("<option") == 100 and 'data-labels="/api/review/q/labels"' in page and len(page) < 20_000
    found = server.get("/ui/api/review/q/labels")
    assert found.json()["labels"] == sorted(names)[:2_000] and "max-age" in found.headers["cache-control"]


def test_errors_that_are_not_the_persons_name_no_path() -> None:
    for error in (QueueInvalid("/srv/secret"), SettingsError("/srv/secret"), DataError("/srv/secret")):
        assert "/srv" not in trouble(error, "id").message
