"""Examples that a bundle was taught after its training: what is kept of them, in batches that can be undone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from pydantic import FailFast, Field

from .contents import is_there, loading, read_json
from .frozen import Frozen

TAUGHT_FILE = "taught.json"
_LONGEST = 2**24


class TaughtExample(Frozen):
    """A text that somebody taught, and its labels; without labels, no label applies to it."""

    text: str = Field(min_length=1)
    labels: Annotated[tuple[str, ...], FailFast()] = ()


class Batch(Frozen):
    """Examples that were taught together.

    Attributes:
        parent: id of the bundle that they were taught to.
        examples: in the order of the vectors in ``taught.npz``.
        new_labels: number of labels that were begun with them.
        in_scope_at: that of the parent's decision.
    """

    parent: str
    examples: Annotated[tuple[TaughtExample, ...], FailFast()] = Field(min_length=1)
    new_labels: int = Field(default=0, ge=0)
    in_scope_at: float = Field(default=0.0, ge=0, le=1)


class Taught(Frozen):
    """``taught.json``: all batches, the oldest first."""

    batches: Annotated[tuple[Batch, ...], FailFast()] = ()

    @property
    def examples(self) -> list[TaughtExample]:
        """The examples of all batches."""
        return [example for batch in self.batches for example in batch.examples]

    def with_batch(self, batch: Batch) -> Taught:
        """The same with one more batch."""
        return Taught(batches=(*self.batches, batch))

    def save(self, directory: Path) -> None:
        """Write the file that :meth:`load` reads."""
        (directory / TAUGHT_FILE).write_text(self.model_dump_json(indent=1) + "\n", "utf-8")

    @classmethod
    def load(cls, directory: Path) -> Taught:
        """What the bundle in ``directory`` was taught; no batches if nothing.

        Raises:
            BundleCorrupt: the file is not of this form.
        """
        if not is_there(directory, TAUGHT_FILE):
            return cls()
        fields = read_json(directory, TAUGHT_FILE, _LONGEST)
        with loading(directory, TAUGHT_FILE):
            return cls.model_validate_json(json.dumps(fields), strict=True)
