"""The commands as a user types them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from purport import Bundle

COMMANDS = ["train", "evaluate", "predict", "serve", "data", "config", "explore", "doctor", "compare", "label"]


def purport(*arguments: str | Path, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "purport", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "160", **environment},
        timeout=120,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(command: str) -> None:
    done = purport(command, "--help")
    assert done.returncode == 0 and "Examples" in done.stdout and f"purport {command}" in done.stdout


def test_version_and_no_arguments() -> None:
    assert purport("--version").stdout.startswith("purport 0.")
    assert all(command in purport("--help").stdout for command in COMMANDS)


def test_predict_texts(linear_bundle: Bundle) -> None:
    done = purport("predict", linear_bundle.path, "where is my parcel", "my invoice please", "--top-k", "2", "--json")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["intents"][0]["label"] for answer in answers] == ["track_order", "invoice_request"]
    assert all(len(answer["intents"]) == 2 for answer in answers)
    shown = purport("predict", linear_bundle.path, "where is my parcel").stdout
    assert "decided: track_order" in shown


def test_predict_a_file_reports_bad_rows(linear_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text('id,text\n1,where is my parcel\n2," "\n', "utf-8")
    done = purport("predict", linear_bundle.path, "-i", "in.csv", "-o", "out.csv", cwd=tmp_path)
    assert (
        done.returncode == 1
        and "in.csv:3: has no text" in done.stderr
        and "rows classified: 1; bad rows: 1" in done.stderr
    )
    assert (tmp_path / "out.csv").read_text("utf-8").count("\n") == 3
    lost = purport("predict", linear_bundle.path, "-i", "in.csv", "-o", "no/where/x.csv", cwd=tmp_path)
    assert lost.returncode == 73 and not (tmp_path / "no").exists()
    assert "cannot write no/where/x.csv: there is no directory no/where; create it or correct the path" in lost.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("predict", "nowhere", "x"), 66, "no bundle at nowhere"),
        (("predict", "atis"), 2, "pass either texts, or --input"),
        (("predict", "atis", "--input", "x.csv"), 2, "--input needs --output"),
        (("predict", "atis", " "), 65, "the text is empty"),
        (("predict", "atis", "a", "", "b"), 65, "text 2 of 3 is empty"),
        (("predict", "atis", "", "x"), 65, "text 1 of 2 is empty; give it words or leave it out"),
        (("train", "none.toml", "--out", "x"), 78, "cannot read recipe"),
        (("evaluate", "atis", "none.csv", "--data", "nodata"), 66, "no file, directory or catalog dataset"),
        (("serve", "nowhere"), 66, "no bundle at nowhere"),
        (("serve", "--port", "99999"), 2, "--port"),
        (("serve", "--unix-socket", "x.sock", "--port", "8001"), 2, "--port has no effect beside the Unix socket"),
        (("classify", "--url", "localhost:8123", "x"), 78, "write http://localhost:8123"),
        (("init", "sample", "--output", "nowhere/a.toml"), 73, "there is no directory nowhere"),
        (("doctor", "sample", "--fix-plan", "nowhere/a.csv"), 73, "there is no directory nowhere"),
        (("evaluate", "atis", "test", "--output", "nowhere/a.json"), 73, "there is no directory nowhere"),
        (("verify", "atis", "test", "--output", "nowhere/a.json"), 73, "there is no directory nowhere"),
        (("plan", "atis", "atis", "--output", "nowhere/a.toml"), 73, "there is no directory nowhere"),
        (("sign", "--new-key", "nowhere/a.key"), 73, "there is no directory nowhere"),
        (("data", "sample", "--task", "both"), 2, "multilabel or multiclass"),
    ],
)
def test_an_error_is_one_message_and_a_code(
    arguments: tuple[str, ...], code: int, message: str, tmp_path: Path
) -> None:
    done = purport(*arguments, cwd=tmp_path)
    assert done.returncode == code and message in done.stderr and "Traceback" not in done.stderr


def test_train_and_evaluate(tmp_path: Path) -> None:
    recipe = Path(__file__).parents[2] / "recipes" / "sample-linear.toml"
    made = purport("train", recipe, "--out", "bundle", "--set", "decide.cross_fit=0", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    again = purport("train", recipe, "--out", "bundle", cwd=tmp_path)
    assert again.returncode == 73 and "--overwrite" in again.stderr
    done = purport("evaluate", "bundle", "test", "--per-label", "--resamples", "50", cwd=tmp_path)
    assert done.returncode == 0 and "f1_micro" in done.stdout and "track_order" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"], "no file that nobody asked for"
    told = purport("evaluate", "bundle", "test", "--output", "told.json", "--resamples", "50", cwd=tmp_path).stdout
    assert "cohen" not in told and "hamming_loss" in done.stdout and "hamming_loss" not in told
    assert re.search(r"\d+ more metrics with --per-label", told) and "more metrics" not in done.stdout
    assert told.startswith("sample test: 200 rows, multilabel\nlabels decided: ")
    assert "out of scope: 15 of 200 rows (7.5 %)" in told and "the temperature and thresholds rest on 143" in told
    written = json.loads((tmp_path / "told.json").read_text("utf-8"))
    assert written["n"] == 200 and written["metrics"]["f1_micro"]["low"] is not None
    (tmp_path / "mine.csv").write_text("text,label\nwhere is my parcel,track_order\nwho are you,chat\n", "utf-8")
    mine = purport("evaluate", "bundle", "mine.csv", "--output", "mine.json", cwd=tmp_path).stdout
    assert mine.startswith("mine.csv: 2 rows, multilabel\n"), "a file is named by its name alone"
    assert json.loads((tmp_path / "mine.json").read_text("utf-8"))["unseen_labels"] == {"chat": 1}


def test_data_lists_and_reads(tmp_path: Path) -> None:
    assert "banking77" in purport("data").stdout
    done = purport("data", "sample", "--unlabelled", "out_of_scope")
    assert "train" in done.stdout and "fingerprint" in done.stdout
    (tmp_path / "bad.tsv").write_text("no label here\n", "utf-8")
    bad = purport("data", "bad.tsv", cwd=tmp_path)
    assert bad.returncode == 65 and "bad.tsv:1: has 1 column" in bad.stderr


def test_data_says_the_labels_and_proposes_what_it_warns_of(tmp_path: Path) -> None:
    lines = ["factura,envío", "factura", "envío", "Otros", "otra cosa", "pago", "tarjeta"]
    rows = [f'"{text} número {number}","{label}"' for text, label in enumerate(lines) for number in range(7 - text)]
    (tmp_path / "t.csv").write_text("\n".join(["text,label", *rows, ""]), "utf-8")
    said = purport("data", "t.csv", cwd=tmp_path).stdout
    assert "7 labels: factura,envío (7), factura (6), envío (5), Otros (4), otra cosa (3), " in said
    assert "next: purport init t.csv --label-delimiter , --out-of-scope Otros\n" in said
    assert "with --label-delimiter and --out-of-scope as the warnings advise; leave out what does not hold" in said
    chosen = purport("data", "t.csv", "--label-delimiter", "", "--out-of-scope", "Otros", cwd=tmp_path).stdout
    assert (
        "next: purport init t.csv --label-delimiter '' --out-of-scope Otros\n" in chosen and "leave out" not in chosen
    )


def test_shares_that_leave_nothing_are_no_option_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text('kind = "linear"\n[data]\nname = "sample"\nvalid = 0.9\ntest = 0.2\n', "utf-8")
    done = purport("data", "t.toml", cwd=tmp_path)
    assert done.returncode == 2 and "t.toml: data.test = 0.2 and data.valid = 0.9 leave no rows to" in done.stderr


def test_a_bundle_is_no_recipe(linear_bundle: Bundle, tmp_path: Path) -> None:
    done = purport("train", linear_bundle.path, "--out", "x", cwd=tmp_path)
    assert done.returncode == 2 and "is a bundle, and training needs data or a recipe" in done.stderr


def test_config_shows_where_a_value_came_from(tmp_path: Path) -> None:
    shown = purport("config", cwd=tmp_path, PURPORT_PORT="9001", PURPORT_API_KEYS="hunter2").stdout
    assert "PURPORT_PORT" in shown and "9001" in shown and "hunter2" not in shown


@pytest.mark.parametrize(
    ("name", "header", "separator", "labels", "options"),
    [
        ("my table.tsv", "text\tlabel", "\t", ";", ["--label-delimiter", ";"]),
        ("it's.csv", "Frage;Absicht", ";", "|", ["--label-delimiter", "|", "--delimiter", ";"]),
        ("$HOME.csv", "body,team", ",", "+", ["--text-column", "body", "--label-column", "team"]),
        ("plain.csv", "", ",", " & ", ["--no-header", "--label-delimiter", " & ", "--out-of-scope", "no one"]),
    ],
)
def test_the_command_that_the_doctor_prints_works_as_printed(
    name: str, header: str, separator: str, labels: str, options: list[str], tmp_path: Path
) -> None:
    rows = [
        separator.join((f"my {thing} number {n} is broken", f"{thing}{f'{labels}pay' * (n % 5 == 0)}"))
        for n in range(9)
        for thing in ("lamp", "sofa")
    ]
    rows.append(separator.join(("mein GerÃ¤t ist kaputt", "lamp")))
    lines = [*([header] if header else []), *rows, rows[0]]
    (tmp_path / name).write_text("\n".join(lines) + "\n", "utf-8")
    done = purport("doctor", name, *options, "--fix-plan", "plan 1.csv", "--fail-on", "never", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    command = done.stdout.partition("review it, then run: ")[2].splitlines()[0]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    pasted = subprocess.run(
        command, shell=True, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert pasted.returncode == 0, pasted.stderr
    [folder] = [each for each in tmp_path.iterdir() if each.name.endswith("-corrected")]
    written = (folder / name).read_text("utf-8").splitlines()
    assert written == [line.replace("Ã¤", "ä") for line in lines]


def test_what_a_plan_would_empty_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,label\none,a\ntwo,b\nthree,b\n", "utf-8")
    plan = ["apply;action;split;row;text;labels", "WAHR;drop;train;2;one;a", "FALSCH;drop;train;3;changed;b"]
    (tmp_path / "plan.csv").write_text("\r\n".join(plan), "utf-16")
    done = purport("doctor", "apply", "plan.csv", "t.csv", "-o", "out", cwd=tmp_path)
    assert done.returncode == 65 and "--allow-empty" in done.stderr and not (tmp_path / "out").exists()
    done = purport("doctor", "apply", "plan.csv", "t.csv", "-o", "out", "--allow-empty", cwd=tmp_path)
    assert done.returncode == 0 and "1 row dropped" in done.stdout, done.stderr
    assert "warning: 1 row skipped, but not in the data as the plan has it: train 3" in done.stdout
    assert "next: purport doctor out/t.csv\n" in done.stdout
    (tmp_path / "plan.csv").write_bytes(b"\x00\x01\xff\x81")
    done = purport("doctor", "apply", "plan.csv", "t.csv", "-o", "out2", cwd=tmp_path)
    assert done.returncode == 65 and "--plan-encoding" in done.stderr and "Traceback" not in done.stderr


def test_compare_and_evaluate_write_only_what_is_asked_for_and_measure_robustness(
    linear_bundle: Bundle, tmp_path: Path
) -> None:
    bundle, few = linear_bundle.path, ("--resamples", "20")
    done = purport("compare", bundle, bundle, *few, "--gate", "typo_1>=0,greeting>0", cwd=tmp_path)
    assert done.returncode == 1 and "gate typo_1>=0 passed" in done.stdout and "gate greeting>0 failed" in done.stdout
    assert "one typo" in done.stdout and "long e-mail" not in done.stdout
    done = purport("evaluate", bundle, "test", *few, "--robustness", cwd=tmp_path)
    assert done.returncode == 0 and "three typos" in done.stdout and "long e-mail" in done.stdout
    assert list(tmp_path.iterdir()) == []
    purport("evaluate", bundle, "test", *few, "--robustness", "--output", "found.json", cwd=tmp_path)
    found = json.loads((tmp_path / "found.json").read_text("utf-8"))
    assert len(found["robustness"]["results"]) == 8 and found["metrics"]["f1_micro"]
    shown = purport("compare", bundle, bundle, *few, "--report", "page", "--robustness", cwd=tmp_path)
    assert f"written to page{os.sep}index.html" in shown.stdout
    facts = json.loads((tmp_path / "page" / "facts.json").read_text("utf-8"))
    assert len(facts["robustness"]["exact_match"]) == 8
