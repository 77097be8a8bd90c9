"""Where the server listens: addresses of both families, or a Unix socket."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ..errors import SettingsError

_BACKLOG = 2048
_ATTEMPTS = 20  # to find a port that is free on every address
_UNIX_MODE = 0o660


@contextmanager
def listening(hosts: str, port: int, unix_socket: str = "") -> Iterator[tuple[list[socket.socket], str]]:
    """The sockets, and their addresses in words, until the block ends.

    Args:
        hosts: comma-separated addresses or names; a name listens on all its addresses that this machine has, ``::``
            alone on IPv4 too, and nothing on everything.
        port: 0 takes a free one, the same on each address.
        unix_socket: a path that replaces both of them.

    Raises:
        SettingsError: it is not possible to listen there.
    """
    with ExitStack() as opened:
        if unix_socket:
            yield [opened.enter_context(_unix(Path(unix_socket)))], f"unix:{unix_socket}"
            return
        sockets = _free(hosts, port)
        for each in sockets:
            opened.enter_context(each)
        yield sockets, " and ".join(_url(*each.getsockname()[:2]) for each in sockets)


def names(hosts: str) -> list[str]:
    """The parts of ``hosts``; if there are none, an empty one, which means all addresses."""
    return list(dict.fromkeys(filter(None, (part.strip() for part in hosts.split(","))))) or [""]


def _free(hosts: str, port: int) -> list[socket.socket]:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _bound(names(hosts), port)
        except OSError as error:
            # A port that is free on one address may be taken on another.
            if not port and error.errno == errno.EADDRINUSE and attempt < _ATTEMPTS:
                continue
            reason = error.strerror or error
            raise SettingsError(
                f"cannot listen on {hosts} port {port} ({reason}); choose another --host or --port"
            ) from None
    raise AssertionError("the last attempt returns or raises")


def _bound(hosts: list[str], port: int) -> list[socket.socket]:
    """A listening socket for each address.

    Raises:
        OSError: an address is taken, or none of a name is an address of this machine.
    """
    sockets: dict[str, socket.socket] = {}
    dual = hosts == ["::"] and socket.has_dualstack_ipv6()
    with ExitStack() as undo:
        for host in hosts:
            known = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            failures = []
            for family, _, _, _, (host_address, _, *rest) in known:
                address = str(host_address)
                if address in sockets:
                    continue
                try:
                    found = socket.create_server(
                        (address, port, *rest), family=family, backlog=_BACKLOG, dualstack_ipv6=dual
                    )
                except OSError as error:
                    if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                        raise
                    failures.append(error)  # localhost may be ::1 in /etc/hosts where there is no IPv6
                else:
                    sockets[address] = undo.enter_context(found)
                    port = found.getsockname()[1]
            if len(failures) == len(known):
                raise failures[0]
        undo.pop_all()
    return list(sockets.values())


def _url(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


@contextmanager
def _unix(path: Path) -> Iterator[socket.socket]:
    """A socket at ``path``, for the user and the group of the server, that is removed at the end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            _remove_stale(path)
            listener.bind(str(path))
            path.chmod(_UNIX_MODE)  # nobody can connect before the socket listens
            listener.listen(_BACKLOG)
            mine = path.stat()
        except OSError as error:
            raise _cannot(path, str(error.strerror or error)) from None
        try:
            yield listener
        finally:
            with suppress(OSError):
                if os.path.samestat(mine, path.stat()):  # and not that of a server that took over
                    path.unlink()


def _remove_stale(path: Path) -> None:
    """Remove the socket of a server that has died.

    Raises:
        SettingsError: there is something else, or a server listens there.
    """
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise _cannot(path, "there is a file that is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1)
        try:
            client.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except TimeoutError:
            pass  # its queue is full
    raise _cannot(path, "another server listens there")


def _cannot(path: Path, reason: str) -> SettingsError:
    return SettingsError(f"cannot listen on the Unix socket {path} ({reason}); choose another --unix-socket")
