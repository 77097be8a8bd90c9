"""A signature says who made a bundle: no other bundle, no other manifest and no other key will do."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from purport import Bundle, Classifier
from purport.bundle import commit, staging
from purport.errors import BundleCorrupt, BundleUnsigned, OutputExists, SettingsError
from purport.signature import SIGNATURE, PublicKeys, new_key, sign

from .scripted_bundles import scripted


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return scripted(tmp_path / "bundle")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    new_key(tmp_path / "key")
    return tmp_path / "key"


@pytest.fixture
def keys(key: Path) -> PublicKeys:
    return PublicKeys.read([f"{key}.pub"])


def test_a_signed_bundle_opens_for_those_who_know_the_key(bundle: Bundle, key: Path, keys: PublicKeys) -> None:
    assert sign(bundle.path, key) == keys == PublicKeys.of_text(keys.to_text())
    assert Bundle.open(bundle.path, signed_by=keys) == bundle
    assert Bundle.open(bundle.path) == bundle, "who asks for no signature ignores it"
    assert Bundle.open(bundle.path).size == bundle.size and SIGNATURE not in bundle.manifest.files
    assert (bundle.path / SIGNATURE).stat().st_size == 64


def test_without_a_signature_it_does_not_open(bundle: Bundle, keys: PublicKeys) -> None:
    with pytest.raises(BundleUnsigned, match=r"has no signature \(manifest.json.sig\), and one is required"):
        Bundle.open(bundle.path, signed_by=keys)
    with pytest.raises(BundleUnsigned):
        Classifier.open(bundle.path, signed_by=keys)


@pytest.mark.parametrize("wrong", ["other key", "other bundle", "flipped", "short", "long", "empty", "link", "pipe"])
def test_another_signature_does_not_open_it(
    bundle: Bundle, key: Path, keys: PublicKeys, tmp_path: Path, wrong: str
) -> None:
    sign(bundle.path, key)
    good, file = (bundle.path / SIGNATURE).read_bytes(), bundle.path / SIGNATURE
    file.unlink()
    if wrong == "other key":
        new_key(tmp_path / "other")
        sign(bundle.path, tmp_path / "other")
    elif wrong == "other bundle":
        other = scripted(tmp_path / "other", "two")
        sign(other.path, key)
        shutil.copy(other.path / SIGNATURE, file)
    elif wrong == "link":
        (tmp_path / "good").write_bytes(good)
        file.symlink_to(tmp_path / "good")
    elif wrong == "pipe":
        os.mkfifo(file)
    else:
        changed = {"flipped": bytes([good[0] ^ 1]) + good[1:], "short": good[:-1], "long": good + b"x", "empty": b""}
        file.write_bytes(changed[wrong])
    with pytest.raises((BundleUnsigned, BundleCorrupt), match=SIGNATURE):
        Bundle.open(bundle.path, signed_by=keys)
    assert Bundle.open(bundle.path) == bundle


def test_what_is_signed_is_every_file(bundle: Bundle, key: Path, keys: PublicKeys) -> None:
    sign(bundle.path, key)
    (bundle.path / "README.md").write_text("own")
    with pytest.raises(BundleCorrupt, match=r"README\.md"):
        Bundle.open(bundle.path, signed_by=keys)
    scripted(bundle.path, "two")
    with pytest.raises(BundleUnsigned):
        Bundle.open(bundle.path, signed_by=keys)


def test_nothing_of_an_unsigned_bundle_is_looked_at(bundle: Bundle, keys: PublicKeys) -> None:
    (bundle.path / "manifest.json").write_text("{" * 100_000)
    with pytest.raises(BundleUnsigned):
        Bundle.open(bundle.path, signed_by=keys)


def test_one_of_several_keys_is_enough_so_that_keys_can_change(bundle: Bundle, key: Path, tmp_path: Path) -> None:
    new = new_key(tmp_path / "new")
    both = PublicKeys.read([new, f"{key}.pub"])
    for signer in (key, tmp_path / "new"):
        sign(bundle.path, signer)
        assert Bundle.open(bundle.path, signed_by=both) == bundle
        assert Bundle.open(bundle.path, signed_by=PublicKeys.of_text(both.to_text())) == bundle


def test_a_copy_that_is_changed_keeps_no_signature(bundle: Bundle, key: Path, tmp_path: Path) -> None:
    sign(bundle.path, key)
    with staging(tmp_path) as stage:
        shutil.copytree(bundle.path, stage, dirs_exist_ok=True)
        (stage / "more.txt").write_text("more")
        copy = commit(stage, tmp_path / "copy", bundle.manifest)
    assert not (copy.path / SIGNATURE).exists() and SIGNATURE not in copy.manifest.files


def test_signing_replaces_a_link_and_never_follows_it(
    bundle: Bundle, key: Path, keys: PublicKeys, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (bundle.path / SIGNATURE).symlink_to(victim)
    sign(bundle.path, key)
    assert victim.read_text() == "mine" and Bundle.open(bundle.path, signed_by=keys) == bundle
    assert [path.name for path in bundle.path.iterdir() if path.name.startswith(".")] == []


def test_a_private_key_is_for_its_owner_and_no_key_is_overwritten(key: Path, tmp_path: Path) -> None:
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_bytes()
    with pytest.raises(OutputExists, match="never overwritten"):
        new_key(key)
    (tmp_path / "half.pub").touch()
    with pytest.raises(OutputExists):
        new_key(tmp_path / "half")
    assert key.read_bytes() == before and not (tmp_path / "half").exists()


@pytest.mark.parametrize("content", ["", "nonsense", "private", "rsa", "missing"])
def test_what_is_no_public_key_is_said_to_be_none(key: Path, tmp_path: Path, content: str) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

    file = tmp_path / "wrong.pub"
    if content == "rsa":
        public = generate_private_key(65537, 2048).public_key()
        pem = serialization.Encoding.PEM
        file.write_bytes(public.public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    elif content != "missing":
        file.write_text(key.read_text() if content == "private" else content)
    with pytest.raises(SettingsError, match=r"wrong\.pub (is not a public key|cannot be read)"):
        PublicKeys.read([file])


def test_a_key_that_cannot_sign_is_said_to_be_none(bundle: Bundle, key: Path) -> None:
    with pytest.raises(SettingsError, match="is not a private key"):
        sign(bundle.path, f"{key}.pub")
    assert not (bundle.path / SIGNATURE).exists()
