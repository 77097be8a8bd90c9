"""The web app in a real browser: what a person does on each page, by keys, by clicks and without scripts."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Dialog, Page, expect

from purport import Bundle, Classifier
from purport.data.catalog import load
from purport.data.reading import Reading
from purport.doctor.finding import Fix
from purport.doctor.plan import read_plan, write_plan
from purport.prediction import encode
from purport.ui.gathering import Given, export, gather, options_for
from purport.ui.ledger import Ledger
from purport.ui.picking import Limits

from .accessible import check
from .conftest import Server, Starter

ROWS = 40
Opener = Callable[..., Page]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("desk")


@pytest.fixture(scope="module")
def app(start: Starter, linear_bundle: Bundle, desk: Path) -> Iterator[Server]:
    with start(f"mine={linear_bundle.path}", "--review-dir", desk) as running:
        yield running


@pytest.fixture
def queue(linear_bundle: Bundle, desk: Path, request: pytest.FixtureRequest) -> Ledger:
    """A queue of 40 texts, each with the label that the model gives it."""
    classifier = Classifier.open(linear_bundle)
    texts = list(dict.fromkeys(load("sample", Reading(unlabelled="skip"))["train"].texts))
    options = options_for(classifier.bundle)
    answers = [encode(each, options) for each in classifier.predict(texts)]
    given = [Given(text, None, f"row {number}") for number, text in enumerate(texts, 1)]
    name = re.sub(r"\W+", "-", request.node.name)
    made = gather(desk / f"{name}.db", name, given, answers, classifier.bundle, chosen=Limits(ROWS, 1.0))
    assert len(made.entries()) == ROWS
    return made


@pytest.fixture
def opened(browser: Browser, app: Server) -> Iterator[Opener]:
    """Opens pages; nothing may be wrong in the console, and no request may leave the machine."""
    problems: list[str] = []
    pages: list[Page] = []

    def open_(path: str, *, expected: str = "", **options: Any) -> Page:
        page = browser.new_page(**({"viewport": {"width": 1000, "height": 900}} | options))
        pages.append(page)

        def note(kind: str, message: str) -> None:
            if kind in ("error", "warning") and not (expected and expected in message):
                problems.append(message)

        page.on("console", lambda message: note(message.type, message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda sent: None if sent.url.startswith(app.url) else problems.append(sent.url))
        page.goto(f"{app.url}/ui{path}")
        return page

    yield open_
    for page in pages:
        page.close()
    assert problems == []


def number_of(page: Page) -> int:
    return int(page.url.partition("?")[0].rpartition("/")[2])


def go_on(page: Page, press: Callable[[], None]) -> int:
    """Do what leads to another text; its number."""
    before = page.url
    press()
    page.wait_for_url(lambda url: url != before)
    page.wait_for_load_state()
    return number_of(page)


def test_texts_are_corrected_with_keys_and_with_two_clicks_and_found_in_the_export(
    queue: Ledger, opened: Opener, desk: Path
) -> None:
    page = opened(f"/review/{queue.path.stem}")
    go_on(page, lambda: page.get_by_role("link", name="Begin").click())
    first = queue.entry(number_of(page))
    several = [each.id for each in queue.entries(batch=first.batch)]
    page.keyboard.press("2")
    go_on(page, lambda: page.keyboard.press("Enter"))
    second_likeliest = first.content["ranked"][1][0]
    for number in several:
        assert queue.entry(number).state == {"labels": [second_likeliest]}, "one decision labels all that are alike"
    # By two clicks: another label, and save.
    second = queue.entry(number_of(page))
    page.get_by_text(second.content["ranked"][2][0], exact=True).first.click()
    third = go_on(page, lambda: page.get_by_role("button", name="Save and go on").click())
    assert queue.entry(second.id).state == {"labels": [second.content["ranked"][2][0]]}
    # Undone, it is open again, and the person sees it.
    assert go_on(page, lambda: page.keyboard.press("u")) == second.id != third
    assert queue.entry(second.id).status == "open"
    assert go_on(page, lambda: page.keyboard.press("u")) == first.id, "the decision before it can be undone, too"
    assert [queue.entry(number).status for number in several] == ["open"] * len(several)
    page.keyboard.press("2")
    following = go_on(page, lambda: page.keyboard.press("Enter"))
    page.keyboard.press("0")
    go_on(page, lambda: page.keyboard.press("Enter"))
    page.goto(page.url.rpartition("/")[0])
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as CSV").click()
    rows = list(csv.DictReader(download.value.path().read_text("utf-8-sig").splitlines()))
    assert {"text": first.content["text"], "label": second_likeliest, "reviewed": "yes"} in rows
    assert {"text": queue.entry(following).content["text"], "label": "", "reviewed": "yes"} in rows, "none of these"
    assert len(rows) == len(queue.entries(status="done"))


def of_confidence(desk: Path, bundle: Bundle, name: str, *confidences: float) -> Ledger:
    """A queue of texts without a label, each alike, decided as "track_order" with this confidence."""
    label = "track_order"
    answers = [{"labels": [label], "in_scope": 1.0, "reason": None, "intents": [{"label": label, "confidence": each}]}
               for each in confidences]  # fmt: skip
    given = [Given(f"so what else is new, {number}", None, "") for number in range(len(confidences))]
    return gather(desk / f"{name}.db", name, given, answers, bundle)


def test_enter_accepts_what_the_model_finds_likely(linear_bundle: Bundle, desk: Path, opened: Opener) -> None:
    made = of_confidence(desk, linear_bundle, "likely", 0.7)
    page = opened("/review/likely/1")
    expect(page.locator("#accept")).to_contain_text("track_order")
    page.keyboard.press("Enter")
    expect(page.get_by_text("All texts are looked at.")).to_be_visible()
    assert made.entry(1).state == {"labels": ["track_order"]}


def test_a_guess_is_not_accepted_unseen(linear_bundle: Bundle, desk: Path, opened: Opener) -> None:
    made = of_confidence(desk, linear_bundle, "guesses", 0.35, 0.7)
    assert made.entry(2).batch == made.entry(1).batch
    likely = next(each.id for each in made.entries() if each.content["ranked"] == [["track_order", 0.7]])
    page = opened(f"/review/guesses/{likely}", expected="400")
    expect(page.locator("#accept")).to_have_count(0)
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_contain_text("Choose a label first")
    refused = page.request.put(page.url.replace("/review", "/api/review"), data={"versions": {"1": 0, "2": 0}})
    assert refused.status == 400 and made.tally() == {"open": 2}, "nor by a script, for the unsure one among them"


def test_a_label_that_is_new_is_made_after_one_more_question(queue: Ledger, opened: Opener) -> None:
    name = queue.path.stem
    page = opened(f"/review/{name}/1", expected="400")
    asked: list[str] = []

    def answer(yes: bool) -> Callable[[Dialog], None]:
        def act(dialog: Dialog) -> None:
            asked.append(dialog.message)
            dialog.accept() if yes else dialog.dismiss()

        return act

    for yes in (False, True):
        page.once("dialog", answer(yes))
        page.locator("#typed").focus()
        page.keyboard.type("Müllabfuhr")
        expect(page.get_by_role("option")).to_have_text("New label: Müllabfuhr")
        page.keyboard.press("Enter")
        expect(page.locator("#options input:checked")).to_have_count(int(yes))
    go_on(page, lambda: page.keyboard.press("Enter"))
    assert (
        queue.entry(1).state == {"labels": ["Müllabfuhr"]} and len(asked) == 2 and "New label: Müllabfuhr" in asked[0]
    )
    page.keyboard.press("/")
    page.keyboard.type("müll")
    expect(page.get_by_role("option").first).to_have_text("Müllabfuhr")  # another text can get it, too
    export(queue, queue.path.with_suffix(".csv"))
    assert "Müllabfuhr" in queue.path.with_suffix(".csv").read_text("utf-8")
    answered = page.request.put(
        f"{page.url.partition('/review')[0]}/api/review/{name}/1", data={"versions": {"1": 1}, "labels": ["Mülabfuhr"]}
    )
    assert answered.status == 400 and "Müllabfuhr" in answered.json()["message"], "a slip is no new label"


def test_a_new_label_without_scripts(queue: Ledger, opened: Opener) -> None:
    page = opened(f"/review/{queue.path.stem}/1", java_script_enabled=False)
    page.get_by_label("Another label").fill("Müllabfuhr")
    page.get_by_role("button", name="Save and go on").click()
    expect(page.get_by_role("alert")).to_contain_text("There is no label “Müllabfuhr” yet.")
    assert queue.entry(1).status == "open"
    page.get_by_label("New label: Müllabfuhr").check()
    page.get_by_role("button", name="Save and go on").click()
    assert queue.entry(1).state == {"labels": ["Müllabfuhr"]}


def test_where_file_and_model_disagree_the_person_must_choose(
    linear_bundle: Bundle, desk: Path, opened: Opener
) -> None:
    answer = {"labels": ["a"], "in_scope": 1.0, "reason": None, "intents": [{"label": "a", "confidence": 0.99}]}
    made = gather(desk / "disputed.db", "disputed", [Given("so what", ("b",), "row 1")], [answer], linear_bundle)
    page = opened("/review/disputed/1")
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_contain_text("Choose a label first")
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(page.get_by_text("All texts are looked at.")).to_be_visible()
    assert made.entry(1).state == {"labels": ["b"]}


def test_a_label_is_found_by_typing(queue: Ledger, opened: Opener) -> None:
    page = opened(f"/review/{queue.path.stem}/1")
    offered = [label for label, _ in queue.entry(1).content["ranked"][:5]]
    wanted = next(label for label in queue.about["labels"] if label not in offered)
    page.keyboard.press("/")
    box = page.get_by_role("combobox")
    expect(box).to_be_focused()
    box.press_sequentially(wanted[:-1].upper())
    expect(box).to_have_attribute("aria-expanded", "true")
    option = page.get_by_role("option", name=wanted)
    expect(option).to_have_attribute("aria-selected", "true")
    assert box.get_attribute("aria-activedescendant") == option.get_attribute("id")
    box.press("Enter")
    expect(box).to_have_value("")
    expect(page.locator("#options").get_by_label(wanted)).to_be_checked()
    go_on(page, lambda: page.keyboard.press("Enter"))
    assert queue.entry(1).state == {"labels": [wanted]}


def test_one_of_three_hundred_labels_is_found_and_is_the_only_one(desk: Path, opened: Opener) -> None:
    labels = [f"{area}.{action}_{number}" for number in range(10) for area in ("card", "loan", "app") for action in
              ("open", "close", "lost", "block", "renew", "fee", "limit", "pin", "error", "help")]  # fmt: skip
    content = {"text": "<b>my pin</b>\x1b[0m", "where": "", "labels": None, "why": "unsure", "reason": None,
               "in_scope": 1.0, "decided": [labels[0]], "other": None, "examples": [],
               "ranked": [[label, 0.3 - rank / 100] for rank, label in enumerate(labels[:10])]}  # fmt: skip
    about = {"kind": "review", "title": "three hundred", "owner": None, "created": "2026-01-01", "task": "multiclass",
             "labels": sorted(labels), "bundle": "b", "other": None, "texts": 1, "bad": 0, "why": {}}  # fmt: skip
    made = Ledger.create(desk / "many.db", about, [(1, content)])
    page = opened("/review/many/1")
    assert page.locator("#text").inner_text() == "<b>my pin</b>\\x1b[0m", "a text is shown, never acted upon"
    page.keyboard.press("/")
    page.keyboard.type("pin app 7")
    expect(page.get_by_role("option")).to_have_text(["app.pin_7", "New label: pin app 7"])
    page.keyboard.press("Enter")
    page.keyboard.press("1")
    expect(page.locator("#options input:checked")).to_have_count(1)
    page.keyboard.press("/")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option").first).to_have_text("app.pin_7"), "what was used last comes first"
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.get_by_text("All texts are looked at.")).to_be_visible()
    assert made.entry(1).state == {"labels": ["app.pin_7"]}


def test_who_is_slower_sees_what_the_other_decided_and_loses_nothing_silently(queue: Ledger, opened: Opener) -> None:
    one, two = (opened(f"/review/{queue.path.stem}/1", expected="409") for _ in range(2))
    label = queue.entry(1).content["ranked"][0][0]
    one.keyboard.press("1")
    go_on(one, lambda: one.keyboard.press("Enter"))
    two.keyboard.press("0")
    two.keyboard.press("Enter")
    expect(two.get_by_role("alert")).to_contain_text("was not saved")
    expect(two.get_by_role("alert")).to_contain_text("none of these")
    expect(two.locator("#options").get_by_label(label, exact=False).first).to_be_checked()
    assert queue.entry(1).state == {"labels": [label]} and queue.entry(1).version == 1
    two.keyboard.press("0")
    go_on(two, lambda: two.keyboard.press("Enter"))
    assert queue.entry(1).state == {"labels": []}, "now that it was seen, it can be changed"
    # The first person's undo would take back the second one's decision.
    one.keyboard.press("u")
    expect(one.get_by_role("alert")).to_contain_text("was not saved")
    assert queue.entry(1).state == {"labels": []}


def test_everything_works_without_scripts(queue: Ledger, opened: Opener) -> None:
    page = opened(f"/review/{queue.path.stem}/1", java_script_enabled=False)
    wanted = queue.about["labels"][-1]
    page.get_by_label("Another label").fill(wanted)
    page.get_by_role("button", name="Save and go on").click()
    assert queue.entry(1).state == {"labels": [wanted]} and number_of(page) != 1
    page.get_by_role("button", name="Undo").click()
    assert queue.entry(1).status == "open" and number_of(page) == 1
    page.get_by_role("button", name="Skip").click()
    assert queue.entry(1).status == "skipped"


def test_a_dropped_file_becomes_a_queue(opened: Opener, tmp_path: Path, desk: Path) -> None:
    rows = [*dict.fromkeys(load("sample", Reading(unlabelled="skip"))["train"].texts)][:60]
    (tmp_path / "mail box.csv").write_text(
        "id,message\n" + "".join(f'{n},"{t}"\n' for n, t in enumerate(rows)), "utf-8"
    )
    page = opened("/review")
    page.get_by_label("A table with a column of texts").set_input_files(tmp_path / "mail box.csv")
    page.get_by_text("More choices").click()
    page.get_by_label("Show texts whose confidence is below").fill("1")
    page.get_by_role("button", name="Make a queue").click()
    page.get_by_role("link", name="Begin").click(timeout=20_000)
    assert page.locator("#text").inner_text() in rows
    (made,) = desk.glob("mail-box-*.db")
    assert len(Ledger(made).entries()) > 50 and Ledger(made).about["title"] == "mail box.csv"


def test_a_file_that_is_no_table_is_refused_in_words(opened: Opener, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a table")
    page = opened("/review", expected="400")
    page.get_by_label("A table with a column of texts").set_input_files(tmp_path / "holiday.jpg")
    page.get_by_role("button", name="Make a queue").click()
    expect(page.get_by_role("heading", name="This cannot be read")).to_be_visible(timeout=20_000)
    expect(page.locator("main .error")).to_contain_text("holiday.jpg: unknown file format")


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    fixes = [
        Fix(apply=True, action="drop", split="train", row=3, text="hi", labels=("a",), check="texts", why="Empty."),
        Fix(apply=True, action="relabel", split="train", row=4, text="=cmd()", labels=("a",), new_labels=("b",),
            check="labels", why="Nine of its ten neighbours are b."),
        Fix(apply=False, action="rewrite", split="train", row=5, text="caf\ufffd", labels=("a",), new_text="café",
            check="texts", why="It is damaged."),
    ]  # fmt: skip
    write_plan(fixes, tmp_path / "fixes.csv")
    return tmp_path / "fixes.csv"


def test_fixes_are_accepted_changed_and_rejected(opened: Opener, plan: Path) -> None:
    page = opened("/fixes", expected="409")
    page.get_by_label("The fix plan").set_input_files(plan)
    page.get_by_role("button", name="Open the plan").click()
    drop, relabel, rewrite = (page.get_by_role("form", name=f"Fix {number}", exact=True) for number in (1, 2, 3))
    drop.get_by_role("button", name="Reject").click()
    expect(drop.get_by_role("status")).to_have_text("Rejected")
    relabel.get_by_text("Change it").click()
    relabel.get_by_label("Labels, one a line").fill("b\nc")
    relabel.get_by_role("button", name="Accept").click()
    expect(relabel.get_by_role("status")).to_have_text("Accepted")
    rewrite.get_by_role("button", name="Accept").click()
    expect(page.locator("#progress")).to_have_text("2 accepted, 1 rejected, 0 to decide.")
    # Somebody else decides on the third one.
    other = opened(page.url.partition("/ui")[2])
    theirs = other.get_by_role("form", name="Fix 3", exact=True)
    theirs.get_by_role("button", name="Reject").click()
    expect(theirs.get_by_role("status")).to_have_text("Rejected")
    rewrite.get_by_role("button", name="Undo").click()
    expect(page.locator("#notice")).to_contain_text("Your choice was not saved")
    expect(rewrite.get_by_role("status")).to_have_text("Rejected")
    rewrite.get_by_role("button", name="Undo").click()
    expect(rewrite.get_by_role("status")).to_have_text("Accepted")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the plan").click()
    read = read_plan(download.value.path())
    assert [(each.apply, each.new_labels, each.new_text) for each in read] == [
        (False, (), ""), (True, ("b", "c"), ""), (True, (), "café")
    ]  # fmt: skip
    before = read_plan(plan)
    assert [each.text for each in read] == [each.text for each in before], "the rows are still those of the data"


def test_a_plan_in_the_review_directory_is_offered_to_everybody_and_opened_once(
    opened: Opener, plan: Path, desk: Path
) -> None:
    shutil.copy(plan, desk / "waiting.csv")
    (desk / "table.csv").write_text("text,label\na,b\n", "utf-8")
    page, late = opened("/fixes"), opened("/fixes")
    expect(page.get_by_role("heading", name="table.csv")).to_have_count(0)
    page.get_by_role("button", name="Open the plan").first.click()
    expect(page.get_by_role("heading", name="waiting.csv")).to_be_visible()
    page.get_by_role("button", name="Accept", exact=True).first.click()
    expect(page.locator('[data-count="accepted"]')).to_have_text("1")
    late.get_by_role("button", name="Open the plan").first.click()
    expect(late.locator('[data-count="accepted"]')).to_have_text("1")  # the decisions are still there
    assert "doctor's proposal" not in late.content()


def test_the_result_goes_into_a_table_of_ones_own(
    linear_bundle: Bundle, desk: Path, opened: Opener, tmp_path: Path
) -> None:
    made = of_confidence(desk, linear_bundle, "own-table", 0.35)
    made.decide({1: 0}, "done", {"labels": ["refund_status"]}, "ada")
    own = tmp_path / "own.csv"
    own.write_bytes("Nr;Frage;Kategorie;Ort\r\n1;Wo ist das Bad?;bad;Köln\r\n".encode("utf-8-sig"))
    page = opened("/review/own-table")
    page.get_by_label("Your own table").set_input_files(own)
    with page.expect_download() as download:
        page.get_by_role("button", name="Put the result into my table").click()
    assert download.value.suggested_filename == "own-table-merged.csv"
    new = own.read_bytes() + b";so what else is new, 0;refund_status;\r\n"
    assert download.value.path().read_bytes() == new


def test_the_rest_of_a_plan_is_taken_over_without_scripts(opened: Opener, plan: Path) -> None:
    page = opened("/fixes", java_script_enabled=False)
    page.get_by_label("The fix plan").set_input_files(plan)
    page.get_by_role("button", name="Open the plan").click()
    page.get_by_role("form", name="Fix 2", exact=True).get_by_role("button", name="Reject").click()
    page.get_by_role("button", name="Decide the other").click()
    expect(page.locator("#progress")).to_have_text("1 accepted, 2 rejected, 0 to decide.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_the_pages(scheme: str, queue: Ledger, opened: Opener, plan: Path) -> None:
    """No serious finding of axe-core, and nothing is wider than a telephone."""
    queue.decide({2: 0}, "done", {"labels": [queue.about["labels"][0]]}, "somebody")
    page = opened("", color_scheme=scheme, viewport={"width": 400, "height": 800}, expected="404")
    name = queue.path.stem
    paths = [
        "",
        "/review",
        f"/review/{name}",
        f"/review/{name}/1",
        f"/review/{name}/2",
        "/sign-in",
        "/fixes",
        "/nowhere",
    ]
    for path in paths:
        page.goto(f"{page.url.partition('/ui')[0]}/ui{path}")
        check(page, path)
    page.goto(f"{page.url.partition('/ui')[0]}/ui/review/{name}/1")
    page.get_by_text("Keys", exact=True).click()
    page.keyboard.press("/")
    page.get_by_role("combobox").press("ArrowDown")
    check(page, "the open list")
    page.goto(f"{page.url.partition('/ui')[0]}/ui/fixes")
    page.get_by_label("The fix plan").set_input_files(plan)
    page.get_by_role("button", name="Open the plan").click()
    page.get_by_role("button", name="Accept", exact=True).first.click()
    expect(page.get_by_role("status").filter(has_text="Accepted")).to_be_visible()
    page.get_by_text("Change it").first.click()
    check(page, "the plan")


def test_who_has_a_key_signs_in_once(start: Starter, linear_bundle: Bundle, browser: Browser, tmp_path: Path) -> None:
    keys = "anna-key@classify,ben-key@classify,other-key@intent"
    with start(f"mine={linear_bundle.path}", PURPORT_API_KEYS=keys, PURPORT_REVIEW_DIR=str(tmp_path)) as server:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{server.url}/ui/review")
        page.get_by_label("Your key").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("The key is not valid.")
        page.get_by_label("Your key").fill("anna-key")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Review texts")).to_be_visible()
        (cookie,) = context.cookies()
        assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and "anna" not in cookie["value"]
        (tmp_path / "hers.csv").write_text("text\nwhere is it\nwhat is that thing\n", "utf-8")
        page.get_by_label("A table with a column of texts").set_input_files(tmp_path / "hers.csv")
        page.get_by_role("button", name="Make a queue").click()
        page.get_by_role("link", name="Begin").wait_for(timeout=20_000)
        mine = page.url
        for key, status in (("anna-key", 200), ("ben-key", 404), ("other-key", 403), ("wrong", 303)):
            answer = httpx.get(mine, headers={"X-API-Key": key}, follow_redirects=False)
            assert answer.status_code == status, f"{key}: two people do not see each other's texts"
        page.get_by_role("button", name="Sign out").click()
        page.goto(mine)
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        stolen = httpx.get(mine, cookies={cookie["name"]: cookie["value"]}, follow_redirects=False)
        assert stolen.status_code == 303, "the session has ended"
        context.close()


def test_the_pages_stay_up_while_the_model_swaps(start: Starter, scripted: Callable[..., Path], tmp_path: Path) -> None:
    slow, quick = scripted("one", load_s=1.0), scripted("two")
    keys = {"PURPORT_API_KEYS": "boss@models@classify", "PURPORT_REVIEW_DIR": str(tmp_path)}
    with start(f"mine={quick}", f"slow={slow}", **keys) as server, ThreadPoolExecutor(1) as aside:
        client = httpx.Client(base_url=server.url, headers={"X-API-Key": "boss"}, timeout=30)
        swap = aside.submit(client.put, "/v1/models/mine", json={"bundle": str(slow)})
        seen = []
        while not swap.done():
            seen.append(httpx.get(f"{server.url}/ui/review", headers={"X-API-Key": "boss"}).status_code)
        assert swap.result().status_code == 200, swap.result().text
        assert set(seen) == {200} and len(seen) > 5
