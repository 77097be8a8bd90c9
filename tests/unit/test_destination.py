"""A bundle is replaced without ever being absent, and what cannot be written is found before the work."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from purport import Bundle, Classifier
from purport import destination as module
from purport.bundle import MANIFEST, commit, staging
from purport.destination import Destination, exchange
from purport.errors import OutputExists, OutputUnwritable, PurportError
from purport.files import replacing, write_text
from purport.locks import lock

# A process that commits a new bundle and is killed just before or just after one of the steps that change paths.
_KILLED = """
import os, signal, sys, shutil
from pathlib import Path
from purport import Bundle, destination
from purport.bundle import commit, staging
from purport.locks import lock

target, step, can_exchange = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "True"
count = 0

def counted(function):
    def call(*arguments, **options):
        global count
        for after in (False, True):
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1
            if not after:
                result = function(*arguments, **options)
        return result
    return call

exchange = counted(destination.exchange)
destination.exchange = exchange if can_exchange else lambda one, other: False
Path.rename = counted(Path.rename)
shutil.rmtree = counted(shutil.rmtree)
os.replace, os.rename = counted(os.replace), counted(os.rename)
old = Bundle.open(target).manifest
work = destination.Destination.of(target).work
with lock(work / destination.LOCK), staging(work) as stage:
    (stage / "part").write_text("new")
    commit(stage, target, old, overwrite=True)
"""


def contents(bundle: Bundle) -> str:
    return (bundle.path / "part").read_text("utf-8")


def made(target: Path, like: Bundle, content: str, *, overwrite: bool = False) -> Bundle:
    work = Destination.of(target).work
    with lock(work / module.LOCK), staging(work) as stage:  # as a run does
        (stage / "part").write_text(content)
        return commit(stage, target, like.manifest, overwrite=overwrite)


@pytest.mark.parametrize("can_exchange", [True, False], ids=["exchange", "two renames"])
def test_a_kill_at_any_step_leaves_the_old_or_the_new_bundle(
    linear_bundle: Bundle, tmp_path: Path, can_exchange: bool
) -> None:
    found = []
    for step in range(50):
        target = tmp_path / str(step) / "bundle"
        made(target, linear_bundle, "old")
        command = [sys.executable, "-c", _KILLED, str(target), str(step), str(can_exchange)]
        status = subprocess.run(command, check=False).returncode
        if can_exchange:
            assert target.is_dir(), f"no bundle after step {step}"
        found.append(contents(Bundle.open(target)))
        if status == 0:
            break
        assert status == -signal.SIGKILL
        assert contents(made(target, linear_bundle, "newer", overwrite=True)) == "newer", "no further run can start"
    assert found[0] == "old" and found[-1] == "new" and len(found) >= 3, (
        "killed before and after the exchange, and not at all"
    )
    assert found == sorted(found, reverse=True), "new, and then old again"


def test_a_kill_between_two_renames_is_mended_before_the_next_run_clears_up(
    linear_bundle: Bundle, tmp_path: Path
) -> None:
    destination = Destination.of(tmp_path / "bundle")
    made(destination.path, linear_bundle, "old")
    destination.work.mkdir(exist_ok=True)
    destination.path.rename(destination.work / module.REPLACED)
    destination.restore()
    assert contents(Bundle.open(destination.path)) == "old"


def test_the_old_bundle_comes_back_where_the_new_one_cannot_take_its_place(
    linear_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "bundle"
    made(target, linear_bundle, "old")
    rename = Path.rename

    def failing(self: Path, to: Path) -> Path:
        if self.name.startswith("stage-"):
            raise OSError("disk on fire")
        return rename(self, to)

    monkeypatch.setattr(module, "exchange", lambda one, other: False)
    with monkeypatch.context() as patch, pytest.raises(OSError, match="fire"):
        patch.setattr(Path, "rename", failing)
        made(target, linear_bundle, "new", overwrite=True)
    assert contents(Bundle.open(target)) == "old"


@pytest.mark.parametrize("can_exchange", [True, False], ids=["exchange", "two renames"])
def test_a_reader_gets_the_old_or_the_new_bundle(
    linear_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_exchange: bool
) -> None:
    if not can_exchange:
        monkeypatch.setattr(module, "exchange", lambda one, other: False)
    target, seen, failed = tmp_path / "bundle", set(), []
    made(target, linear_bundle, "0")
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                seen.add(Bundle.open(target).manifest.id)
            except PurportError as error:
                failed.append(str(error))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(40):
        made(target, linear_bundle, str(number), overwrite=True)
    done.set()
    for reader in readers:
        reader.join()
    assert not failed and len(seen) > 2


def test_a_classifier_is_not_made_of_two_bundles(
    linear_bundle: Bundle, encoder_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, other = tmp_path / "bundle", tmp_path / "other"
    shutil.copytree(linear_bundle.path, target)
    shutil.copytree(encoder_bundle.path, other)
    real = Bundle.open
    swapped = []

    def open_then_swap(ref: Path, **given: Any) -> Bundle:
        found = real(ref, **given)
        if not swapped:
            swapped.append(exchange(target, other))
        return found

    monkeypatch.setattr(Bundle, "open", open_then_swap)
    # The other kind's files are missing: in general they would load and answer wrongly.
    try:
        found = Classifier.open(target)
    except PurportError as error:
        assert "train the bundle again" in str(error)
    else:
        assert found.bundle.manifest.id == encoder_bundle.manifest.id
    assert swapped == [True]


def test_a_classifier_of_a_replaced_bundle_is_opened_again(
    linear_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, other = tmp_path / "bundle", tmp_path / "other"
    shutil.copytree(linear_bundle.path, target)
    with staging(tmp_path / "work") as stage:
        for name in linear_bundle.manifest.files:
            shutil.copy(linear_bundle.path / name, stage / name)
        (stage / "more").write_text("another bundle of the same kind")
        newer = commit(stage, other, linear_bundle.manifest)
    real, swapped = Bundle.open, []

    def open_then_swap(ref: Path, **given: Any) -> Bundle:
        found = real(ref, **given)
        if not swapped:
            swapped.append(exchange(target, other))
        return found

    monkeypatch.setattr(Bundle, "open", open_then_swap)
    assert Classifier.open(target).bundle.manifest.id == newer.manifest.id


def test_links_are_followed(linear_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "deep" / "real")
    made(tmp_path / "dangling", linear_bundle, "first")
    assert (tmp_path / "dangling").is_symlink() and (tmp_path / "deep" / "real" / MANIFEST).is_file()
    made(tmp_path / "dangling", linear_bundle, "second", overwrite=True)
    assert (tmp_path / "dangling").is_symlink() and contents(Bundle.open(tmp_path / "deep" / "real")) == "second"


def test_the_current_directory_is_filled_and_stays_what_it_is(
    linear_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = tmp_path.stat().st_ino
    made(Path(), linear_bundle, "here")
    assert contents(Bundle.open(".")) == "here" and tmp_path.stat().st_ino == before
    assert Path(MANIFEST).is_file()
    with pytest.raises(OutputExists, match=r"cannot be replaced in one step.*bundle$"):
        Destination.of(".").require_free(overwrite=True)


@pytest.fixture(params=["tmpfs", "bind"])
def mounted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A mount point, of another file system or of the same."""
    point, source = tmp_path / "mount point", tmp_path / "source"
    point.mkdir()
    source.mkdir()
    words = ["-t", "tmpfs", "tmpfs"] if request.param == "tmpfs" else ["--bind", str(source)]
    if subprocess.run(["mount", *words, str(point)], capture_output=True, check=False).returncode:
        pytest.skip("mounting needs root")
    yield point
    subprocess.run(["umount", str(point)], check=True)


