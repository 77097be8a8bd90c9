"""Which directories a client may name: what lies elsewhere is refused for its name alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from purport.bundle import shipped
from purport.errors import Forbidden, SettingsError
from purport.serving.places import Places


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the server: two models, a link between them, and a secret next to it."""
    for name in ("here/models/one", "here/models/two", "here/named", "secret"):
        (tmp_path / name).mkdir(parents=True)
    here = tmp_path / "here"
    (here / "models" / "current").symlink_to("one")
    (here / "models" / "out").symlink_to(tmp_path / "secret")
    (here / "into").symlink_to(here / "models" / "one")
    monkeypatch.chdir(here)
    return here


def refusal(places: Places, ref: str) -> str:
    with pytest.raises(Forbidden) as refused:
        places.resolved(ref)
    return str(refused.value)


def test_what_is_below_the_directory_is_given_without_links(folder: Path) -> None:
    places = Places([], "models")
    one = folder / "models" / "one"
    for ref in ("models/one", "./models//one/", str(one), "models/current", "models/two/../one", one):
        assert places.resolved(ref) == one
    assert places.resolved("models/missing") == folder / "models" / "missing", "which is then not found"


def test_a_directory_that_is_a_link_itself_may_be_named_either_way(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mount").symlink_to(folder / "models")
    places = Places([], str(tmp_path / "mount"))
    for ref in (tmp_path / "mount" / "one", folder / "models" / "one"):
        assert places.resolved(ref) == folder / "models" / "one"


@pytest.mark.parametrize("models_dir", ["", "models"])
def test_the_same_is_said_of_what_is_there_and_of_what_is_not(
    folder: Path, models_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = Places(["named"], models_dir)
    outside = ["/", "/etc", "/nowhere", "..", "../secret", "../nothing", ".", "named/../../secret", "into", "modelsx",
               "models/../../secret", "models/missing/../../../secret", "named/below", "~", "x" * 5000, "nul\0byte",
               "\ud800", str(folder.parent / "secret")]  # fmt: skip
    told = {refusal(places, ref) for ref in outside}
    assert len(told) == 1
    (message,) = told
    assert "models_dir" in message and (str(folder / "models") if models_dir else "--models-dir") in message
    # Where nothing is asked of the disk, no time tells anything either.
    looked, lstat = [], os.lstat
    monkeypatch.setattr(os, "lstat", lambda path, **options: looked.append(str(path)) or lstat(path, **options))
    for ref in outside:
        refusal(places, ref)
    assert bool(looked) == bool(models_dir)
    assert not any("secret" in path or "nowhere" in path or path.endswith("into") for path in looked)


def test_a_link_that_leads_out_is_refused_as_if_it_were_outside(folder: Path) -> None:
    places = Places([], "models")
    assert refusal(places, "models/out") == refusal(places, "models/out/nothing") == refusal(places, "/nowhere")
    assert refusal(places, "models/nul\0byte") == refusal(places, "/nowhere")


def test_what_was_named_at_the_start_may_be_named_again_and_its_links_are_the_operators(folder: Path) -> None:
    places = Places(["into", folder / "named"])
    assert places.resolved("into") == folder / "into", "as it was named: a reload follows the link anew"
    assert places.resolved(folder / "into") == folder / "into" and places.resolved("named") == folder / "named"


def test_a_shipped_name_is_that_bundle_whatever_lies_in_the_working_directory(folder: Path) -> None:
    atis = shipped()["atis"]
    assert Places([]).resolved("atis") == atis
    (folder / "atis").mkdir()
    (folder / "atis" / "manifest.json").touch()
    assert Places([]).resolved("atis") == atis, "or the answer would tell that there is another"
    assert Places([], ".").resolved("atis") == folder / "atis", "as everywhere else, where it may be seen"
    assert Places(["atis"]).resolved("atis") == folder / "atis"


def test_a_directory_that_is_not_there_stops_the_start(folder: Path) -> None:
    with pytest.raises(SettingsError, match="models_dir: modles is not a directory"):
        Places([], "modles")


def test_a_named_directory_is_opened_as_it_is_spelt_and_tells_nothing_of_others(folder: Path, tmp_path: Path) -> None:
    """`named/link/../x` is `named/x`, wherever the link leads and whether or not there is one."""
    (folder / "named" / "link").symlink_to(tmp_path / "secret")
    places = Places([folder / "named" / "x"])
    for ref in ("named/link/../x", "named/missing/../x", f"/nowhere/..{folder}/named/x"):
        assert places.resolved(ref) == folder / "named" / "x"
