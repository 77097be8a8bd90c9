"""Work on the disk in a thread that nothing waits for: a disk that hangs must not keep a server alive."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from ..contents import while_wanted

_T = TypeVar("_T")


async def aside(call: Callable[[], _T], seconds: float) -> _T:
    """What ``call`` returns. Once nobody waits for it any more, it reads no further file of a bundle.

    Raises:
        TimeoutError: it took longer than ``seconds``.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[_T] = loop.create_future()

    def tell(result: _T | None, error: BaseException | None) -> None:
        if outcome.done():  # nobody waits any more
            return
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result: _T | None = None
        failure: Exception | None = None
        try:
            with while_wanted(lambda: not outcome.done()):
                result = call()
        except Exception as error:
            failure = error
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(tell, result, failure)

    threading.Thread(target=work, daemon=True, name="aside").start()
    return await asyncio.wait_for(outcome, seconds)
