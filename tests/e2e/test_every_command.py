"""No command ends in a traceback, whatever is wrong around it: each command is walked under each condition."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest
from typer.main import get_command

from purport import Bundle
from purport.bundle import commit, staging
from purport.cli.exits import DEFECT, EXIT_CODES, IO_ERROR, TERMINATED
from purport.cli.main import app
from purport.promise import Kept, Promised, ScoreCounts
from purport.training.pipeline import train
from purport.training.recipe import parse_recipe

# Each command with arguments that work, and the option that names what it writes. A new command needs a line.
WRITES = {"init": "--output", "train": "--out", "evaluate": "--output", "compare": "--output", "explore": "--output",
          "doctor examine": "--output", "doctor apply": "--output", "predict": "--output",
          "plan": "--output", "review": "--out", "sign": "--new-key", "teach": "--out",
          "verify": "--output", "label": "--output"}  # fmt: skip
ENDS = {0, 1, 2, IO_ERROR, *EXIT_CODES.values(), TERMINATED}
SERVERS = {"serve", "ui"}
WAIT_S, STARTS_S = 60, 4


def walk(command: Any, name: str = "") -> Iterator[str]:
    """The names of all commands below ``command``."""
    if hasattr(command, "commands"):
        for child, below in command.commands.items():
            yield from walk(below, f"{name} {child}".strip())
    else:
        yield name


COMMANDS = sorted(walk(get_command(app)))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, linear_bundle: Bundle) -> Path:
    """A directory with everything that the commands read."""
    root = tmp_path_factory.mktemp("walk")
    scores = ScoreCounts(edges=(0.5,), inside=(1, 5), outside=(0, 0))
    promised = Promised(
        terms=(Kept(promise="answered >= 0.5", observed=1, bound=0.6),), certainty=0.9, accept_at=0, rows=5,
        out_of_scope_rows=0, answered=1, answered_at_least=0.6, out_of_scope_share=(0, 0), scores=scores, assumption="",
    )  # fmt: skip
    with staging(root) as stage:
        shutil.copytree(linear_bundle.path, stage, dirs_exist_ok=True)
        commit(stage, root / "bundle", linear_bundle.manifest.model_copy(update={"promise": promised}))
    quick = {**linear_bundle.manifest.recipe, "model": {"words": [1, 1], "characters": [0, 0], "max_features": 300}}
    assert train(parse_recipe(quick), root / "other")  # so much faster and worse that a cascade of the two is worth it
    rows = [(f"where is my {what}", "track") for what in ("parcel", "box", "letter", "order")] * 3
    rows += [(f"cancel my {what} now", "cancel") for what in ("order", "trip", "plan")] * 4
    table = "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows)
    (root / "rows").mkdir()
    for split in ("train", "valid", "test"):
        (root / "rows" / f"{split}.tsv").write_text(table, "utf-8")
    (root / "in.csv").write_text("text\nwhere is my parcel\n", "utf-8")
    (root / "recipe.toml").write_text(
        f'kind = "linear"\ntask = "multilabel"\n[data]\nname = "{root}/rows"\nvalid = "valid"\ntest = "test"\n', "utf-8"
    )
    words = ["doctor", str(root / "rows"), "--fix-plan", str(root / "plan.csv"), "--output", str(root / "diagnosis")]
    done = subprocess.run(
        [sys.executable, "-m", "purport", *words, "--fail-on", "never"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return root


def line(command: str, place: Path, out: Path) -> list[str]:
    """Arguments of ``command`` that work."""
    bundle, rows = str(place / "bundle"), str(place / "rows")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    arguments = {
        "init": [rows],
        "train": [str(place / "recipe.toml")],
        "evaluate": [bundle, str(place / "rows" / "test.tsv"), "--resamples", "20"],
        "predict": [bundle, "--input", str(place / "in.csv")],
        "explain": [bundle, "my lamp came in pieces"],
        "serve": [bundle, "--port", "0", "--workers", "1"],
        "classify": ["hello", "--url", nobody, "--retries", "0"],
        "data": [rows],
        "verify": [bundle, str(place / "rows" / "test.tsv")],
        "compare": [bundle, bundle, "--data", str(place / "rows" / "test.tsv"), "--resamples", "20"],
        "explore": [rows],
        "config": [],
        "plan": [bundle, str(place / "other"), "--target", "passed_on <= 0.5"],
        "review": [rows, "--with", bundle, "--below", "1"],
        "sign": [],
        "label": [str(place / "in.csv"), "--with", bundle],
        "ui": [bundle, "--port", "0"],
        "teach": [bundle, "--text", "my lamp came in pieces", "--label", "damaged_item"],
        "doctor examine": [rows],
        "doctor apply": [str(place / "plan.csv"), rows],
    }
    written = str(out / "written.csv" if command in ("predict", "label") else out / "written")
    return [*command.split(), *arguments[command], *((WRITES[command], written) if command in WRITES else ())]


@dataclass
class Attempt:
    """How a command is run."""

    words: list[str]
    environment: dict[str, str]
    prepare: list[Callable[[], object]] = field(default_factory=list)
    cwd: Path | None = None
    stdout: IO[Any] | int = subprocess.PIPE
    stdin: IO[Any] | int = subprocess.DEVNULL
    said: bool = True  # whether its messages can be read

    def run(self) -> tuple[int, str]:
        """The exit code, and what it wrote to standard error. A server is asked to stop once it runs."""

        def prepare() -> None:
            for each in self.prepare:
                each()

        process = subprocess.Popen(
            [sys.executable, "-m", "purport", *self.words],
            env=self.environment,
            cwd=self.cwd,
            stdout=self.stdout,
            stdin=self.stdin,
            stderr=subprocess.PIPE,
            preexec_fn=prepare,
        )
        try:
            _, stderr = process.communicate(timeout=STARTS_S if SERVERS & {*self.words[:1]} else WAIT_S)
        except subprocess.TimeoutExpired:
            assert SERVERS & {*self.words[:1]}, f"{self.words} hangs"
            process.send_signal(signal.SIGTERM)
            _, stderr = process.communicate(timeout=WAIT_S)
        return process.returncode, (stderr or b"").decode(errors="replace")


CONDITIONS: dict[str, Callable[[Attempt, Path], Any]] = {}


def condition(function: Callable[[Attempt, Path], Any]) -> Callable[[Attempt, Path], Any]:
    CONDITIONS[function.__name__.replace("_", " ")] = contextmanager(function)
    return function


def as_option(attempt: Attempt, name: str, value: str) -> None:
    if name in attempt.words:
        attempt.words[attempt.words.index(name) + 1] = value


def written_to(attempt: Attempt, directory: Path) -> None:
    for name in set(WRITES.values()):
        if name in attempt.words:
            as_option(attempt, name, str(directory / Path(attempt.words[attempt.words.index(name) + 1]).name))


@condition
def nothing_is_wrong(attempt: Attempt, tmp_path: Path) -> Iterator[None]:
    yield


@condition
def no_home(attempt: Attempt, tmp_path: Path) -> Iterator[None]:
    for name in [name for name in attempt.environment if name.startswith(("XDG_", "HF_"))]:
        del attempt.environment[name]
    attempt.environment["HOME"] = "/nonexistent"
    yield


@condition
def the_C_locale(attempt: Attempt, tmp_path: Path) -> Iterator[None]:  # noqa: N802
    attempt.environment |= {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    yield


@condition
def a_SOCKS_proxy_and_no_network(attempt: Attempt, tmp_path: Path) -> Iterator[None]:  # noqa: N802
    proxies = dict.fromkeys(("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy"), "socks5://127.0.0.1:9")
    attempt.environment |= proxies
    yield


@condition
def standard_input_is_closed(attempt: Attempt, tmp_path: Path) -> Iterator[None]:
    attempt.prepare.append(lambda: os.close(0))
    yield


@condition
def standard_output_is_closed(attempt: Attempt, tmp_path: Path) -> Iterator[None]:
    attempt.prepare.append(lambda: os.close(1))
    yield


@condition
def standard_error_is_closed(attempt: Attempt, tmp_path: Path) -> Iterator[None]:
    attempt.prepare.append(lambda: os.close(2))
    attempt.said = False
    yield


@condition
def standard_output_is_full(attempt: Attempt, tmp_path: Path) -> Iterator[None]:
    with Path("/dev/full").open("wb") as attempt.stdout:
        yield


@condition
def nobody_reads_standard_output(attempt: Attempt, tmp_path: Path) -> Iterator[None]:
    reader, writer = os.pipe()
    os.close(reader)
    attempt.said = False
    with os.fdopen(writer, "wb") as attempt.stdout:
        yield


@condition
def the_current_directory_is_gone(attempt: Attempt, tmp_path: Path) -> Iterator[None]:
    gone = tmp_path / "gone"
    gone.mkdir()
    attempt.prepare.append(lambda: (os.chdir(gone), gone.rmdir()))
    yield
    if gone.exists():
        gone.rmdir()


@condition
def the_output_cannot_be_written(attempt: Attempt, tmp_path: Path) -> Iterator[None]:
    written_to(attempt, Path("/proc/nowhere"))
    yield


@condition
def the_output_is_below_a_file(attempt: Attempt, tmp_path: Path) -> Iterator[None]:
    (tmp_path / "file").touch()
    written_to(attempt, tmp_path / "file")
    yield


@condition
def files_may_not_grow(attempt: Attempt, tmp_path: Path) -> Iterator[None]:
    """As on a full disk: every write fails with an OSError."""
    attempt.prepare.append(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64)))
    attempt.environment["TMPDIR"] = str(tmp_path)
    yield


@condition
def an_unknown_option(attempt: Attempt, tmp_path: Path) -> Iterator[None]:
    attempt.words.append("--no-such-option")
    yield


@condition
def noise_in_every_file(attempt: Attempt, tmp_path: Path) -> Iterator[None]:
    """Each file that is named is another that holds no text at all, and each directory holds nothing."""
    for position, word in enumerate(attempt.words):
        path = Path(word)
        if path.is_file():
            (tmp_path / path.name).write_bytes(bytes(range(256)) * 9)
            attempt.words[position] = str(tmp_path / path.name)
        elif path.is_dir():
            (tmp_path / f"empty-{position}").mkdir()
            attempt.words[position] = str(tmp_path / f"empty-{position}")
    yield


@condition
def paths_that_do_not_exist(attempt: Attempt, tmp_path: Path) -> Iterator[None]:
    attempt.words = [f"{word}-missing" if Path(word).exists() else word for word in attempt.words]
    yield


def makes_a_difference(name: str, command: str) -> bool:
    if name.startswith("the output"):
        return command in WRITES
    return command not in ("config", "classify") or name not in ("noise in every file", "paths that do not exist")


def walked() -> Iterator[tuple[str, str]]:
    """Every command where nothing is wrong, and every second one under each condition, in turn: they share the code."""
    for number, name in enumerate(CONDITIONS):
        for place, command in enumerate(COMMANDS):
            if makes_a_difference(name, command) and (number == 0 or (place + number) % 2):
                yield name, command


@pytest.mark.parametrize(("name", "command"), list(walked()))
def test_no_command_ends_in_a_traceback(name: str, command: str, place: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    environment = {**os.environ, "COLUMNS": "200", "PURPORT_DRAIN_SECONDS": "0"}
    attempt = Attempt(line(command, place, tmp_path / "out"), environment, cwd=tmp_path)
    with CONDITIONS[name](attempt, tmp_path):
        code, stderr = attempt.run()
    assert "Traceback" not in stderr and "defect in purport" not in stderr, stderr
    assert code in ENDS and (code != DEFECT or "defect" not in stderr), (code, stderr)
    if name == "nothing is wrong" and command != "classify":
        assert code in ((0, 1) if command.startswith("doctor") else (0,)), stderr
    if name == "an unknown option":
        assert code == 2
    if code > 1 and attempt.said:
        # A message has what happened, and after a semicolon, a comma or in a sentence of its own, what to do.
        assert re.search(r"error: .+[;,.:] .+|Usage: ", stderr, re.S), stderr
