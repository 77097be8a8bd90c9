"""flag > environment > file > default, and each value says where it came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from purport.errors import SettingsError
from purport.settings import load, origins


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def source(name: str, flags: dict[str, object] | None = None) -> tuple[str, str]:
    (found,) = [origin for origin in origins(flags) if origin.name == name]
    return found.value, found.source.split()[0]


def test_each_source_wins_over_the_next(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert source("port") == ("8000", "default")
    (folder / "purport.toml").write_text("port = 1\n", "utf-8")
    assert source("port") == ("1", str(folder / "purport.toml"))
    monkeypatch.setenv("PURPORT_PORT", "2")
    assert source("port") == ("2", "environment")
    assert source("port", {"port": 3}) == ("3", "flag")
    assert source("port", {"port": None}) == ("2", "environment")
    assert load({"port": 3}).port == 3


def test_a_wrong_value_names_its_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="--port: "):
        load({"port": 99999})
    monkeypatch.setenv("PURPORT_QUEUE_LIMIT", "many")
    with pytest.raises(SettingsError, match="PURPORT_QUEUE_LIMIT"):
        load()
    monkeypatch.delenv("PURPORT_QUEUE_LIMIT")
    (folder / "purport.toml").write_text("prot = 1\n", "utf-8")
    with pytest.raises(SettingsError, match=r'unknown setting "prot". Did you mean "port"'):
        load()
    (folder / "purport.toml").write_text('log_level = "verbose"\n', "utf-8")
    with pytest.raises(SettingsError, match="log_level"):
        load()
    (folder / "purport.toml").write_text("port = \n", "utf-8")
    with pytest.raises(SettingsError, match="not valid TOML"):
        load()


def test_secrets_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PURPORT_API_KEYS", "hunter2")
    assert load().api_keys.get_secret_value() == "hunter2"
    assert "hunter2" not in "".join(origin.value for origin in origins())
    assert "hunter2" not in repr(load())


def test_the_link_that_kubernetes_sets_for_a_service_is_not_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PURPORT_PORT", "tcp://10.0.0.1:8000")
    assert load().port == 8000
