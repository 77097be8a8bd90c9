"""The table that somebody gave a page, with what was labelled."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ..data.hints import Hints
from ..data.spec import DataSpec
from ..errors import BodyInvalid, DataError, OutputExists
from .encodings import encoding_of
from .forms import File
from .gathering import labelled
from .ledger import Ledger
from .merging import merge_for
from .remedies import said_on_page


def merged(ledger: Ledger, file: File, encoding: str | None = None) -> bytes:
    """The table in ``file``, read in ``encoding`` or as the queue remembers, with what was labelled.

    Raises:
        EncodingUnclear: the person must say in which encoding it is.
        BodyInvalid: it cannot be read, or nothing is labelled yet.
    """
    hints = Hints.again(ledger.about)
    with tempfile.TemporaryDirectory(prefix="purport-") as work:
        suffix = "".join(Path(file.name).suffixes[-1:]).lower()
        path, target = Path(work, f"table{suffix}"), Path(work, f"merged{suffix}")
        path.write_bytes(file.content)
        try:
            encoding = encoding_of(path, file.name, hints, encoding)
            named = DataSpec(name=file.name, unlabelled="out_of_scope", encoding=encoding)
            merge_for(hints, labelled(ledger.path), path, named, target, lambda said: None)
        except (DataError, OutputExists) as error:
            raise BodyInvalid(said_on_page(str(error).replace(str(path), file.name), file.name)) from None
        return target.read_bytes()
