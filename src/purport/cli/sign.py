"""``purport sign``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def sign(
    bundle: Annotated[str | None, typer.Argument(help="Directory of the bundle to sign.")] = None,
    key: Annotated[Path | None, typer.Option("--key", "-k", help="File with the private key.")] = None,
    new_key: Annotated[
        Path | None,
        typer.Option("--new-key", help="Make a key pair: the private key here, the public one in FILE.pub."),
    ] = None,
) -> None:
    """Sign a bundle, so that servers that require it load no other (purport serve --require-signature).

    The signature (Ed25519) is one more file in the bundle's directory. Whatever changes the bundle, such as teaching,
    needs a new signature. Keep the private key away from the machines that serve.

    Examples:

        purport sign --new-key release.key

        purport sign bundles/mine --key release.key

        purport serve bundles/mine --require-signature release.key.pub
    """
    from ..bundle import Bundle, shipped
    from ..errors import FlagInvalid, OutputExists
    from ..signature import new_key as made
    from ..signature import sign as signed
    from .console import out

    if (bundle is None) != (key is None) or (bundle is None) == (new_key is None):
        raise FlagInvalid("pass either BUNDLE with --key FILE, or --new-key FILE")
    if new_key is not None:
        out.print(f"wrote {new_key}, the private key, which nobody else may have, and {made(new_key)}, the public key")
        return
    assert bundle is not None and key is not None, "checked above"
    opened = Bundle.open(bundle)
    if opened.path in shipped().values():
        raise OutputExists(f"{bundle} ships with the package and stays as it is; copy it, and sign the copy")
    # Opened again, so that what was signed is what was verified, whoever else writes there.
    again = Bundle.open(opened.path, signed_by=signed(opened.path, key))
    out.print(f"{again.path}: bundle {again.manifest.id} is signed")
