"""What requests may cost and have cost. Money is counted in whole picodollars, so that no cent is lost in rounding."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import NamedTuple

from ...errors import BudgetSpent
from ...model import Usage
from .provider import Reply, Request
from .recipe import BudgetSpec

_PICO = 10**12
_AROUND = 256  # tokens that a service may put around the messages of a request


class Amount(NamedTuple):
    """Tokens and picodollars."""

    tokens: int = 0
    money: int = 0

    def __add__(self, other: object) -> Amount:
        assert isinstance(other, Amount), "amounts are added to amounts"
        return Amount(self.tokens + other.tokens, self.money + other.money)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.tokens - other.tokens, self.money - other.money)

    def __mul__(self, times: object) -> Amount:
        assert isinstance(times, int), "amounts are multiplied by whole numbers"
        return Amount(self.tokens * times, self.money * times)


class Budget:
    """Holds back the most that a request can cost while it runs. To be used in one event loop.

    What is spent and what is held back together never pass the limits, whatever runs at the same time.
    """

    def __init__(self, spec: BudgetSpec, *, write_price: float = 1.0) -> None:
        self._spec = spec
        per_million = _PICO // 10**6
        self._input = round((spec.input_price or 0) * per_million)
        self._output = round((spec.output_price or 0) * per_million)
        cached = spec.input_price if spec.cached_price is None else spec.cached_price
        self._cached = round((cached or 0) * per_million)
        self._written = round(self._input * write_price)
        self._most = Amount(spec.tokens or 0, round((spec.usd or 0) * _PICO))
        self._spent = self._held = Amount()
        self._released = asyncio.Condition()
        self.usage = Usage()

    def bound(self, request: Request) -> Amount:
        """The most that one attempt can take: no tokenizer makes more tokens than there are bytes."""
        given = len(request.given.encode("utf-8", "replace")) + _AROUND
        dearest = max(self._input, self._cached, self._written)
        return Amount(given + request.max_tokens, given * dearest + request.max_tokens * self._output)

    async def hold(self, amount: Amount) -> None:
        """Hold ``amount`` back, as soon as what other requests hold leaves room for it.

        Raises:
            BudgetSpent: it is more than is left.
        """
        async with self._released:
            while not self._fits(self._spent + self._held + amount):
                if not self._fits(self._spent + amount):
                    raise BudgetSpent(self._told(amount))
                await self._released.wait()
            self._held += amount

    async def settle(self, held: Amount, one: Amount, reply: Reply | None, lost: int) -> None:
        """Release what was ``held`` and count what the ``reply`` took.

        An attempt without any response counts as ``one``, the most that it can have taken: it may have been billed.
        """
        spent = one * lost + (Amount() if reply is None else self._taken(reply, one))
        async with self._released:
            self._held -= held
            self._spent += spent
            self._count(reply, lost, spent)
            self._released.notify_all()

    def known(self, request: Request, reply: Reply) -> None:
        """Count a ``reply`` that was in the cache, and cost nothing now."""
        price = self._taken(reply, self.bound(request)).money / _PICO
        self.counted(from_cache=1, seconds=reply.seconds, price=price)

    def counted(self, **more: float) -> None:
        """Count what happened besides requests."""
        self.usage = replace(self.usage, **{name: getattr(self.usage, name) + by for name, by in more.items()})

    def _fits(self, amount: Amount) -> bool:
        spec = self._spec
        money = spec.usd is None or amount.money <= self._most.money
        return money and (spec.tokens is None or amount.tokens <= self._most.tokens)

    def _taken(self, reply: Reply, one: Amount) -> Amount:
        if reply.input_tokens is None or reply.output_tokens is None:
            return one
        cached = min(reply.cached_tokens, reply.input_tokens)
        written = min(reply.written_tokens, reply.input_tokens - cached)
        money = (reply.input_tokens - cached - written) * self._input + cached * self._cached + written * self._written
        return Amount(reply.input_tokens + reply.output_tokens, money + reply.output_tokens * self._output)

    def _count(self, reply: Reply | None, lost: int, spent: Amount) -> None:
        usage, answered = self.usage, reply is not None
        self.usage = replace(
            usage,
            requests=usage.requests + lost + answered,
            input_tokens=usage.input_tokens + ((reply.input_tokens or 0) if reply else 0),
            cached_tokens=usage.cached_tokens + (reply.cached_tokens if reply else 0),
            output_tokens=usage.output_tokens + ((reply.output_tokens or 0) if reply else 0),
            seconds=usage.seconds + (reply.seconds if reply else 0),
            usd=self._spent.money / _PICO,
            price=usage.price + spent.money / _PICO,
        )

    def _told(self, amount: Amount) -> str:
        spec, left = self._spec, self._most - self._spent
        parts = []
        if spec.usd is not None:
            parts.append(f"{left.money / _PICO:.4f} of {spec.usd:g} US dollars are left, the next request could cost "
                         f"{amount.money / _PICO:.4f}")  # fmt: skip
        if spec.tokens is not None:
            parts.append(f"{left.tokens:,} of {spec.tokens:,} tokens are left, the next request could take "
                         f"{amount.tokens:,}")  # fmt: skip
        return (
            f"the budget of this run does not allow another request: {'; '.join(parts)}. Raise budget.usd or "
            "budget.tokens; what was answered so far is in the cache and costs nothing again"
        )
