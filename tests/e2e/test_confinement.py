"""Nothing leaves the machine and nothing is left on it: every process of a command is watched at the system calls.

strace sees what native libraries do as well. The processes run with a home, a working directory and a directory for
temporary files of their own, without the variables by which libraries recognise a test.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from purport import Bundle

from .conftest import Server, _address, until

# What changes files or their names, and what reaches other machines.
_FILES = (
    "open,openat,openat2,creat,mkdir,mkdirat,mknod,mknodat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,"
    "unlink,unlinkat,rmdir,truncate,chmod,fchmodat,chown,fchownat,lchown,utimensat,setxattr,lsetxattr"
)
_NETWORK = "connect,sendto,sendmsg,sendmmsg,bind"
_CALL = re.compile(r"^(\w+)\((.*)\) += (-?\d+)(?:<(.*)>)?")
_PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"')
_WRITING = re.compile("O_(WRONLY|RDWR|CREAT|TRUNC)")
_SOCKETS = re.compile(r"sa_family=AF_(\w+)")


LINEAR = """
kind = "linear"
task = "multilabel"
data = { name = "sample", valid = "valid", test = "test", unlabelled = "out_of_scope" }
"""
ENCODER = """
kind = "encoder"
task = "multilabel"
data = {{ name = "sample", valid = "valid", test = "test", unlabelled = "out_of_scope" }}
model = {{ name = "{}", max_length = 32 }}
adapter = {{ rank = 4, alpha = 8 }}
fit = {{ epochs = 1, learning_rate = 5e-3, head_learning_rate = 1e-2, precision = "fp32" }}
"""


@dataclass(frozen=True)
class Seen:
    """Paths that were changed, and calls that reached another machine, or tried to, or offered a port."""

    changed: set[Path]
    network: list[str]
    ports: set[int]


class Watch:
    """Runs commands under strace in an empty ``home`` and ``work``; they may write below ``out`` and ``temporary``."""

    def __init__(self, strace: str, base: Path) -> None:
        self._strace, self._base = strace, base
        self.home, self.work, self.out, self.temporary, self._traces = (
            base / name for name in ("home", "work", "out", "tmp", "traces")
        )
        for folder in (self.home, self.work, self.out, self.temporary, self._traces):
            folder.mkdir()

    def start(self, *command: object, **environment: str) -> subprocess.Popen[str]:
        tracing = [self._strace, "-ff", "-qq", "-y", "-s", "4096", "-e", f"trace={_FILES},{_NETWORK}"]
        # strace does not see into io_uring; as in Docker, there is none.
        tracing += ["-e", "signal=none", "-e", "inject=io_uring_setup:error=ENOSYS", "-o", str(self._traces / "of")]
        with (self._base / "log").open("w") as log:
            return subprocess.Popen(
                [*tracing, sys.executable, *map(str, command)],
                stdout=log, stderr=log, text=True, cwd=self.work,
                env={
                    "PATH": os.environ["PATH"], "HOME": str(self.home), "TMPDIR": str(self.temporary),
                    "PYTHONPATH": os.environ.get("PYTHONPATH", ""), "OMP_NUM_THREADS": "1",
                    "PYTHONDONTWRITEBYTECODE": "1",  # the interpreter's own cache beside the sources
                    **environment,
                },
            )  # fmt: skip

    @property
    def log(self) -> Path:
        """What the last command printed."""
        return self._base / "log"

    def run(self, *command: object) -> None:
        process = self.start(*command)
        assert process.wait(timeout=300) == 0, self.log.read_text("utf-8")

    def seen(self) -> Seen:
        """What all the commands did."""
        lines = [line for trace in self._traces.iterdir() for line in trace.read_text("utf-8", "replace").splitlines()]
        calls = [(line, found) for line in lines if (found := _CALL.match(line))]
        assert len(calls) > 100, "strace shows nothing"
        seen = Seen(set(), [], set())
        for line, call in calls:
            name, arguments, status, opened = call.groups()
            if name == "bind":
                seen.ports.update(int(port) for port in re.findall(r"htons\((\d+)\)", arguments))
            elif name in _NETWORK.split(","):
                if set(_SOCKETS.findall(arguments)) - {"UNIX"}:
                    seen.network.append(line)
            elif int(status) >= 0 and (not name.startswith("open") or _WRITING.search(arguments)):
                paths = [("", opened)] if opened else _PATH.findall(arguments)
                seen.changed.update(self.work / folder / path.removesuffix(" (deleted)") for folder, path in paths)
        return seen

    def strange(self, seen: Seen) -> list[str]:
        """Paths that were changed outside what a command may write."""
        # Shared memory and named semaphores are temporary too; /dev/null is nowhere; whoever tries a bundle asks the
        # kernel to be killed first where memory is short, and to come after the others where cores are.
        mine = (self.out, self.temporary, Path("/dev/shm"), Path("/dev/null"))
        strange = {str(path) for path in seen.changed if not any(map(path.is_relative_to, mine))}
        return sorted(path for path in strange if not re.fullmatch(r"/proc/\d+/(oom_score_adj|autogroup)", path))

    def assert_confined(self) -> Seen:
        seen = self.seen()
        assert self.strange(seen) == []
        assert seen.network == []
        assert [*self.home.rglob("*"), *self.work.rglob("*")] == []
        return seen


@pytest.fixture
def watch(program: Callable[..., str]) -> Iterator[Watch]:
    # Not below pytest's own directory, which every path would be relative to.
    with tempfile.TemporaryDirectory() as folder:
        yield Watch(program("strace", install="apt-get install strace"), Path(folder).resolve())


def test_the_watch_sees_files_connections_and_processes_of_processes(watch: Watch) -> None:
    inner = (
        "import pathlib, socket; (pathlib.Path.home() / '.id').write_text('x'); "
        "s = socket.socket(); s.settimeout(1); s.connect_ex(('127.0.0.1', 9)); pathlib.Path('here').mkdir()"
    )
    watch.run("-c", f"import subprocess, sys, json; subprocess.run([sys.executable, '-c', {inner!r}], check=True)")
    seen = watch.seen()
    assert watch.strange(seen) == [str(watch.home / ".id"), str(watch.work / "here")]
    (connection,) = seen.network
    assert "127.0.0.1" in connection


def test_predict(watch: Watch) -> None:
    rows = watch.temporary / "rows.csv"
    rows.write_text("text\nflights from boston to denver\n", "utf-8")
    watch.run("-m", "purport", "predict", "atis", "show me flights")
    watch.run("-m", "purport", "predict", "atis", "-i", rows, "-o", watch.out / "answers.jsonl")
    assert watch.assert_confined().ports == set()
    assert [path.name for path in watch.out.iterdir()] == ["answers.jsonl"]


def test_serve_with_requests_and_a_swap(watch: Watch, linear_bundle: Bundle) -> None:
    process = watch.start(
        *("-m", "purport", "serve", "main=atis", f"other={linear_bundle.path}", "--port", "0"),
        PURPORT_API_KEYS="boss@intent@classify@models", PURPORT_WORKERS="1", PURPORT_DRAIN_SECONDS="0",
    )  # fmt: skip
    try:
        server = Server(process, _address(process, watch.log), watch.log)
        server.wait_ready()
        with httpx.Client(base_url=server.url, headers={"X-API-Key": "boss"}, timeout=60) as client:
            assert client.post("/intent", json={"text": "show me flights"}).json()["intents"][0]["label"] == "flight"
            assert client.post("/v1/classify", json={"texts": ["flights", "fares"]}).status_code == 200
            swap = client.put("/v1/models/main", json={"bundle": str(linear_bundle.path)})
            assert swap.status_code == 200 and swap.json()["bundle"] == linear_bundle.manifest.id, swap.text
            assert client.post("/intent", json={"text": "show me flights"}).status_code == 200
    finally:
        children = psutil.Process(process.pid).children(recursive=True)
        children[0].terminate()
        process.wait(timeout=30)
        until(lambda: not any(child.is_running() for child in children))
    assert watch.assert_confined().ports == {0}
    assert [*watch.out.iterdir(), *watch.temporary.iterdir()] == []


def test_train_linear(watch: Watch) -> None:
    train(watch, LINEAR)


def test_train_encoder(watch: Watch, tiny_encoder: Path) -> None:
    train(watch, ENCODER.format(tiny_encoder))


def train(watch: Watch, recipe: str) -> None:
    file = watch.temporary / "recipe.toml"
    file.write_text(recipe, "utf-8")
    watch.run("-m", "purport", "train", file, "--out", watch.out / "bundle")
    assert watch.assert_confined().ports == set()
    assert [path.name for path in watch.out.iterdir()] == ["bundle"]
