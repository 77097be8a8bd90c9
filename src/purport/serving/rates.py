"""Limits such as ``100/minute``, counted by a clock that nobody can set and in bounded memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from limits import RateLimitItem, parse_many

from ..errors import SettingsError

_MOST_CLIENTS = 16_384
_ROUNDING = 1e-9


def parse_rate(rate: str) -> RateLimitItem:
    """The limit that ``rate`` describes, for example ``100/minute`` or ``5 per 2 seconds``.

    Raises:
        SettingsError: it describes none.
    """
    try:
        (found,) = parse_many(rate)
    except ValueError:
        found = None
    if found is None or found.amount < 1:
        raise SettingsError(f'rate_limit: write, for example, "100/minute", not "{rate}"')
    return found


class RateLimiter:
    """A bucket for each client: ``100/minute`` holds 100, and what was taken comes back evenly, 100 in a minute.

    This is the generic cell rate algorithm (ITU-T I.371, 1993): all that is kept of a client is the time at which its
    bucket will be full again. Of many clients, those that have not asked for longest are forgotten.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = _MOST_CLIENTS) -> None:
        self._clock = clock
        self._most = most
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, rate: RateLimitItem, client: str, amount: int = 1) -> float:
        """Take ``amount``, and return 0; or take nothing, and return the seconds until it would be there."""
        if wait := self.wait(rate, client, amount):
            return wait
        now = self._clock()
        self._full_at[client] = max(now, self._full_at.get(client, now)) + amount * _seconds_each(rate)
        self._full_at.move_to_end(client)
        if len(self._full_at) > self._most:
            self._full_at.popitem(last=False)
        return 0.0

    def wait(self, rate: RateLimitItem, client: str, amount: int = 1) -> float:
        """Seconds until ``amount`` can be taken; for more than a bucket holds, until it is full and a second longer."""
        full_in = self._full_at.get(client, 0.0) - self._clock()
        if amount > rate.amount:
            return max(full_in, 0.0) + 1.0
        wait = full_in - (rate.amount - amount) * _seconds_each(rate)
        return wait if wait > _ROUNDING * rate.get_expiry() else 0.0

    def __len__(self) -> int:
        return len(self._full_at)


def _seconds_each(rate: RateLimitItem) -> float:
    return rate.get_expiry() / rate.amount
