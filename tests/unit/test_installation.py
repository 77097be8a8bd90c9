"""A message names a command that installs the missing extra from where this installation came from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from purport.installation import install_command

Install = Callable[[object], None]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Make ``purport`` look installed with that content of direct_url.json (none where it is ``None``)."""

    def install(recorded: object) -> None:
        folder = tmp_path / "site" / "purport-0.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text("Metadata-Version: 2.4\nName: purport\nVersion: 0\n")
        if recorded is not None:
            (folder / "direct_url.json").write_text(json.dumps(recorded))
        monkeypatch.syspath_prepend(str(folder.parent))

    return install


def checkout(folder: Path) -> Path:
    folder.mkdir()
    (folder / "constraints.txt").write_text("")
    return folder


def test_from_the_index(installed: Install) -> None:
    installed(None)
    assert install_command("train") == "pip install 'purport[train]'"


def test_from_a_checkout_one_stands_in(installed: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = checkout(tmp_path / "my checkout")
    installed({"url": folder.as_uri(), "dir_info": {"editable": True}})
    monkeypatch.chdir(folder)
    assert install_command("train") == "pip install -c constraints.txt -e '.[train]'"


def test_from_a_checkout_elsewhere(installed: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = checkout(tmp_path / "my checkout")
    installed({"url": folder.as_uri(), "dir_info": {}})
    monkeypatch.chdir(tmp_path)
    assert install_command("eval") == f"pip install -c '{folder}/constraints.txt' -e '{folder}[eval]'"


def test_from_a_wheel_file(installed: Install, tmp_path: Path) -> None:
    wheel = tmp_path / "purport-0-py3-none-any.whl"
    wheel.write_bytes(b"")
    installed({"url": wheel.as_uri(), "archive_info": {}})
    assert install_command("serve") == f"pip install '{wheel}[serve]'"


@pytest.mark.parametrize("url", ["file:///gone/purport.whl", "https://example.org/purport.whl", "file://[x/"])
def test_a_wheel_that_is_not_there_is_no_advice(installed: Install, url: str) -> None:
    installed({"url": url, "archive_info": {}})
    assert install_command("serve") == "pip install 'purport[serve]'"
