"""Where a server listens: both families, several addresses, a Unix socket; and what stands in the way is told."""

from __future__ import annotations

import os
import re
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from purport.errors import SettingsError
from purport.serving.listen import listening, names

IPV6 = socket.has_dualstack_ipv6()
# Every address of 127.0.0.0/8 is there without being set up.
many = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has many loopback addresses")
needs_ipv6 = pytest.mark.skipif(not IPV6, reason="this machine has no IPv6")


def answers(where: str) -> bool:
    """Whether somebody listens at an address as it is announced."""
    found = re.fullmatch(r"http://\[?([^\]]*?)\]?:(\d+)", where)
    assert found, where
    try:
        socket.create_connection((found[1], int(found[2])), timeout=2).close()
    except OSError:
        return False
    return True


@many
def test_each_of_several_addresses_gets_the_same_port() -> None:
    with listening("127.0.0.1, 127.0.0.2,127.0.0.1,", 0) as (sockets, where):
        first, second = where.split(" and ")
        assert len(sockets) == 2 and answers(first) and answers(second)
        assert first.replace("127.0.0.1", "127.0.0.2") == second
        port = int(first.rpartition(":")[2])
        assert not answers(f"http://127.0.0.3:{port}")
    assert not answers(first) and not answers(second)


@needs_ipv6
def test_both_families() -> None:
    with listening("127.0.0.1,::1", 0) as (_, where):
        first, second = where.split(" and ")
        assert first.startswith("http://127.0.0.1:") and second.startswith("http://[::1]:")
        assert answers(first) and answers(second)
    for everything in ("::", "0.0.0.0,::", ""):
        with listening(everything, 0) as (_, where):
            port = where.rpartition(":")[2]
            assert answers(f"http://127.0.0.1:{port}") and answers(f"http://[::1]:{port}"), everything


@many
def test_a_name_listens_on_each_address_that_this_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, port: int, **_: object) -> list[object]:
        # 192.0.2.1 is nobody's (RFC 5737), as ::1 in /etc/hosts is where there is no IPv6.
        known = ("127.0.0.1", "192.0.2.1", "127.0.0.2") if host == "here" else ("192.0.2.1",)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in known]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with listening("here", 0) as (sockets, _):
        assert [each.getsockname()[0] for each in sockets] == ["127.0.0.1", "127.0.0.2"]
    with pytest.raises(SettingsError, match="cannot listen on there port 0"), listening("there", 0):
        pass


@many
def test_a_port_that_is_taken_on_one_address_is_told_and_nothing_stays_open() -> None:
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(SettingsError, match=f"port {port} .*in use.*choose another --host or --port"),
            listening("127.0.0.1,127.0.0.2", port),
        ):
            pass
        assert not answers(f"http://127.0.0.1:{port}")


def test_no_comma_opens_a_server_to_everybody() -> None:
    assert names("127.0.0.1,") == names(" ,127.0.0.1") == ["127.0.0.1"]
    assert names("") == names(" , ") == [""]


@pytest.fixture
def folder() -> Iterator[Path]:
    """With a short name: that of a socket has about a hundred characters at most."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        yield Path(name)


def connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
        return True


def test_a_unix_socket_is_for_user_and_group_and_is_gone_in_the_end(folder: Path) -> None:
    path = folder / "purport.sock"
    before = os.umask(0)
    try:
        with listening("127.0.0.1", 0, str(path)) as (sockets, where):
            assert where == f"unix:{path}" and len(sockets) == 1 and connects(path)
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            with pytest.raises(SettingsError, match="another server listens there"), listening("", 0, str(path)):
                pass
            assert connects(path), "the one that was there still listens"
    finally:
        os.umask(before)
    assert not path.exists()


def test_the_socket_of_a_server_that_died_is_replaced(folder: Path) -> None:
    path = folder / "purport.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists() and not connects(path)
    with listening("", 0, str(path)):
        assert connects(path)
        path.unlink()
        path.write_text("of somebody else")
    assert path.exists(), "only its own socket is removed"


@pytest.mark.parametrize("name", ["file", "folder", "link"])
def test_what_is_no_socket_is_not_touched(name: str, folder: Path) -> None:
    (folder / "file").write_text("precious")
    (folder / "folder").mkdir()
    (folder / "link").symlink_to("file")
    with pytest.raises(SettingsError, match="no socket"), listening("", 0, str(folder / name)):
        pass
    assert (folder / "file").read_text() == "precious" and (folder / name).exists()


@pytest.mark.parametrize("path", ["missing/purport.sock", "x" * 200])
def test_a_path_that_cannot_be_a_socket_is_told(path: str, folder: Path) -> None:
    with pytest.raises(SettingsError, match="choose another --unix-socket"), listening("", 0, str(folder / path)):
        pass
