"""Batches: requests that a service answers within a day, for less money. One that has begun is asked for again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from ...errors import ProviderError
from ...progress import Line, Progress, Reporter
from ...spending import Amount
from ...wording import count
from .budget import Budget
from .provider import Batches, Reply, Request
from .replies import ReplyCache, Running

_MOST_REQUESTS, _MOST_BYTES = 50_000, 100_000_000  # in a batch: what OpenAI allows, and half of it
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0

Paid = dict[str, tuple[Reply, Amount]]
"""Replies by the checksum of their request, and what each took."""


class Batcher:
    """Sends batches and collects their replies, which go into the cache. Each reply is counted once, by who took it."""

    def __init__(
        self, cache: ReplyCache, budget: Budget, provider: Callable[[], AbstractContextManager[Any]], reporter: Reporter
    ) -> None:
        self._cache, self._budget, self._provider, self._reporter = cache, budget, provider, reporter
        self._held = Amount()

    async def collected(self, wanted: Mapping[str, Request]) -> Paid:
        """The replies of all running batches that have one of the ``wanted`` requests, as soon as they have ended.

        Raises:
            ProviderError: the service does not answer, or refuses a batch as a whole.
        """
        found: Paid = {}
        for batch in self._cache.running():
            if wanted.keys() & batch.bounds.keys():
                found |= await self._one(batch)
        return found

    async def send(self, wanted: Mapping[str, Request]) -> None:
        """Send ``wanted`` as batches that are running from then on. All that they can cost is held back before.

        Raises:
            BudgetSpent: it is more than is left.
            ProviderError: the service does not take it.
        """
        bounds = {name: self._budget.bound(request, batch=True) for name, request in wanted.items()}
        self._held = sum(bounds.values(), Amount())
        await self._budget.hold(self._held, f"batch of {count(len(wanted), 'request')}")
        try:
            for names in _parts(wanted):
                with self._provider() as provider:
                    batch = await _of(provider).send({name: wanted[name] for name in names})
                self._cache.begun(Running(batch, {name: bounds[name] for name in names}, time.time()))
                self._reporter.emit(Line(f"sent as a batch, {batch}: {count(len(names), 'request')}; if you stop the "
                                         "command, the same command asks for the results"))  # fmt: skip
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Release what was held back: the batches have ended and are counted, or this process stops waiting."""
        self._budget.release(self._held)
        self._held = Amount()

    async def _one(self, batch: Running) -> Paid:
        pause = _FIRST_PAUSE_S
        while True:
            with self._provider() as provider:
                state = await _of(provider).state(batch.id)
                waited = f"requests, {(time.time() - batch.began) / 60:.0f} min"
                self._reporter.emit(Progress(f"batch {batch.id}", state.done, len(batch.bounds), waited))
                if state.failure:
                    self._cache.ended(batch.id, {})
                    raise ProviderError(
                        f"the service refuses the batch {batch.id} ({state.failure}); nothing was answered. Correct "
                        "that, or leave out --batch"
                    )
                if state.ended:
                    replies = await _of(provider).replies(batch.id)
                    break
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
        none = Reply("", refused="the batch has no result for it", input_tokens=0, output_tokens=0, batch=True)
        given = {name: replies.get(name, none) for name in batch.bounds}
        if not self._cache.ended(batch.id, {name: each for name, each in given.items() if not each.refused}):
            return {}  # another process has taken and counted them
        self._say_failed([each.refused for each in given.values() if each.refused], len(given))
        return {
            name: (each, self._budget.settle(Amount(), batch.bounds[name], each, 0)) for name, each in given.items()
        }

    def _say_failed(self, reasons: list[str], n: int) -> None:
        if reasons:
            said = f"{len(reasons):,} of {count(n, 'request')} of the batch failed and have no reply ({reasons[0]}); "
            self._reporter.emit(Line(f"{said}the same command asks these again"))


def _of(provider: Any) -> Batches:
    """``provider``, whose abilities say that it takes batches."""
    found: Batches = provider
    return found


def _parts(wanted: Mapping[str, Request]) -> Iterator[list[str]]:
    """The names of the requests of each batch."""
    part: list[str] = []
    size = 0
    for name, request in wanted.items():
        own = 2 * len(request.given.encode("utf-8", "replace"))  # escaped, in a line of JSON
        if part and (len(part) == _MOST_REQUESTS or size + own > _MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(name)
        size += own
    if part:
        yield part
