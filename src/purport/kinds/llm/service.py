"""Asks a provider: from the cache if it can, within the budget, so many requests at a time, in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

from ...errors import BudgetSpent, ProviderError
from ...model import Usage
from ...progress import Reporter
from ...spending import Amount
from .batcher import Batcher
from .budget import PICO, Budget
from .parsing import chosen
from .prompt import repaired
from .provider import LAST_ATTEMPTS, Provider, Reply, Request, Unanswered
from .recipe import BudgetSpec, Service
from .replies import ReplyCache

ResultT = TypeVar("ResultT")
_OF_ONE = 8  # requests of a provider at once


@dataclass(frozen=True)
class Answer:
    """A usable ``reply``, and the answers that it holds; one of a service that decides has probabilities instead."""

    reply: Reply
    chosen: tuple[str, ...]


class Asked(NamedTuple):
    """The ``answer`` to a request, if there is a usable one, and the tokens and US dollars that it took."""

    answer: Answer | None
    cost: tuple[float, float]


class Asker:
    """Answers to requests. Safe to use from several threads: everything happens in one event loop.

    In a server, all workers pay what they ask for the same ``account`` from one budget.
    """

    def __init__(self, service: Service, budget: BudgetSpec, account: str = "") -> None:
        provider_type = service.provider()
        self._service = service
        self._providers = _Providers(
            lambda: provider_type(service.endpoint(provider_type, _key(service, provider_type)))
        )
        self._loop = _Loop()
        self._gate = asyncio.Semaphore(service.concurrency)
        self._budget = Budget(budget, write_price=provider_type.abilities.write_price, account=account)
        endpoint = service.endpoint(provider_type, "")
        identity = {"name": service.name, "model": endpoint.model, "url": endpoint.base_url, "options": service.options}
        self._cache = ReplyCache(identity) if service.cache else None
        self._batched: dict[Request, tuple[Reply, Amount]] = {}
        # What was answered of calls that are under way, or broke off: it was counted, and is not asked again.
        self._under_way: dict[Request, tuple[Answer | None, Amount]] = {}
        self._calls = 0

    @property
    def usage(self) -> Usage:
        """What was asked so far."""
        return self._budget.usage

    def ask(self, requests: Sequence[Request]) -> list[Asked]:
        """The answer to each of ``requests``; none where two replies were none, or the service refuses.

        The same request is asked once, and its cost divided. Where the service fails, requests that have begun are
        finished, so that their replies are in the cache.

        Raises:
            ProviderError: the service fails, or has no key.
            BudgetSpent: a request could cost more than is left.
        """
        return self._loop.run(self._all(requests))

    def has(self, request: Request) -> bool:
        """Whether the answer to ``request`` is there already, so that asking for it costs nothing."""
        return request in self._under_way or self._known(request) is not None

    def batch(self, requests: Sequence[Request], reporter: Reporter) -> None:
        """Ask ``requests`` in batches of the service, and wait for the replies; :meth:`ask` then has them.

        Batches that are running and have some of them are not sent again. Whoever is interrupted while a batch is being
        sent waits until that is done.

        Raises:
            ProviderError: the service takes no batches, or fails.
            BudgetSpent: the batch could cost more than is left; it is not sent.
        """
        if not self._service.provider().abilities.batches:
            raise ProviderError(
                f"the provider {self._service.name} takes no batches; leave out --batch to ask one by one"
            )
        if self._cache is None:
            raise ProviderError("replies of a batch are kept in the cache of replies, which provider.cache = false "
                                "turns off; leave out --batch, or train the bundle with the cache")  # fmt: skip
        self._cache.require()
        wanted = {self._cache.key(each): each for each in dict.fromkeys(requests) if self._known(each) is None}
        batcher = Batcher(self._cache, self._budget, self._providers.one, reporter)
        found = self._loop.run(batcher.collected(wanted))
        # Another process may have taken some of them.
        if rest := {name: each for name, each in wanted.items() if name not in found and self._known(each) is None}:
            self._loop.run(batcher.send(rest), to_the_end=True)
            try:
                found |= self._loop.run(batcher.collected(rest))
            finally:
                batcher.release()
        self._batched |= {wanted[name]: paid for name, paid in found.items() if name in wanted}

    async def _all(self, requests: Sequence[Request]) -> list[Asked]:
        times, failed = Counter(requests), asyncio.Event()
        if not self._calls:  # what is left of calls that broke off is only for those that come back
            self._under_way = {each: found for each, found in self._under_way.items() if each in times}
        self._calls += 1
        try:
            found = await asyncio.gather(*(self._one(each, failed) for each in times), return_exceptions=True)
        finally:
            self._calls -= 1
        # The first that failed has the reason; later ones may not have begun.
        for each in found:
            if isinstance(each, BaseException) and not isinstance(each, _NotBegun):
                raise self._told(each)
        for request in times:
            self._under_way.pop(request, None)
        answers = {request: Asked(each[0], _shared(each[1], times[request]))
                   for request, each in zip(times, found, strict=True)
                   if not isinstance(each, BaseException)}  # fmt: skip
        return [answers[request] for request in requests]

    def _told(self, error: BaseException) -> BaseException:
        """``error``, which says so if what was answered before it is kept."""
        if isinstance(error, BudgetSpent | ProviderError) and self._cache is not None and self._budget.usage.seconds:
            error.args = (f"{error}. What was answered so far is in the cache and costs nothing again",)
        return error

    async def _one(self, request: Request, failed: asyncio.Event) -> tuple[Answer | None, Amount]:
        if (there := self._under_way.get(request)) is not None:
            return there
        self._under_way[request] = found = await self._asked(request, failed)
        return found

    async def _asked(self, request: Request, failed: asyncio.Event) -> tuple[Answer | None, Amount]:
        batched = self._batched.get(request)
        if batched is not None and not batched[0].refused:  # it is counted; a second time it is from the cache
            del self._batched[request]
        known = None if batched else self._known(request)
        if known is not None:
            return known, self._budget.known(request, known.reply)
        async with self._gate:
            if failed.is_set():
                raise _NotBegun
            try:
                with self._providers.one() as provider:
                    return await self._answered(request, provider, batched)
            except BaseException:
                failed.set()
                raise

    def _known(self, request: Request) -> Answer | None:
        """The answer to ``request``, or to its repair, if it was asked before."""
        if self._cache is None:
            return None
        for each in (request, repaired(request)):
            reply = self._cache.get(each)
            if reply is not None and (answer := _answer(each, reply)) is not None:
                return answer
        return None

    async def _answered(
        self, request: Request, provider: Provider, batched: tuple[Reply, Amount] | None
    ) -> tuple[Answer | None, Amount]:
        reply, taken = batched or await self._reply(request, provider)
        answer = _answer(request, reply)
        if answer is None and not reply.refused:
            self._budget.counted(repaired=1)
            request = repaired(request)
            reply, more = await self._reply(request, provider)
            answer, taken = _answer(request, reply), taken + more
            batched = None
        if answer is not None and self._cache is not None and batched is None:
            self._cache.put(request, reply)
        return answer, taken

    async def _reply(self, request: Request, provider: Provider) -> tuple[Reply, Amount]:
        """One request, with its retries, paid from the budget; and what it took."""
        one = self._budget.bound(request)
        held = one * (1 + self._service.retries)
        await self._budget.hold(held)
        began = time.perf_counter()
        LAST_ATTEMPTS.set(None)
        try:
            reply = await provider.complete(request)
        except BaseException as error:
            lost = self._lost(error)
            self._budget.settle(held, one, None, lost)
            raise
        reply = replace(reply, seconds=round(time.perf_counter() - began, 4))
        return reply, self._budget.settle(held, one, reply, reply.lost)

    def _lost(self, error: BaseException) -> int:
        """The attempts without a response of a call that ended with ``error``; all there may be, if nothing says."""
        if isinstance(error, Unanswered):
            return error.lost
        attempts = LAST_ATTEMPTS.get()
        return attempts.lost if attempts is not None else 1 + self._service.retries

    def unanswered(self, texts: int) -> None:
        """Count texts that have no answer."""
        self._loop.call(lambda: self._budget.counted(unanswered=texts))


class _Providers:
    """As many providers as are needed: the vendors' clients look at all their connections for each request."""

    def __init__(self, make: Callable[[], Provider]) -> None:
        self._make = make
        self._requests: dict[Provider, int] = {}

    @contextmanager
    def one(self) -> Iterator[Provider]:
        """The first that has few requests, so that one after another they use the same connection."""
        provider = next((each for each, requests in self._requests.items() if requests < _OF_ONE), None) or self._make()
        self._requests[provider] = self._requests.get(provider, 0) + 1
        try:
            yield provider
        finally:
            self._requests[provider] -= 1


