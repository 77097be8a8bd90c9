"""nginx and HAProxy in front of a server, configured as docs/how-to/proxies.md says."""

from __future__ import annotations

import getpass
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "proxies.md"
PROGRAMS = {"nginx": "/usr/sbin/nginx", "haproxy": "/usr/sbin/haproxy"}
_FILES = {"nginx": "purport.conf", "haproxy": "haproxy.cfg"}
_PREFIXES = {"nginx": "/purport", "haproxy": ""}
_RELOAD = {"nginx": signal.SIGHUP, "haproxy": signal.SIGUSR2}
# What a distribution's own nginx.conf holds, without its places for files.
_NGINX = """
daemon off;
user {user};
pid {folder}/pid;
error_log stderr warn;
worker_processes 1;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxied;
    fastcgi_temp_path {folder}/1; uwsgi_temp_path {folder}/2; scgi_temp_path {folder}/3;
    include {folder}/purport.conf;
}}
"""


@dataclass
class Proxy:
    """A running proxy."""

    kind: str
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def prefix(self) -> str:
        """The path that it strips."""
        return _PREFIXES[self.kind]

    @property
    def url(self) -> str:
        """Where the server is found behind it."""
        return f"http://127.0.0.1:{self.port}{self.prefix}"

    def reload(self) -> None:
        """Have it read its configuration again, as ``nginx -s reload`` does, or ``systemctl reload haproxy``."""
        self.process.send_signal(_RELOAD[self.kind])


@contextmanager
def proxy(kind: str, server: str, folder: Path, program: str = "") -> Iterator[Proxy]:
    """``kind`` in front of ``server``, which is ``HOST:PORT`` or ``unix:PATH``, until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    file = folder / _FILES[kind]
    file.write_text(configuration(kind, server, port), "utf-8")
    if kind == "nginx":
        file = folder / "nginx.conf"
        file.write_text(_NGINX.format(folder=folder, user=getpass.getuser()), "utf-8")
    options = ["-p", str(folder), "-c", str(file)] if kind == "nginx" else ["-W", "-f", str(file)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program or PROGRAMS[kind], *options], stdout=log, stderr=log)
    running = Proxy(kind, process, port, folder / "log")
    try:
        _wait(running)
        yield running
    finally:
        workers = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.terminate()
        process.wait(timeout=10)
        for worker in psutil.wait_procs(workers, timeout=5)[1]:
            worker.kill()


def configuration(kind: str, server: str, port: int) -> str:
    """The file of the page, with the addresses that are used here."""
    page = PAGE.read_text("utf-8")
    found = re.search(rf"<!-- file: {re.escape(_FILES[kind])} -->\n```text\n(.*?)```", page, re.S)
    assert found, f"{PAGE} has no {_FILES[kind]}"
    # HAProxy writes the same address with another character.
    address = server.replace("unix:", "unix@") if kind == "haproxy" else server
    changes = {
        "127.0.0.1:8000": address,
        "listen 80;": f"listen 127.0.0.1:{port};",
        "bind :80": f"bind 127.0.0.1:{port}",
    }
    text = found[1]
    assert sum(text.count(old) for old in changes) == 2, "the page names the server once, and one port to listen on"
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


def _wait(running: Proxy) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and running.process.poll() is None:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", running.port), timeout=1).close()
            return
        time.sleep(0.02)
    raise RuntimeError(f"{running.kind} did not start: {running.log.read_text('utf-8')}")
