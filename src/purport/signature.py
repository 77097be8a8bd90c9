"""Signatures: who has made a bundle, where its checksums only say that it is whole.

A signature (Ed25519, RFC 8032) covers the bytes of ``manifest.json``, whose checksums cover every other file. It lies
beside the manifest as 64 bytes, so that any other program can check it, too.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .contents import LONGEST_MANIFEST, is_there, read_bytes
from .errors import BundleUnsigned, OutputExists, SettingsError
from .files import flush, require_parent, updating
from .optional import needs

SIGNATURE = "manifest.json.sig"
_SIGNED = "manifest.json"
_LONGEST = 64
_PUBLIC = ".pub"


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """The keys, 32 bytes each, by one of which a bundle must be signed."""

    keys: tuple[bytes, ...]

    @classmethod
    def read(cls, files: Sequence[str | os.PathLike[str]]) -> PublicKeys:
        """The keys in ``files`` (PEM, as ``purport sign --new-key`` and ``openssl`` write them).

        Raises:
            SettingsError: a file cannot be read, or is not such a key.
            DependencyMissing: the extra ``sign`` is not installed.
        """
        return cls(tuple(_raw(_key(file, private=False)) for file in files))

    @classmethod
    def of_text(cls, text: str) -> PublicKeys | None:
        """The keys that :meth:`to_text` has written; ``None`` for none."""
        return cls(tuple(bytes.fromhex(key) for key in text.split(","))) if text else None

    def to_text(self) -> str:
        """The keys as hexadecimal digits, for the command line of another process."""
        return ",".join(key.hex() for key in self.keys)

    def require(self, directory: Path, manifest: bytes) -> None:
        """Check that the bundle in ``directory``, whose manifest has these bytes, is signed by one of the keys.

        Raises:
            BundleUnsigned: it is not.
            BundleCorrupt: the signature is not a regular file, or too long.
        """
        with needs("signatures", "sign"):
            from cryptography.exceptions import InvalidSignature
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        if not is_there(directory, SIGNATURE):
            raise BundleUnsigned(
                f"{directory} has no signature ({SIGNATURE}), and one is required; sign it with `purport sign`"
            )
        signature = read_bytes(directory, SIGNATURE, _LONGEST)
        for key in self.keys:
            with suppress(InvalidSignature):
                Ed25519PublicKey.from_public_bytes(key).verify(signature, manifest)
                return
        raise BundleUnsigned(
            f"{directory}: {SIGNATURE} is not a signature of this bundle by a required key; sign it with `purport sign`"
        )


def sign(directory: Path, key_file: str | os.PathLike[str]) -> PublicKeys:
    """Sign the manifest in ``directory`` with the private key in ``key_file``; its public key.

    An older signature is replaced.

    Raises:
        SettingsError: the key cannot be used.
        BundleCorrupt: there is no manifest.
        DependencyMissing: the extra ``sign`` is not installed.
    """
    key = _key(key_file, private=True)
    signature = key.sign(read_bytes(directory, _SIGNED, LONGEST_MANIFEST))
    with updating(directory) as beside:  # never follows a link
        (beside / SIGNATURE).write_bytes(signature)
        flush(beside / SIGNATURE)
    return PublicKeys((_raw(key.public_key()),))


def new_key(file: Path) -> Path:
    """Write a new private key to ``file``, which only its owner can read, and its public key to ``file``.pub.

    Returns the path of the public key.

    Raises:
        OutputExists: one of the files is there.
        OutputUnwritable: their directory is not.
        DependencyMissing: the extra ``sign`` is not installed.
    """
    with needs("signatures", "sign"):
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    require_parent(file)
    key, public = Ed25519PrivateKey.generate(), file.with_name(file.name + _PUBLIC)
    for each in (file, public):
        if os.path.lexists(each):
            raise OutputExists(f"{each} already exists, and a key is never overwritten; choose another path")
    pem = serialization.Encoding.PEM
    written = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(file, 0o600, written)
    try:
        _write(public, 0o644, key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    except BaseException:
        file.unlink()
        raise
    return public


def _key(file: str | os.PathLike[str], *, private: bool) -> Any:
    with needs("signatures", "sign"):
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

    what = "private key (Ed25519, PEM, no password)" if private else "public key (Ed25519, PEM)"
    refused = SettingsError(f"{file} is not a {what}; `purport sign --new-key FILE` makes FILE and FILE{_PUBLIC}")
    try:
        raw = Path(file).read_bytes()
        key = load_pem_private_key(raw, None) if private else load_pem_public_key(raw)
    except OSError as error:
        raise SettingsError(f"the key {file} cannot be read ({error.strerror or error}); check the path") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: there is a password
        raise refused from None
    if not isinstance(key, Ed25519PrivateKey | Ed25519PublicKey):
        raise refused
    return key


def _raw(public: Any) -> bytes:
    return bytes(public.public_bytes_raw())


def _write(file: Path, mode: int, content: bytes) -> None:
    """Write a new file, completely or not at all."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        flush(file)
    except BaseException:
        file.unlink()
        raise
