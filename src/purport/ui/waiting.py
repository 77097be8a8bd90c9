"""Files that wait until the person who sent them has said in which encoding they are."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from fastapi import Response

from ..serving.access import Principal
from .encodings import EncodingUnclear, chosen

_MOST = 8
Work = Callable[[str | None], Awaitable[Response]]
"""Reads a file in an encoding, and answers."""


class _Asked(NamedTuple):
    address: str
    problem: EncodingUnclear
    work: Work


class Waiting:
    """The last file of each of a few people, until it is read or another one comes."""

    def __init__(self) -> None:
        self._all: OrderedDict[str, _Asked] = OrderedDict()

    async def begin(self, principal: Principal, address: str, work: Work) -> Response:
        """What ``work`` answers if nobody must be asked; otherwise it waits under ``address``.

        Raises:
            EncodingUnclear: the person must choose.
        """
        self._all.pop(principal.id, None)
        try:
            return await work(None)
        except EncodingUnclear as problem:
            self._all[principal.id] = _Asked(address, problem, work)
            while len(self._all) > _MOST:
                self._all.popitem(last=False)
            raise

    async def again(self, principal: Principal, address: str, encoding: str) -> Response:
        """What the work that waits under ``address`` answers in the ``encoding`` that the person has chosen.

        Raises:
            OptionInvalid: nothing waits there, or not for this choice.
        """
        asked = self._all.get(principal.id)
        encoding = chosen(asked.problem if asked and asked.address == address else None, encoding)
        assert asked is not None, "it has a problem"
        del self._all[principal.id]
        return await asked.work(encoding)
