"""flag > environment > file > default, and each value says where it came from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from purport.errors import SettingsError
from purport.settings import ServerSettings, forget_secrets, load, origins, require_meant, unread_variables, variable

ROOT = Path(__file__).parents[2]


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
    with pytest.raises(SettingsError, match="--port must be at most 65535, not 99999"):
        load({"port": 99999})
    monkeypatch.setenv("PURPORT_QUEUE_LIMIT", "many")
    with pytest.raises(
        SettingsError, match=r'PURPORT_QUEUE_LIMIT or purport.toml.* must be a whole number, not "many"'
    ):
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


def test_secrets_are_hidden(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "purport.toml").write_text('api_keys = ["hunter2"]\n', "utf-8")
    with pytest.raises(SettingsError, match=r"api_keys .* must be a string$") as refused:
        load()
    assert "hunter2" not in str(refused.value)
    monkeypatch.setenv("PURPORT_API_KEYS", "hunter2")
    assert load().api_keys.get_secret_value() == "hunter2"
    assert "hunter2" not in "".join(origin.value for origin in origins())
    assert "hunter2" not in repr(load())


def test_the_link_that_kubernetes_sets_for_a_service_is_not_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PURPORT_PORT", "tcp://10.0.0.1:8000")
    assert load().port == 8000


def test_a_misspelt_variable_stops_the_start_and_a_strange_one_is_named() -> None:
    with pytest.raises(
        SettingsError, match=r"nothing reads the variable PURPORT_WOKERS. Did you mean PURPORT_WORKERS\?"
    ):
        require_meant({"PURPORT_WOKERS": "2", "PURPORT_COLOUR": "red"})
    for wrong in ("PURPORT_API_KEYZ", "PURPORT_BUNDLES", "PURPORT_TRUSTED_PROXY", "purport_hosts"):
        with pytest.raises(SettingsError, match="Did you mean PURPORT_"):
            require_meant({wrong: "x"})
    (strange,) = require_meant({"PURPORT_COLOUR": "red"})
    assert str(strange) == "nothing reads the variable PURPORT_COLOUR; `purport config` lists the settings"


def test_variables_that_others_read_or_kubernetes_sets_are_no_mistake() -> None:
    service = ["PURPORT_SERVICE_HOST", "PURPORT_SERVICE_PORT", "PURPORT_SERVICE_PORT_HTTP", "PURPORT_PORT_8000_TCP",
               "PURPORT_PORT_8000_TCP_PROTO", "PURPORT_PORT_8000_TCP_ADDR", "PURPORT_API_SERVICE_HOST",
               "PURPORT_API_PORT_80_TCP_PORT"]  # fmt: skip
    known = [*map(variable, ServerSettings.model_fields), "purport_workers", "PURPORT_DATA_DIR", "PURPORT_API_KEY"]
    addresses = {"PURPORT_PORT": "tcp://10.0.0.1:8000", "PURPORT_API_PORT": "tcp://10.0.0.1:80"}
    environment = dict.fromkeys([*service, *known, "PATH", "PURPORTED"], "1") | addresses
    assert unread_variables(environment) == []


def test_no_variable_that_the_project_reads_is_called_unread() -> None:
    """A new variable of another command must be known to the server, which would call it a mistake otherwise."""
    files = [file for root in ("src", "scripts", "deploy") for file in (ROOT / root).rglob("*") if file.is_file()]
    text = [file.read_text("utf-8", "replace") for file in files if file.stat().st_size < 100_000]
    found = {name for each in text for name in re.findall(r"""(?<=["'{$])PURPORT_[A-Z_]+[A-Z]""", each)}
    assert {"PURPORT_DATA_DIR", "PURPORT_API_KEY", "PURPORT_MEMORY"} < found
    assert {each.name for each in unread_variables(dict.fromkeys(found, ""))} <= {"PURPORT_BUNDLES"}, (
        "of deploy/compose"
    )


def test_secrets_leave_the_environment() -> None:
    environment = {"PURPORT_API_KEYS": "a", "purport_api_keys": "b", "PURPORT_API_KEY": "c", "PURPORT_PORT": "1"}
    forget_secrets(environment)
    assert environment == {"PURPORT_PORT": "1"}


@pytest.mark.parametrize("name", ["review_dir", "reports_dir"])
def test_a_file_is_no_directory_for_queues_or_pages(name: str, tmp_path: Path) -> None:
    """It was found when somebody wanted to save a queue."""
    file = tmp_path / "queues"
    assert getattr(load({name: str(file)}), name) == str(file), "it is made when the first queue is"
    file.touch()
    with pytest.raises(SettingsError, match=r"-dir: .*queues is not a directory"):
        load({name: str(file)})
    with pytest.raises(SettingsError, match="cannot be looked at"):
        load({name: str(file / "below")})
    with pytest.raises(SettingsError, match="cannot be looked at"):
        load({name: "x" * 300})


def test_trusted_proxies_are_addresses_or_networks() -> None:
    assert load({"trusted_proxies": " 10.0.0.7, 10.1.0.0/16,::1 "}).trusted_proxies == "10.0.0.7,10.1.0.0/16,::1"
    for wrong in ("*", "proxy", "10.0.0.7,", "10.0.0.7/16"):
        with pytest.raises(
            SettingsError, match=r"trusted-proxies: .* is not an address or a network; write, for example"
        ):
            load({"trusted_proxies": wrong})


def test_the_unix_socket_can_be_a_trusted_proxy() -> None:
    assert load({"trusted_proxies": "unix,10.0.0.7"}).trusted_proxies == "unix,10.0.0.7"


def test_a_root_path_is_a_path_without_an_end() -> None:
    for written, meant in [("", ""), ("/", ""), ("/purport", "/purport"), ("/a/b/", "/a/b")]:
        assert load({"root_path": written}).root_path == meant
    for wrong in ("purport", "//evil.example", "/a b", "https://x/y", '/"><script>'):
        with pytest.raises(SettingsError, match=r"root-path: .* is not a path; write, for example, /purport"):
            load({"root_path": wrong})
