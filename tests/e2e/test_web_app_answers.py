"""*Try*, *Compare*, *Batch* and *Report* in a real browser: what somebody does who was told nothing."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from purport import Bundle
from purport.data.catalog import load
from purport.data.reading import Reading
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe

from .accessible import check
from .conftest import Server, Starter, until

BOSS, ANNA = "boss", "anna"
KEYS = f"{BOSS}@classify@models,{ANNA}@classify,ben@classify"
TEXT = "the drone flew away with my ring"
Visitor = Callable[..., Page]
expect.set_options(timeout=15_000)  # a busy machine, not a slow page


@pytest.fixture(scope="module")
def mine(linear_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the other bundle, but it keeps its texts."""
    recipe = parse_recipe(linear_bundle.manifest.recipe, overrides=["data.keep_examples=true"])
    made = train(recipe, tmp_path_factory.mktemp("taught") / "mine")
    assert made is not None
    return made.path


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two levels with a page, and things that must not be shown."""
    folder = tmp_path_factory.mktemp("reports")
    page = "<!doctype html><html lang=en><head><title>Week 7 &amp; 8</title><style>p{color:red}</style></head>"
    (folder / "public" / "weekly").mkdir(parents=True)
    hostile = (
        "<body><h1>It is good</h1><script>document.title='ran'</script><img src='https://example.org/x.png'></body>"
    )
    (folder / "public" / "weekly" / "index.html").write_text(f"{page}{hostile}</html>", "utf-8")
    (folder / "secret.html").write_text("secret", "utf-8")
    (folder / "public" / "notes.py").write_text("secret", "utf-8")
    (folder / "public" / ".hidden.html").write_text("secret", "utf-8")
    (folder / "public" / "link.html").symlink_to(folder / "secret.html")
    return folder / "public"


@pytest.fixture(scope="module")
def app(start: Starter, mine: Path, linear_bundle: Bundle, reports: Path) -> Iterator[Server]:
    environment = {"PURPORT_API_KEYS": KEYS, "PURPORT_REPORTS_DIR": str(reports)}
    with start(f"shop={mine}", f"other={linear_bundle.path}", **environment) as running:
        yield running


@pytest.fixture
def visit(browser: Browser, app: Server) -> Iterator[Visitor]:
    """Signs somebody in, in a browser of their own; nothing may be wrong in the console or leave the machine."""
    problems: list[str] = []
    contexts: list[BrowserContext] = []

    def signed_in(path: str = "", *, key: str = BOSS, expected: str = "", strict: bool = True, **options: Any) -> Page:
        context = browser.new_context(**({"viewport": {"width": 1000, "height": 900}} | options))
        contexts.append(context)
        page = context.new_page()

        def note(kind: str, message: str) -> None:
            if strict and kind in ("error", "warning") and not (expected and expected in message):
                problems.append(message)

        page.on("console", lambda message: note(message.type, message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "request" if strict else "requestfinished",
            lambda sent: None if sent.url.startswith(app.url) else problems.append(sent.url),
        )
        page.goto(f"{app.url}/ui/sign-in?next={path or '/'}")
        page.get_by_label("Your key").fill(key)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", level=1).wait_for()
        return page

    yield signed_in
    for context in contexts:
        context.close()
    assert problems == []


def ask(page: Page, text: str) -> None:
    page.get_by_label("Text", exact=True).fill(text)
    page.evaluate("document.getElementById('result').replaceChildren()")  # what was there is no answer to this text
    page.get_by_role("button", name="Ask the model").click()
    expect(page.locator("#verdict")).to_be_visible()
    expect(page.locator("#why-title")).not_to_have_text("Why?")


def test_an_example_is_clicked_and_every_label_says_its_words(visit: Visitor) -> None:
    page = visit(key=ANNA)
    samples = page.get_by_role("form", name="Examples").get_by_role("button")
    assert samples.count() == 5
    said = samples.first.inner_text()
    samples.first.click()
    expect(page.get_by_label("Text", exact=True)).to_have_value(said)
    labels = page.locator("#labels").get_by_role("button")
    expect(labels.first).to_have_attribute("aria-pressed", "true")
    assert "%" in labels.first.inner_text(), "the number stands beside the bar"
    expect(page.locator("#said")).to_have_text(page.locator("#verdict").inner_text())
    ask(page, "where is my parcel")
    words = page.locator(".words .word")
    assert [word.locator("span").first.inner_text() for word in words.all()] == ["where", "is", "my", "parcel"]
    before = [word.locator(".weight").inner_text() for word in words.all()]
    wanted = labels.nth(1).get_attribute("value") or ""
    labels.nth(1).click()
    expect(page.locator("#why-title")).to_contain_text(f"Why {wanted}?")
    expect(labels.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(labels.nth(1)).to_be_focused()
    assert [word.locator(".weight").inner_text() for word in words.all()] != before
    page.get_by_text("The numbers").click()
    rows = page.get_by_role("region", name="Weight of each word").get_by_role("row")
    expect(rows).to_have_count(5)
    assert (
        "for" in rows.nth(4).inner_text()
        or "against" in rows.nth(4).inner_text()
        or "hardly" in rows.nth(4).inner_text()
    )
    page.get_by_text("Ask for another label").click()
    page.get_by_label("Method").select_option("shapley")
    page.get_by_role("button", name="Show why").click()
    expect(page.locator("#why")).to_contain_text("over all orders")
    page.get_by_text("The numbers").click()
    expect(page.get_by_role("region", name="Weight of each word")).to_be_visible()
    expect(page.get_by_label("Method")).to_have_value("shapley")


def test_another_model_is_chosen(visit: Visitor, mine: Path) -> None:
    """With it come its labels and examples, and the text is asked again."""
    page = visit(key=ANNA)
    ask(page, "where is my parcel")
    with page.expect_response("**/ui/?model=other"), page.expect_response("**/ui/try"):
        page.get_by_label("Model").select_option("other")
    expect(page.locator("#samples [name=model]")).to_have_value("other")
    expect(page.get_by_role("form", name="Examples")).to_be_hidden()  # it keeps no texts
    expect(page.locator("#labels [name=model]")).to_have_value("other")


def test_out_of_scope_is_said_in_a_sentence(visit: Visitor) -> None:
    page = visit()
    ask(page, "zxcv qwerty asdf hjkl")
    expect(page.locator("#verdict")).to_contain_text("None of its labels fits: ")
    expect(page.locator("#why")).to_contain_text("It does not know the words zxcv, qwerty, asdf and hjkl.")


def test_a_correction_is_taught_and_undone(visit: Visitor, mine: Path) -> None:
    page, other = visit(), visit(key=ANNA)
    first = Bundle.open(mine).manifest.id
    ask(page, TEXT)
    before = page.locator("#verdict").inner_text()
    wanted = "damaged_item" if "damaged_item" not in before else "refund_status"
    for option in page.locator("#teach .option input:checked").all():
        option.uncheck()
    typed = page.get_by_role("combobox", name="Another label")
    typed.fill(wanted.replace("_", " ").upper())
    expect(page.get_by_role("option", name=wanted)).to_have_attribute("aria-selected", "true")
    typed.press("Enter")
    page.get_by_label("even if other answers").check()
    page.get_by_role("button", name="Teach the model").click()
    told = page.locator("#told")
    expect(told).to_contain_text(f"means {wanted}. The answer is now {wanted}; it was", timeout=60_000)
    expect(told).to_contain_text("answered otherwise than before")
    expect(page.locator("#verdict")).to_contain_text(wanted)
    ask(other, TEXT)
    expect(other.locator("#verdict")).to_contain_text(wanted)
    expect(other.locator("#wrong-title + p")).to_contain_text("not teach")
    refused = httpx.post(
        f"{page.url.partition('/ui')[0]}/ui/try/teach",
        headers={"X-API-Key": ANNA},
        data={"text": TEXT, "label": wanted},
    )
    assert refused.status_code == 403 and Bundle.open(mine).manifest.id != first
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#told")).to_contain_text("answers as before", timeout=60_000)
    assert page.locator("#verdict").inner_text() == before and Bundle.open(mine).manifest.id == first


def test_who_starts_it_for_teaching_gets_a_key(mine: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "purport", "ui", str(mine), "--teach", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        while "open http" not in said:
            said = process.stderr.readline()
        said += process.stderr.readline() if "(press" not in said else ""
        found = re.search(r"open (\S+)/ui in a browser and sign\s+in with the key\s+(\S+)", said)
        assert found, said
        url, key = found.groups()
        until(lambda: httpx.get(f"{url}/ready").status_code == 200, 30)
        page = httpx.post(f"{url}/ui/try", data={"text": TEXT}, headers={"X-API-Key": key})
        assert "Teach the model" in page.text
        assert httpx.get(f"{url}/ui/", follow_redirects=False).status_code == 303
        process.terminate()


def test_an_undo_does_not_take_back_what_somebody_else_taught(visit: Visitor, app: Server, mine: Path) -> None:
    page = visit(expected="409")
    ask(page, TEXT)
    page.get_by_label("even if other answers").check()
    page.get_by_role("button", name="Teach the model").click()
    expect(page.locator("#told")).to_be_visible(timeout=60_000)
    body = {"examples": [{"text": "my drone came without its rotor", "labels": ["damaged_item"]}], "allow_flips": 100}
    address, key = f"{app.url}/v1/models/shop/examples", {"X-API-Key": BOSS}
    assert httpx.post(address, json=body, headers=key, timeout=60).status_code == 200
    theirs = Bundle.open(mine).manifest.id
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#notice")).to_contain_text("Somebody changed the model meanwhile", timeout=60_000)
    assert Bundle.open(mine).manifest.id == theirs
    for _ in range(2):
        assert httpx.delete(address, headers=key, timeout=60).status_code == 200


def test_it_all_works_without_scripts(visit: Visitor) -> None:
    page = visit(java_script_enabled=False)
    page.get_by_label("Text", exact=True).fill("where is my parcel")
    page.get_by_role("button", name="Ask the model").click()
    assert page.locator(".words .word").count() == 4
    button = page.locator("#labels").get_by_role("button").nth(2)
    wanted = button.get_attribute("value") or ""
    button.click()
    expect(page.locator("#why-title")).to_contain_text(f"Why {wanted}?")
    page.goto(page.url.replace("/try", "/batch"))
    page.get_by_label("Texts, one a line").fill("where is my parcel\n\nhello")
    page.get_by_role("button", name="Classify").click()
    expect(page.locator("#shown")).to_have_text("2 rows", timeout=20_000)


def test_what_cannot_be_answered_is_said_in_words(visit: Visitor, app: Server) -> None:
    page = visit(expected="413")
    page.get_by_label("Text", exact=True).fill("a" * 70_000)
    page.get_by_role("button", name="Ask the model").click()
    expect(page.locator("#notice")).to_contain_text("That is too large: ")
    headers = {"X-API-Key": ANNA}
    empty = httpx.post(f"{app.url}/ui/try", headers=headers, data={"text": " "})
    assert empty.status_code == 400 and "There is no text" in empty.text
    gone = httpx.post(f"{app.url}/ui/try", headers=headers, data={"text": "hi", "model": "gone"})
    assert gone.status_code == 404 and "This model is no longer here" in gone.text
    odd = httpx.post(f"{app.url}/ui/try", headers=headers, data={"text": "hi", "label": "gone"})
    assert odd.status_code == 200 and "The model has no label &#34;gone&#34;." in odd.text, (
        "the answer is there all the same"
    )


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A thousand rows with other columns, one of them without a text, and one that a spreadsheet would run."""
    texts = list(load("sample", Reading(unlabelled="skip"))["train"].texts)
    file = tmp_path_factory.mktemp("rows") / "mail box.csv"
    with file.open("w", encoding="utf-8", newline="") as stream:
        write = csv.writer(stream)
        write.writerow(["id", "message", "labels"])
        rows = [[n, f"{texts[n % len(texts)]} {n}", "old"] for n in range(998)]
        write.writerows([*rows, [998, "=cmd()", "old"], [999, "", "old"]])
    return file


