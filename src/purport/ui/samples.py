"""Texts to click for somebody who does not know what to type."""

from __future__ import annotations

import asyncio

from ..bundle import Bundle
from ..errors import BundleError
from ..runtime.memory import EXAMPLES_FILE, Memory
from ..serving.aside import aside

_MOST = 5
_SHORT, _LONG = 12, 90  # characters of a text that is good to click
_READ_S = 10.0
_KEPT = 64


class Samples:
    """The texts to click of each bundle: from its training texts, if it keeps them, and otherwise none.

    Texts of our own would be in another language, or about something else, than what the model was trained on.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, ...]] = {}
        self._turn = asyncio.Lock()

    async def of(self, bundle: Bundle) -> tuple[str, ...]:
        """A few texts with as many different labels, or none."""
        name = bundle.manifest.id
        if name not in self._known:
            async with self._turn:
                if name not in self._known:
                    self._known[name] = await _read(bundle)
                    while len(self._known) > _KEPT:
                        del self._known[next(iter(self._known))]
        return self._known[name]


async def _read(bundle: Bundle) -> tuple[str, ...]:
    if EXAMPLES_FILE not in bundle.manifest.files:
        return ()
    try:
        return await aside(lambda: _chosen(bundle), _READ_S)
    except (BundleError, OSError, TimeoutError):
        return ()


def _chosen(bundle: Bundle) -> tuple[str, ...]:
    """A text of each of the labels with the most examples, of a good length if there is one."""
    memory = Memory.load(bundle.path, len(bundle.manifest.labels))
    if memory is None or memory.texts is None:
        return ()
    members = [memory.members(label) for label in range(len(bundle.manifest.labels))]
    found: dict[str, None] = {}
    for rows in sorted(members, key=len, reverse=True):
        texts = [memory.texts[row] for row in rows[:200].tolist()]
        good = [text for text in texts if _SHORT <= len(text) <= _LONG and text not in found]
        if good:
            found[good[len(good) // 2]] = None
        if len(found) == _MOST:
            break
    return tuple(found)