class _NotBegun(Exception):
    """A request that was not made, because another one had failed."""


def _shared(taken: Amount, times: int) -> tuple[float, float]:
    return taken.tokens / times, taken.money / PICO / times


def _answer(request: Request, reply: Reply) -> Answer | None:
    if request.criteria:
        usable = not reply.refused and len(reply.probabilities) == len(request.labels)
        return Answer(reply, ()) if usable else None
    found = None if reply.refused else chosen(reply.text, request.labels, several=request.several)
    return None if found is None else Answer(reply, found)


def _key(service: Service, provider: type[Provider]) -> str:
    """The key from the environment; it goes nowhere but into the client.

    Raises:
        ProviderError: the variable is not set.
    """
    name = service.key_name(provider)
    key = os.environ.get(name, "").strip() if name else ""
    if name and not key:
        raise ProviderError(
            f"the provider {service.name} needs a key: set the environment variable {name}, or name another one with "
            'provider.key ("" if the service needs none)'
        )
    return key


class _Loop:
    """An event loop in a daemon thread, which starts when it is needed, and ends when nobody can need it any more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, work: Coroutine[Any, Any, ResultT], *, to_the_end: bool = False) -> ResultT:
        """The result of ``work``; if waiting is interrupted, the work is cancelled, or it is done ``to_the_end``."""
        future = asyncio.run_coroutine_threadsafe(work, self._started())
        try:
            return future.result()
        except BaseException:
            if to_the_end:
                future.exception()
            future.cancel()
            raise

    def call(self, work: Callable[[], None]) -> None:
        """Have ``work`` done in the loop, and wait until it is."""

        async def done() -> None:
            work()

        self.run(done())

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = loop = _new_loop()
                threading.Thread(target=_run, args=(loop,), name="purport-llm", daemon=True).start()
                weakref.finalize(self, loop.call_soon_threadsafe, loop.stop).atexit = False
            return self._loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