def test_a_mount_point_is_filled(linear_bundle: Bundle, mounted: Path) -> None:
    (mounted / "lost+found").mkdir()
    Destination.of(mounted).require_free(overwrite=False)
    made(mounted, linear_bundle, "mounted")
    assert contents(Bundle.open(mounted)) == "mounted"
    with pytest.raises(OutputExists, match="mount point"):
        Destination.of(mounted).require_free(overwrite=True)
    made(mounted / "inside", linear_bundle, "inside")


def test_checkpoints_on_another_file_system_are_refused_before_training(tmp_path: Path, mounted: Path) -> None:
    (tmp_path / "bundle.run").symlink_to(mounted)
    if mounted.stat().st_dev == tmp_path.stat().st_dev:
        Destination.of(tmp_path / "bundle").create_work()
        return
    with pytest.raises(OutputUnwritable, match="another file system"):
        Destination.of(tmp_path / "bundle").create_work()


@pytest.mark.parametrize("name", ["file", "file/below", "n" * 300, "loop/below"])
def test_what_can_never_be_written_says_so(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    destination = Destination.of(tmp_path / name)
    with pytest.raises((OutputExists, OutputUnwritable), match=r"choose (another path|the path of a directory)$"):
        destination.require_free(overwrite=True)
        destination.create_work()


def test_the_root_and_a_directory_of_something_else_are_not_touched(tmp_path: Path) -> None:
    for path in (Path("/"), Path("/etc"), Path(__file__).parent):
        with pytest.raises(OutputExists, match="it is not a bundle"):
            Destination.of(path).require_free(overwrite=True)


def test_a_directory_without_permission_says_so(tmp_path: Path) -> None:
    if os.getuid() == 0:
        # Root may write everywhere except where nobody can.
        path = Path("/proc/bundle")
    else:
        tmp_path.chmod(0o500)
        path = tmp_path / "bundle"
    with pytest.raises(OutputUnwritable, match=r"cannot write .*choose another path"):
        Destination.of(path).create_work()


def test_an_output_that_is_no_file_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    write_text(Path("/dev/null"), "gone")
    assert Path("/dev/null").is_char_device()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_text("utf-8")))
    reader.start()
    write_text(pipe, "through")
    reader.join()
    assert received == ["through"] and pipe.is_fifo()


def test_an_output_that_is_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    write_text(tmp_path / "link", "content")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_text("utf-8") == "content"


def test_a_directory_is_written_into_a_mount_point(mounted: Path) -> None:
    with replacing(mounted) as partial:
        partial.mkdir()
        (partial / "rows").write_text("content")
    assert (mounted / "rows").read_text("utf-8") == "content"
