"""What the processes of a run have spent together, so that a limit holds for all of them."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

_SIZE = 4096  # of the shared numbers, to begin with


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

    def within(self, most: Amount) -> bool:
        """Whether it is at most ``most``, in tokens and in money."""
        return self.tokens <= most.tokens and self.money <= most.money


_Account = dict[str, list[int]]


class Spending:
    """What a process has spent, and holds back for what is under way, by the name of an account. Safe in threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Of each account what is spent, and of each process what it holds.
        self._spent: _Account = {}
        self._held: dict[str, _Account] = {}

    def hold(self, account: str, amount: Amount, most: Amount) -> Amount | None:
        """Hold ``amount`` back, if all that is spent and held then stays within ``most``.

        ``None`` if it is held, otherwise what would be left if everything that is held were released.
        """
        with self._numbers():
            spent = Amount(*self._spent.get(account, ()))
            held = sum((Amount(*each.get(account, ())) for each in self._held.values()), Amount())
            if not (spent + held + amount).within(most):
                return most - spent
            self._add(self._held.setdefault(str(os.getpid()), {}), account, amount)
            return None

    def settle(self, account: str, held: Amount, spent: Amount) -> None:
        """Release what was ``held``, of which so much was ``spent``."""
        with self._numbers():
            self._add(self._held.setdefault(str(os.getpid()), {}), account, Amount() - held)
            self._add(self._spent, account, spent)

    def lost(self, process: int) -> None:
        """Count what a ``process`` held that has died as spent: its requests may have been billed."""
        with self._numbers():
            for account, held in self._held.pop(str(process), {}).items():
                self._add(self._spent, account, Amount(*held))

    @staticmethod
    def _add(accounts: _Account, account: str, amount: Amount) -> None:
        accounts[account] = list(Amount(*accounts.get(account, ())) + amount)

    @contextmanager
    def _numbers(self) -> Iterator[None]:
        with self._lock:
            yield


class SharedSpending(Spending):
    """The same for all processes that have the file ``descriptor``; it has no name, and needs no disk on Linux."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.descriptor = descriptor

    @classmethod
    def new(cls) -> SharedSpending:
        """With nothing spent."""
        if hasattr(os, "memfd_create"):
            return cls(os.memfd_create("purport-spending"))
        with tempfile.TemporaryFile() as file:
            return cls(os.dup(file.fileno()))

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)

    @contextmanager
    def _numbers(self) -> Iterator[None]:
        # The lock of the file is one for all threads of a process; it ends with the process, whatever ends that.
        with self._lock:
            fcntl.lockf(self.descriptor, fcntl.LOCK_EX)
            try:
                size = os.fstat(self.descriptor).st_size
                if size:
                    self._spent, self._held = json.loads(os.pread(self.descriptor, size, 0))
                yield
                told = json.dumps([self._spent, self._held]).encode()
                # One write, so that a process that is killed leaves what was or what is.
                os.pwrite(self.descriptor, told.ljust(max(size, _SIZE)), 0)
            finally:
                fcntl.lockf(self.descriptor, fcntl.LOCK_UN)


_shared: list[SharedSpending] = []


def share(descriptor: int) -> None:
    """Have this process, a worker of a server, spend together with all that have the same ``descriptor``."""
    _shared[:] = [SharedSpending(descriptor)]


def current() -> Spending:
    """The spending that this process shares with others, or a new one of its own."""
    return _shared[0] if _shared else Spending()
