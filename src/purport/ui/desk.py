"""The directory with the review queues and fix plans that people work on, and who may see which."""

from __future__ import annotations

import os
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from ..doctor.plan import is_plan
from ..errors import Forbidden, OptionInvalid, Overloaded, PathUnknown, QueueInvalid
from ..serving.access import Principal
from ..settings import ServerSettings
from .blocking import blocking
from .ledger import Ledger

SUFFIX = ".db"
_MOST_OF_ONE, _MOST_SHOWN, _MOST_IN_ALL = 50, 100, 4096
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}")


class Head(NamedTuple):
    """What never changes of a ledger: its kind, whose it is (``None``: everybody's), and when it was made."""

    kind: Any
    owner: Any
    created: str


Progress = Callable[[Ledger], Mapping[str, int]]
"""What a page says of how far a ledger is."""
Card = tuple[str, Mapping[str, Any], Mapping[str, int]]
"""Name, ``about`` and progress of a ledger in a list."""


class Desk:
    """All ledgers in one directory, which is made when the first is put there.

    A ledger that a person makes on a page is theirs: nobody with another key sees it. One that the operator puts into
    the directory (``purport review --out``) has no owner, and everybody who may see the pages works on it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._heads: OrderedDict[tuple[str, int], Head] = OrderedDict()

    @classmethod
    def of(cls, settings: ServerSettings) -> Desk:
        """The directory of the setting ``review_dir``, or else ``purport/review`` where the user's data lies."""
        if settings.review_dir:
            return cls(Path(settings.review_dir))
        data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
        return cls(Path(data) / "purport" / "review")

    async def all(self, kind: str, principal: Principal, progress: Progress) -> list[Card]:
        """The newest ledgers of one ``kind`` that ``principal`` may see, at most 100, the newest first."""
        return await blocking(self._all, kind, principal, progress)

    async def get(self, kind: str, name: str, principal: Principal) -> Ledger:
        """The ledger of that name.

        Raises:
            PathUnknown: there is none, or it is somebody else's: which of both is not told.
            Overloaded: somebody has locked it.
        """
        return await blocking(self._get, kind, name, principal)

    def _all(self, kind: str, principal: Principal, progress: Progress) -> list[Card]:
        found = []
        for path in islice(self.directory.glob(f"*{SUFFIX}"), _MOST_IN_ALL) if self.directory.is_dir() else ():
            head = self._head(path)
            if head is not None and head.kind == kind and _may_see(head, principal):
                found.append((head.created, path))
        newest = sorted(found, key=lambda each: each[0], reverse=True)[:_MOST_SHOWN]
        cards: list[Card] = []
        for _, path in newest:
            with suppress(QueueInvalid, Overloaded):  # damaged, locked or gone meanwhile
                ledger = Ledger(path)
                if ledger.kind == kind and _may_see(Head(kind, ledger.owner, ""), principal):
                    cards.append((name_of(ledger), ledger.about, progress(ledger)))
        return cards

    def _get(self, kind: str, name: str, principal: Principal) -> Ledger:
        if _NAME.fullmatch(name):
            path = self.directory / f"{name}{SUFFIX}"
            with suppress(QueueInvalid):
                ledger = Ledger(path)
                if ledger.kind == kind and _may_see(Head(ledger.kind, ledger.owner, ""), principal):
                    _ = ledger.about  # read here, in the thread
                    return ledger
        raise PathUnknown("There is nothing under this address. It was deleted, or it belongs to another key.")

    def plans(self) -> list[Path]:
        """The fix plans (``purport doctor --fix-plan``) that the operator put into the directory, not opened yet."""
        found = []
        for path in sorted(self.directory.glob("*.csv")) if self.directory.is_dir() else ():
            if _NAME.fullmatch(path.stem) and not path.with_suffix(SUFFIX).exists() and is_plan(path):
                found.append(path)
        return found

    def _head(self, path: Path) -> Head | None:
        """Kind, owner and age of the ledger at ``path``, which never change; ``None`` for what is none."""
        try:
            status = path.stat()
            key = (path.name, status.st_ino)
            if key not in self._heads:
                ledger = Ledger(path)
                self._heads[key] = Head(ledger.kind, ledger.owner, str(ledger.created or ""))
                while len(self._heads) > _MOST_IN_ALL:
                    self._heads.popitem(last=False)
            return self._heads.get(key)
        except (QueueInvalid, Overloaded, OSError):
            return None

    async def delete(self, ledger: Ledger) -> None:
        """Delete ``ledger`` for good.

        Raises:
            Forbidden: the operator put it there, for everybody.
        """
        if ledger.owner is None:
            raise Forbidden("This list is for everybody, so that only the operator can delete it, on the server.")
        await blocking(ledger.path.unlink, missing_ok=True)

    async def new(self, kind: str, title: str, principal: Principal) -> Path:
        """The path for a new ledger: readable, and not to be guessed.

        Raises:
            OptionInvalid: ``principal`` or the server has too many of them.
        """
        await blocking(self._require_room, kind, principal)
        plain = re.sub(r"[^A-Za-z0-9]+", "-", title).strip("-").lower()[:32] or "queue"
        return self.directory / f"{plain}-{secrets.token_hex(4)}{SUFFIX}"

    def _require_room(self, kind: str, principal: Principal) -> None:
        paths = list(islice(self.directory.glob(f"*{SUFFIX}"), _MOST_IN_ALL)) if self.directory.is_dir() else []
        heads = [head for head in map(self._head, paths) if head is not None]
        if sum(head.kind == kind and head.owner == principal.id for head in heads) >= _MOST_OF_ONE:
            raise OptionInvalid(f"You have {_MOST_OF_ONE} of these lists. Delete one that is done, then try again.")
        if len(paths) >= _MOST_IN_ALL:
            raise OptionInvalid("The server has no room for another list. Ask its operator to delete old ones.")


def name_of(ledger: Ledger) -> str:
    """The name of ``ledger`` in addresses."""
    return ledger.path.stem


def _may_see(head: Head, principal: Principal) -> bool:
    return head.owner in (None, principal.id)
