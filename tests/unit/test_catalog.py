"""Catalog datasets: local directory first, else a verified download that can go on where it stopped."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from purport import load_dataset
from purport.data import catalog as module
from purport.data.catalog import CatalogEntry, CatalogSplit, catalog, locate
from purport.data.download import fetch
from purport.data.publishers import SOURCES, convert
from purport.errors import DownloadFailed
from purport.progress import Progress
from purport.testing import Recorder

CONTENT = b"show  me flights\tflight\nfares please\tairfare\n"
CLEAN = b"show me flights\tflight\nfares please\tairfare\n"


class Publisher(BaseHTTPRequestHandler):
    """Serves CONTENT with ranges; /cut breaks off half-way the first time."""

    requests: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.requests.append((self.path, asked))
        if self.path == "/none":
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if start > len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        first = self.path == "/cut" and not asked
        self.wfile.write(CONTENT[start : len(CONTENT) // 2 if first else None])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def publisher() -> Iterator[str]:
    Publisher.requests = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Publisher)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def entry(publisher: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CatalogEntry:
    monkeypatch.delenv("PURPORT_DATA_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    split = CatalogSplit((f"{publisher}/train.tsv",), hashlib.sha256(CLEAN).hexdigest(), 2)
    made = CatalogEntry("made", "made up", "none", publisher, "tsv", {"train": split})
    monkeypatch.setattr(module, "catalog", lambda: {"made": made})
    return made


def test_a_download_is_verified_folded_and_kept(entry: CatalogEntry, recorder: Recorder) -> None:
    dataset = load_dataset("made", reporter=recorder)
    assert [example.text for example in dataset["train"]] == ["show me flights", "fares please"]
    assert recorder.events[-1] == Progress("downloading train.tsv", len(CONTENT), len(CONTENT), "bytes")
    load_dataset("made")
    assert len(Publisher.requests) == 1, "downloaded twice"


def test_what_is_not_expected_is_not_kept(entry: CatalogEntry, tmp_path: Path) -> None:
    bad = CatalogSplit(entry.splits["train"].urls, "0" * 64, 2)
    entry.splits["train"] = bad
    with pytest.raises(DownloadFailed, match=r"sha256 differs.*PURPORT_DATA_DIR/made/train\.tsv"):
        locate("made")
    assert not list((tmp_path / "cache").rglob("*.tsv")) and not list((tmp_path / "cache").rglob("*.part"))


def test_the_local_directory_comes_first(entry: CatalogEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local = tmp_path / "local"
    (local / "made").mkdir(parents=True)
    (local / "made" / "train.tsv").write_bytes(b"mine\tx\n")
    monkeypatch.setenv("PURPORT_DATA_DIR", str(local))
    assert [example.text for example in load_dataset("made")["train"]] == ["mine"]
    assert Publisher.requests == []


def test_a_broken_download_goes_on_where_it_stopped(publisher: str, tmp_path: Path) -> None:
    target = tmp_path / "file"
    with pytest.raises(DownloadFailed, match=r"stopped after \d+ of \d+ bytes; run the command again"):
        fetch(f"{publisher}/cut", target)
    assert not target.exists()
    assert fetch(f"{publisher}/cut", target).read_bytes() == CONTENT
    assert Publisher.requests[1] == ("/cut", f"bytes={len(CONTENT) // 2}-")


def test_a_partial_file_that_is_too_long_is_fetched_afresh(publisher: str, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"x" * 1000)
    assert fetch(f"{publisher}/file", tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("url", ["{}/none", "http://127.0.0.1:9/none"])
def test_no_network_is_a_clear_error(publisher: str, tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadFailed, match=r"(returned 404|cannot reach).*PURPORT_DATA_DIR"):
        fetch(url.format(publisher), tmp_path / "file")


def test_every_entry_is_complete() -> None:
    assert set(catalog()) == {"atis", "snips", "mixatis", "mixsnips", "clinc150", "banking77", "nlupp_banking"}
    for found in catalog().values():
        assert found.licence and found.source in SOURCES and found.homepage.startswith("https://")
        for split in found.splits.values():
            assert len(split.sha256) == 64 and split.rows > 0
            assert all(url.startswith("https://") for url in split.urls)


def test_each_publisher_layout(tmp_path: Path) -> None:
    def file(name: str, content: str) -> Path:
        (tmp_path / name).write_text(content, "utf-8")
        return tmp_path / name

    texts, labels = file("seq.in", "a  b \nc\n"), file("label", "x#y\nz\n")
    assert convert("seq_in", [texts, labels], "") == [("a b", "x+y"), ("c", "z")]
    assert convert("csv", [file("a.csv", 'text,category\n"a, b\n",x\n')], "") == [("a, b", "x")]
    document = file("a.json", json.dumps({"val": [["a", "x"]], "train": []}))
    assert convert("clinc", [document], "val") == [("a", "x")]
    items = file("b.json", json.dumps([{"text": "a", "intents": ["x", "y"]}, {"text": "b"}]))
    assert convert("nlupp", [items], "") == [("a", "x+y")]


@pytest.mark.parametrize("name", sorted(catalog()))
def test_the_catalog_describes_the_public_data(public_data: Path, name: str) -> None:
    for split, spec in catalog()[name].splits.items():
        lines = (public_data / name / f"{split}.tsv").read_text("utf-8").splitlines()
        content = "".join(f"{line}\n" for line in lines).encode()
        assert len(lines) == spec.rows
        assert hashlib.sha256(content).hexdigest() == spec.sha256, split


def test_folds_are_read_together_unless_there_is_a_split_to_train_on(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"fold{number:02}.csv").write_text(f"text,label\nrow {number},a\nrow,b\n", "utf-8")
    (only,) = load_dataset(tmp_path).splits.values()
    assert only.name == "train" and len(only) == 6
    (tmp_path / "train.csv").write_text("text,label\nrow,a\nother,b\n", "utf-8")
    assert set(load_dataset(tmp_path).splits) == {"train", "fold00", "fold01", "fold02"}
