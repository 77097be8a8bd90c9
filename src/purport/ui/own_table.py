"""The table that somebody gave a page, with what was labelled."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ..data.spec import DataSpec
from ..errors import BodyInvalid, DataError, OutputExists
from ..labels import Task
from ..wording import sentence
from .forms import File
from .gathering import labelled
from .ledger import Ledger
from .merging import merge


def merged(ledger: Ledger, file: File) -> bytes:
    """The table in ``file`` with what was labelled.

    Raises:
        BodyInvalid: it cannot be read, or nothing is labelled yet.
    """
    spec = DataSpec(name=file.name, unlabelled="out_of_scope")
    with tempfile.TemporaryDirectory(prefix="purport-") as work:
        suffix = "".join(Path(file.name).suffixes[-1:]).lower()
        path, target = Path(work, f"table{suffix}"), Path(work, f"merged{suffix}")
        path.write_bytes(file.content)
        try:
            merge(labelled(ledger.path), path, spec.reading(Task.MULTILABEL), target)
        except (DataError, OutputExists) as error:
            raise BodyInvalid(sentence(str(error).replace(str(path), file.name).rstrip("."))) from None
        return target.read_bytes()
