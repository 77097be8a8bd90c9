"""A real Prometheus reads the server's metrics, and the rules that ship hold for the names it reads."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from .conftest import Server, free_port, until

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
Program = Callable[..., str]


def promtool(program: Program, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    tool = program("promtool", install="apt-get install prometheus")
    return subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True)


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"] for rule in group["rules"]]


def test_configuration_and_alerts_are_sound(program: Program) -> None:
    for arguments in (("check", "config", FOLDER / "prometheus.yml"), ("test", "rules", FOLDER / "rules_test.yml")):
        done = promtool(program, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("wrong", [("> 0.05", "> 0.5"), ('status="503"', 'status="502"'), ("for: 1m", "for: 1h")])
def test_a_changed_rule_fails_its_test(program: Program, wrong: tuple[str, str], tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "rules")
    rules = tmp_path / "rules" / "rules.yml"
    rules.write_text(rules.read_text().replace(*wrong))
    assert promtool(program, "test", "rules", tmp_path / "rules" / "rules_test.yml").returncode != 0


def test_every_alert_is_tested_and_says_what_to_do() -> None:
    alerts = {rule["alert"]: rule for rule in rules() if "alert" in rule}
    tested = set(re.findall(r"alertname: (\w+)", (FOLDER / "rules_test.yml").read_text()))
    assert set(alerts) == tested
    assert all(rule["annotations"].keys() == {"summary", "action"} for rule in alerts.values())


def test_a_request_is_seen_in_prometheus(program: Program, server: Server, tmp_path: Path) -> None:
    binary = program("prometheus", install="apt-get install prometheus")
    folder = shutil.copytree(FOLDER, tmp_path / "prometheus")
    settings = folder / "prometheus.yml"
    text = settings.read_text().replace("server:8000", server.url.removeprefix("http://"))
    settings.write_text(text.replace("scrape_interval: 5s", "scrape_interval: 1s"))
    with httpx.Client(timeout=5) as client:
        assert client.post(f"{server.url}/intent", json={"text": "where is my parcel"}).status_code == 200
        port = free_port()
        process = subprocess.Popen(
            [binary, f"--config.file={settings}", f"--storage.tsdb.path={tmp_path / 'data'}",
             f"--web.listen-address=127.0.0.1:{port}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

        def value(query: str) -> float:
            try:
                answer = client.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": query}).json()
            except (httpx.HTTPError, ValueError):  # it says in words that it starts
                return 0
            return sum(float(each["value"][1]) for each in answer["data"]["result"])

        try:
            until(lambda: value('purport_requests_total{path="/intent",status="200"}') >= 1, 30)
            assert value('up{job="purport"}') == 1
            # Every name that a rule uses is one that the server has.
            named = {name for rule in rules() for name in re.findall(r"purport_\w+", rule["expr"])}
            assert {name for name in named if value(f"count({name})") == 0} == set()
        finally:
            process.terminate()
            process.wait()
