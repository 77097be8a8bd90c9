"""Signals that end a command become an exception, so that it cleans up before it ends."""

from __future__ import annotations

import signal
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """The command was asked to stop; ``exit_code`` is what a shell reports for the signal (143 for SIGTERM)."""

    def __init__(self, number: int) -> None:
        self.exit_code = 128 + number
        super().__init__("interrupted" if number == signal.SIGINT else f"stopped by {signal.Signals(number).name}")


def listen() -> None:
    """Raise :class:`Stopped` in the main thread on Ctrl-C, SIGTERM and SIGHUP, unless they are ignored (``nohup``)."""
    for number in _ENDING:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    # The same signal often comes twice, to a process and to its group; it must not interrupt the cleaning up.
    for other in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    raise Stopped(number)