def test_a_thousand_rows_are_answered_filtered_and_downloaded(visit: Visitor, table: Path) -> None:
    page = visit("/batch")
    page.get_by_label("Or a file").set_input_files(table)
    began = time.monotonic()
    page.get_by_role("button", name="Classify").click()
    expect(page.locator("#shown")).to_have_text("1,000 rows", timeout=30_000)
    assert time.monotonic() - began < 15, "a few seconds"
    assert page.get_by_role("row").count() == 51
    page.get_by_label("Rows", exact=True).select_option("bad")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("#shown")).to_have_text("1 row")
    expect(page.get_by_role("table", name="Answers")).to_contain_text("has no text")
    page.get_by_role("link", name="Show all").click()
    option = page.locator("#label option").nth(1)
    label, number = (option.get_attribute("value") or ""), int(option.inner_text().rpartition("(")[2][:-1])
    page.get_by_label("Label").select_option(label)
    page.get_by_label("Confidence from").fill("50")
    page.get_by_role("button", name="Filter").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    rows = list(csv.DictReader(download.value.path().read_text("utf-8-sig").splitlines()))
    assert 0 < len(rows) <= number and f"{len(rows)} row" in page.locator("#shown").inner_text()
    assert all(label in row["labels"].split("+") and float(row["confidence"]) >= 0.5 for row in rows)
    assert {*rows[0]} == {"id", "message", "labels (input)", "labels", "confidence", "in_scope", "reason", "error"}
    whole = httpx.get(f"{page.url.partition('?')[0]}/answers.csv", headers={"X-API-Key": BOSS}).content.decode(
        "utf-8-sig"
    )
    found = list(csv.DictReader(whole.splitlines()))
    assert [row["id"] for row in found] == [str(n) for n in range(1000)], "in order, with the columns of the file"
    assert found[998]["message"] == "'=cmd()" and "has no text" in found[999]["error"]
    page.get_by_role("button", name="Delete these texts").click()
    assert httpx.get(page.url + "/x", headers={"X-API-Key": BOSS}).status_code == 404


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("photo.jpg", b"\xff\xd8\xff", "photo.jpg: unknown file format"),
        ("empty.csv", b"text\n\n", "empty.csv"),
        ("many.txt", b"text\n" + b"hi\n" * 20_001, "many.txt has more than 20,000 rows; split it"),
        ("table.xlsx", b"PK\x03\x04", "table.xlsx: unknown file format"),
    ],
)
def test_a_file_that_cannot_be_answered_is_refused_in_words(app: Server, name: str, content: bytes, said: str) -> None:
    with httpx.Client(headers={"X-API-Key": BOSS}, follow_redirects=True, timeout=30) as client:
        page = client.post(f"{app.url}/ui/batch", files={"file": (name, content)}, data={"model": "shop"})
        while "goes on by itself" in page.text:
            page = client.get(page.url)
    assert page.status_code == 400 and said in page.text, page.text
    assert "/tmp/" not in page.text


