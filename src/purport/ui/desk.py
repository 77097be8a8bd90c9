"""The directory with the review queues and fix plans that people work on, and who may see which."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from ..doctor.plan import is_plan
from ..errors import PathUnknown, QueueInvalid
from ..serving.access import Principal
from ..settings import ServerSettings
from .ledger import Ledger

SUFFIX = ".db"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}")


class Desk:
    """All ledgers in one directory, which is made when the first is put there.

    A ledger that a person makes on a page is theirs: nobody with another key sees it. One that the operator puts into
    the directory (``purport review --out``) has no owner, and everybody who may see the pages works on it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @classmethod
    def of(cls, settings: ServerSettings) -> Desk:
        """The directory of the setting ``review_dir``, or else ``purport/review`` where the user's data lies."""
        if settings.review_dir:
            return cls(Path(settings.review_dir))
        data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
        return cls(Path(data) / "purport" / "review")

    def all(self, kind: str, principal: Principal) -> list[Ledger]:
        """The ledgers of one ``kind`` that ``principal`` may see, the newest first."""
        found = []
        for path in self.directory.glob(f"*{SUFFIX}") if self.directory.is_dir() else ():
            try:
                ledger = Ledger(path)
            except QueueInvalid:
                continue
            if ledger.about.get("kind") == kind and _may_see(ledger, principal):
                found.append(ledger)
        return sorted(found, key=lambda each: str(each.about.get("created", "")), reverse=True)

    def get(self, kind: str, name: str, principal: Principal) -> Ledger:
        """The ledger of that name.

        Raises:
            PathUnknown: there is none, or it is somebody else's: which of both is not told.
        """
        if _NAME.fullmatch(name):
            try:
                ledger = Ledger(self.directory / f"{name}{SUFFIX}")
                if ledger.about.get("kind") == kind and _may_see(ledger, principal):
                    return ledger
            except QueueInvalid:
                pass
        raise PathUnknown("There is nothing under this address. It was deleted, or it belongs to another key.")

    def plans(self) -> list[Path]:
        """The fix plans (``purport doctor --fix-plan``) that the operator put into the directory, not opened yet."""
        found = []
        for path in sorted(self.directory.glob("*.csv")) if self.directory.is_dir() else ():
            if _NAME.fullmatch(path.stem) and not path.with_suffix(SUFFIX).exists() and is_plan(path):
                found.append(path)
        return found

    def delete(self, ledger: Ledger) -> None:
        """Delete ``ledger`` for good."""
        ledger.path.unlink(missing_ok=True)

    def new(self, title: str) -> Path:
        """The path for a new ledger: readable, and not to be guessed."""
        plain = re.sub(r"[^A-Za-z0-9]+", "-", title).strip("-").lower()[:32] or "queue"
        return self.directory / f"{plain}-{secrets.token_hex(4)}{SUFFIX}"


def name_of(ledger: Ledger) -> str:
    """The name of ``ledger`` in addresses."""
    return ledger.path.stem


def _may_see(ledger: Ledger, principal: Principal) -> bool:
    return ledger.about.get("owner") in (None, principal.id)
