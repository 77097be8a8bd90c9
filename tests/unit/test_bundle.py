"""A changed bundle never opens: every file truncated, flipped or missing is found and named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from purport import Bundle, Classifier
from purport.bundle import MANIFEST, commit, locate, shipped, staging
from purport.destination import Destination
from purport.errors import BundleCorrupt, BundleError, BundleNotFound, BundleUnsupported, OutputExists
from purport.manifest import FileEntry


def names(bundle: Bundle) -> list[str]:
    return [MANIFEST, *bundle.manifest.files]


@pytest.fixture(params=["linear_bundle", "encoder_bundle"])
def copy(request: pytest.FixtureRequest, tmp_path: Path) -> Bundle:
    bundle: Bundle = request.getfixturevalue(request.param)
    shutil.copytree(bundle.path, tmp_path / "copy")
    return Bundle.open(tmp_path / "copy")


def test_a_good_copy_opens_and_answers_alike(copy: Bundle) -> None:
    assert Classifier.open(copy).predict(["where is my parcel"])[0].bundle == copy.manifest.id


def test_a_missing_file_is_named(copy: Bundle) -> None:
    for name in names(copy):
        path = copy.path / name
        content = path.read_bytes()
        path.unlink()
        with pytest.raises(BundleError, match=name.replace(".", r"\.")):
            Bundle.open(copy.path)
        path.write_bytes(content)
    Bundle.open(copy.path)


def test_a_truncated_file_is_named(copy: Bundle) -> None:
    for name in names(copy):
        path = copy.path / name
        content = path.read_bytes()
        for length in {0, 1, len(content) // 2, len(content) - 1}:
            path.write_bytes(content[:length])
            with pytest.raises(BundleError, match=name.replace(".", r"\.")):
                Bundle.open(copy.path)
        path.write_bytes(content)
    Bundle.open(copy.path)


def test_a_flipped_bit_anywhere_is_named(copy: Bundle) -> None:
    for name in names(copy):
        path = copy.path / name
        content = path.read_bytes()
        step = max(1, len(content) // 40)
        for position in range(0, len(content), step):
            changed = bytearray(content)
            changed[position] ^= 1 << (position % 8)
            path.write_bytes(changed)
            with pytest.raises(BundleError):
                Bundle.open(copy.path)
        path.write_bytes(content)
    Bundle.open(copy.path)


def test_every_single_character_of_the_manifest_counts(linear_bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(linear_bundle.path, tmp_path / "copy")
    path = tmp_path / "copy" / MANIFEST
    content = path.read_bytes()
    for position in range(0, len(content), 7):
        path.write_bytes(content[:position] + b" " + content[position:])
        with pytest.raises(BundleError):
            Bundle.open(path.parent)


def test_a_manifest_cannot_name_a_file_outside(linear_bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(linear_bundle.path, tmp_path / "copy")
    entry = linear_bundle.manifest.files["README.md"]
    files = {**linear_bundle.manifest.files, "../outside": entry}
    forged = linear_bundle.manifest.model_copy(update={"files": files}).sealed()
    shutil.copy(linear_bundle.path / "README.md", tmp_path / "outside")
    (tmp_path / "copy" / MANIFEST).write_bytes(forged.to_bytes())
    with pytest.raises(BundleCorrupt, match="outside the bundle"):
        Bundle.open(tmp_path / "copy")


@pytest.mark.parametrize(("files", "size", "said"), [(5000, 1, "files"), (400, 2**31, "bytes")])
def test_more_than_a_bundle_may_have_is_refused_before_it_is_read(
    linear_bundle: Bundle, tmp_path: Path, files: int, size: int, said: str
) -> None:
    shutil.copytree(linear_bundle.path, tmp_path / "copy")
    entries = {f"big{number}": FileEntry(size=size, sha256="0" * 64) for number in range(files)}
    manifest = linear_bundle.manifest.model_copy(update={"files": {**linear_bundle.manifest.files, **entries}})
    (tmp_path / "copy" / MANIFEST).write_bytes(manifest.sealed().to_bytes())
    with pytest.raises(BundleCorrupt, match=f"{said}; a bundle has at most"):
        Bundle.open(tmp_path / "copy")


def test_another_format_version_says_so(linear_bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(linear_bundle.path, tmp_path / "copy")
    path = tmp_path / "copy" / MANIFEST
    fields = json.loads(path.read_text("utf-8")) | {"format_version": 99}
    path.write_text(json.dumps(fields), "utf-8")
    with pytest.raises(BundleUnsupported, match="format 99; this version of purport reads formats 1"):
        Bundle.open(path.parent)


def test_an_unknown_opener_says_so(linear_bundle: Bundle) -> None:
    odd = Bundle(linear_bundle.path, linear_bundle.manifest.model_copy(update={"opener": "linaer"}))
    with pytest.raises(BundleUnsupported, match='Did you mean "linear"'):
        Classifier.open(odd)


def test_no_bundle_of_that_name(tmp_path: Path) -> None:
    with pytest.raises(BundleNotFound, match='Did you mean "atis"'):
        locate("atsi")
    (tmp_path / "file").touch()
    with pytest.raises(BundleNotFound, match="is a file"):
        locate(tmp_path / "file")
    with pytest.raises(BundleCorrupt, match=r"manifest\.json is missing"):
        Bundle.open(tmp_path)


def test_the_shipped_bundle_opens_by_name() -> None:
    assert "atis" in shipped()
    assert Bundle.open("atis").manifest.task == "multilabel"


def test_saving_is_whole_or_not_at_all(linear_bundle: Bundle, tmp_path: Path) -> None:
    target, work = tmp_path / "new", tmp_path / "work"
    with pytest.raises(KeyboardInterrupt), staging(work) as stage:
        (stage / "half").write_text("written")
        raise KeyboardInterrupt
    assert list(work.iterdir()) == []
    with staging(work) as stage:
        (stage / "part").write_text("content")
        saved = commit(stage, target, linear_bundle.manifest)
    assert list(work.iterdir()) == []
    assert Bundle.open(target) == saved and set(saved.manifest.files) == {"part"}


def test_only_a_bundle_is_overwritten_and_only_where_asked(linear_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "letter").write_text("dear")
    with pytest.raises(OutputExists, match="it is not a bundle"):
        Destination.of(tmp_path / "precious").require_free(overwrite=True)
    old, work = tmp_path / "old", tmp_path / "work"
    shutil.copytree(linear_bundle.path, old)
    with staging(work) as stage:
        (stage / "part").write_text("content")
        with pytest.raises(OutputExists, match="--overwrite"):
            commit(stage, old, linear_bundle.manifest)
        assert Bundle.open(old).manifest == linear_bundle.manifest
        commit(stage, old, linear_bundle.manifest, overwrite=True)
    assert set(Bundle.open(old).manifest.files) == {"part"} and list(work.iterdir()) == []


def test_a_directory_of_the_same_name_does_not_hide_the_shipped_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "atis").mkdir()
    monkeypatch.chdir(tmp_path)
    assert locate("atis") == shipped()["atis"]
    with pytest.raises(BundleCorrupt, match="manifest"):
        Bundle.open(tmp_path / "atis")