def test_one_sees_how_far_a_large_file_is(app: Server) -> None:
    rows = "message\n" + "".join(f"where is parcel number {n} of my order\n" for n in range(12_000))
    seen = set()
    with httpx.Client(headers={"X-API-Key": BOSS}, follow_redirects=True, timeout=30) as client:
        page = client.post(f"{app.url}/ui/batch", files={"file": ("large.csv", rows)}, data={"model": "shop"})
        busy = client.post(f"{app.url}/ui/batch", files={"file": ("second.csv", rows)}, data={"model": "shop"})
        third = client.post(f"{app.url}/ui/batch", files={"file": ("third.csv", rows)}, data={"model": "shop"})
        assert third.status_code == 503 and "Two of your files are being answered" in third.text
        assert httpx.get(f"{app.url}/ready").status_code == 200
        while "goes on by itself" in page.text:
            seen |= set(re.findall(r"(\d+) of 12000 texts", page.text))
            time.sleep(0.1)
            page = client.get(page.url)
        assert len(seen) > 2 and 'id="shown">12,000 rows' in page.text
        assert client.post(f"{busy.url}/delete").status_code == 200, "also while it is answered"
        assert client.get(busy.url).status_code == 404


def test_two_models_are_compared_and_what_flips_is_shown(visit: Visitor, app: Server) -> None:
    key = {"X-API-Key": BOSS}
    body = {"examples": [{"text": TEXT, "labels": ["damaged_item", "invoice_request"]}], "allow_flips": 100}
    assert httpx.post(f"{app.url}/v1/models/shop/examples", json=body, headers=key, timeout=60).status_code == 200
    page = visit("/compare", key=ANNA, expected="400")
    assert "shop, before the last change" in page.get_by_label("Compare with").inner_text()
    page.get_by_label("Texts, one a line").fill(f"where is my parcel\n{TEXT}")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("main")).to_contain_text("1 of 2 texts is answered differently by shop", timeout=20_000)
    page.get_by_role("link", name="Show only these").click()
    expect(page.get_by_role("row")).to_have_count(2)
    expect(page.get_by_role("row").nth(1)).to_contain_text("damaged_item and invoice_request")
    page.go_back()
    page.go_back()
    page.get_by_label("Compare with").select_option("shop@before")
    page.get_by_label("Texts, one a line").fill(TEXT)
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("main")).to_contain_text("1 of 1 texts is answered differently", timeout=20_000)
    page.go_back()
    page.get_by_label("Compare with").select_option("shop")
    page.get_by_label("Texts, one a line").fill(TEXT)
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("main .error")).to_contain_text("Choose two different models")
    assert httpx.delete(f"{app.url}/v1/models/shop/examples", headers=key, timeout=60).status_code == 200


