"""What requests may cost and have cost. Money is counted in whole picodollars, so that no cent is lost in rounding."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from math import ceil

from ...errors import BudgetSpent
from ...model import Usage
from ...spending import Amount, Spending, current
from .provider import Reply, Request
from .recipe import BudgetSpec

PICO = 10**12
"""Picodollars of a dollar."""
_AROUND = 256  # tokens that a service may put around the messages of a request
_WITHOUT_LIMIT = 10**30
_LOOK_S = 0.05  # how often it is looked whether other processes have released something


class Budget:
    """Holds back the most that a request can cost while it runs. To be used in one event loop.

    What is spent and what is held back together never pass the limits, whatever runs at the same time, in this process
    or in another one that has the same ``spending`` and ``account``.
    """

    def __init__(
        self, spec: BudgetSpec, *, write_price: float = 1.0, account: str = "", spending: Spending | None = None
    ) -> None:
        self._spec, self._account = spec, account
        self._spending = current() if spending is None else spending
        per_million = PICO // 10**6
        self._input = round((spec.input_price or 0) * per_million)
        self._output = round((spec.output_price or 0) * per_million)
        cached = spec.input_price if spec.cached_price is None else spec.cached_price
        self._cached = round((cached or 0) * per_million)
        self._written = round(self._input * write_price)
        self._most = Amount(
            spec.tokens or _WITHOUT_LIMIT, _WITHOUT_LIMIT if spec.usd is None else round(spec.usd * PICO)
        )
        self._limited = spec.tokens is not None or spec.usd is not None
        self._spent = Amount()
        self._turn, self._released = asyncio.Lock(), asyncio.Event()
        self.usage = Usage()

    def bound(self, request: Request, *, batch: bool = False) -> Amount:
        """The most that one attempt can take: no tokenizer makes more tokens than there are bytes."""
        given = len(request.given.encode("utf-8", "replace")) + _AROUND
        dearest = max(self._input, self._cached, self._written)
        money = given * dearest + request.max_tokens * self._output
        return Amount(given + request.max_tokens, self._priced(money, batch=batch))

    def _priced(self, money: int, *, batch: bool) -> int:
        return ceil(money * self._spec.batch) if batch else money

    async def hold(self, amount: Amount, what: str = "request") -> None:
        """Hold ``amount`` back, as soon as what other requests hold leaves room for it; first come, first served.

        Raises:
            BudgetSpent: it is more than is left.
        """
        if not self._limited:
            return
        async with self._turn:
            while True:
                self._released.clear()
                left = self._spending.hold(self._account, amount, self._most)
                if left is None:
                    return
                if not amount.within(left):
                    raise BudgetSpent(self._told(amount, left, what))
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._released.wait(), _LOOK_S)

    def release(self, held: Amount) -> None:
        """Release what was ``held``."""
        if self._limited:
            self._spending.settle(self._account, held, Amount())
        self._released.set()

    def settle(self, held: Amount, one: Amount, reply: Reply | None, lost: int) -> Amount:
        """Release what was ``held`` and count what the ``reply`` took, which is given.

        An attempt without any response counts as ``one``, the most that it can have taken: it may have been billed.
        """
        spent = one * lost + (Amount() if reply is None else self._taken(reply, one))
        if self._limited:
            self._spending.settle(self._account, held, spent)
        self._spent += spent
        self._count(reply, lost, spent)
        self._released.set()
        return spent

    def known(self, request: Request, reply: Reply) -> Amount:
        """Count a ``reply`` that was in the cache, and costs nothing now; what it took once."""
        taken = self._taken(reply, self.bound(request, batch=reply.batch))
        self.counted(from_cache=1, seconds=reply.seconds, price=taken.money / PICO)
        return taken

    def counted(self, **more: float) -> None:
        """Count what happened besides requests."""
        self.usage = replace(self.usage, **{name: getattr(self.usage, name) + by for name, by in more.items()})

    def _taken(self, reply: Reply, one: Amount) -> Amount:
        if reply.input_tokens is None or reply.output_tokens is None:
            return one
        cached = min(reply.cached_tokens, reply.input_tokens)
        written = min(reply.written_tokens, reply.input_tokens - cached)
        money = (reply.input_tokens - cached - written) * self._input + cached * self._cached + written * self._written
        money = self._priced(money + reply.output_tokens * self._output, batch=reply.batch)
        return Amount(reply.input_tokens + reply.output_tokens, money)

    def _count(self, reply: Reply | None, lost: int, spent: Amount) -> None:
        usage, answered = self.usage, reply is not None
        self.usage = replace(
            usage,
            requests=usage.requests + lost + answered,
            input_tokens=usage.input_tokens + ((reply.input_tokens or 0) if reply else 0),
            cached_tokens=usage.cached_tokens + (reply.cached_tokens if reply else 0),
            output_tokens=usage.output_tokens + ((reply.output_tokens or 0) if reply else 0),
            seconds=usage.seconds + (reply.seconds if reply else 0),
            usd=self._spent.money / PICO,
            price=usage.price + spent.money / PICO,
        )

    def _told(self, amount: Amount, left: Amount, what: str) -> str:
        spec, parts = self._spec, []
        if spec.usd is not None:
            parts.append(f"{left.money / PICO:.4f} of {spec.usd:g} US dollars are left, the next {what} could cost "
                         f"{amount.money / PICO:.4f}")  # fmt: skip
        if spec.tokens is not None:
            parts.append(f"{left.tokens:,} of {spec.tokens:,} tokens are left, the next {what} could take "
                         f"{amount.tokens:,}")  # fmt: skip
        return (
            f"the budget of this run does not allow another {what}: {'; '.join(parts)}. Raise budget.usd or "
            "budget.tokens"
        )