def test_two_people_at_once_never_see_each_others_texts(visit: Visitor, app: Server) -> None:
    anna, ben = visit("/batch", key=ANNA), visit("/batch", key="ben")
    for page, text in ((anna, "secret of anna"), (ben, "secret of ben")):
        page.get_by_label("Texts, one a line").fill(text)
        page.get_by_role("button", name="Classify").click()
    for page, mine, theirs in ((anna, "secret of anna", "secret of ben"), (ben, "secret of ben", "secret of anna")):
        expect(page.locator("#shown")).to_have_text("1 row", timeout=20_000)
        assert mine in page.content() and theirs not in page.content()
    for path in ("", "/answers.csv"):
        got = httpx.get(anna.url + path, headers={"X-API-Key": "ben"})
        assert got.status_code == 404 and "anna" not in got.text
    assert httpx.post(f"{anna.url}/delete", headers={"X-API-Key": "ben"}).status_code == 404
    for page in (anna, ben):
        page.goto(f"{app.url}/ui/")
    asked = ("anna asks for her parcel", "ben wants his money back")
    for page, text in zip((anna, ben), asked, strict=True):
        ask(page, text)
    for page, theirs in ((anna, "wants"), (ben, "asks")):
        assert theirs not in page.locator("main").inner_text()


def test_reports_are_shown_and_nothing_else(visit: Visitor, app: Server) -> None:
    page = visit("/report", key=ANNA, strict=False)
    expect(page.get_by_role("region", name="Metrics of shop")).to_contain_text("%")
    page.get_by_role("link", name="Week 7 & 8").click()
    expect(page.get_by_role("heading", name="It is good")).to_be_visible()
    assert page.title() == "Week 7 & 8", "nothing in it runs"
    with httpx.Client(headers={"X-API-Key": ANNA}) as client:
        base = f"{app.url}/ui/report/page"
        assert "sandbox" in client.get(f"{base}/weekly/index.html").headers["Content-Security-Policy"]
        odd = ("weekly/..%2f..%2fsecret.html", "%2fetc%2fpasswd", "weekly/index.html%00.png", "//etc/hosts.html")
        for path in ("../secret.html", "%2e%2e/secret.html", "link.html", "notes.py", ".hidden.html", "weekly", *odd):
            answer = client.get(f"{base}/{path}")
            assert answer.status_code == 404 and "secret" not in answer.text, path
    assert httpx.get(f"{base}/weekly/index.html").status_code == 303, "only for who has signed in"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_the_pages(scheme: str, visit: Visitor, app: Server) -> None:
    """No serious finding of axe-core, and nothing is wider than a telephone."""
    page = visit(color_scheme=scheme, viewport={"width": 400, "height": 800})
    check(page, "the first page")
    ask(page, "my parcel arrived with a broken lid and i want my money back, where is the refund")
    page.get_by_text("The numbers").click()
    page.get_by_text("Ask for another label").click()
    page.get_by_text("Which labels does it know?").click()
    page.get_by_role("combobox", name="Another label").press("ArrowDown")
    check(page, "an answer")
    ask(page, "zxcv qwerty")
    check(page, "out of scope")
    for part, button in (("batch", "Classify"), ("compare", "Compare")):
        page.goto(f"{app.url}/ui/{part}")
        check(page, part)
        page.get_by_label("Texts, one a line").fill("where is my parcel\nzxcv qwerty\n" + "a long text " * 20)
        page.get_by_role("button", name=button).click()
        expect(page.locator("#shown")).to_be_visible(timeout=20_000)
        check(page, f"{part}, answered")
    page.goto(f"{app.url}/ui/report")
    page.get_by_text("Every label").first.click()
    check(page, "report")


def test_the_pages_stay_up_while_the_model_swaps(start: Starter, scripted: Callable[..., Path]) -> None:
    slow, quick = scripted("two", load_s=1.0), scripted("one")
    key = {"X-API-Key": "boss"}
    with (
        start(f"mine={quick}", f"slow={slow}", PURPORT_API_KEYS="boss@models@classify") as server,
        ThreadPoolExecutor(1) as aside,
        httpx.Client(base_url=server.url, headers=key, timeout=30) as client,
        httpx.Client(base_url=server.url, headers=key, timeout=30) as other,
    ):
        swap = aside.submit(other.put, "/v1/models/mine", json={"bundle": str(slow)})
        seen, answers = [], []
        while not swap.done():
            answer = client.post("/ui/try", data={"text": f"hello {len(seen)}", "model": "mine"})
            seen.append(answer.status_code)
            answers.append("<strong>one</strong>" in answer.text or "<strong>two</strong>" in answer.text)
        assert swap.result().status_code == 200 and set(seen) == {200} and all(answers) and len(seen) > 5
        assert "<strong>two</strong>" in client.post("/ui/try", data={"text": "hello", "model": "mine"}).text
