"""What the pages that work on a file in the background have in common: texts in pieces, and what went wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from ..errors import BodyInvalid, DataError, PurportError
from ..prediction import AnswerOptions
from ..serving.context import AppContext
from ..serving.generation import Generation
from ..serving.operations import CLASSIFY, Request, Result
from .remedies import said_on_page


async def answers(
    context: AppContext, texts: Iterable[str], options: AnswerOptions, generation: Generation, client: str
) -> list[Result | BaseException]:
    """The results for a few texts of ``client``, or why there is none, once there is room for bulk texts."""
    await context.admission.room(client)
    asked = [context.dispatch.ask(CLASSIFY, Request(text, options), generation, client=client) for text in texts]
    try:
        return await asyncio.gather(*asked, return_exceptions=True)
    finally:
        for each in asked:
            each.cancel()


def problem_of(error: Exception, title: str, *, field: bool = False) -> PurportError:
    """What is said of the ``error`` that ended the work on the file ``title``; one of ours that is none is logged.

    ``field`` says whether the page has a field for the name of the column of the texts.

    To be called where the error is handled.
    """
    if isinstance(error, DataError):
        return BodyInvalid(said_on_page(error, title, field=field))
    if isinstance(error, PurportError):
        return error
    structlog.get_logger("purport.ui").exception("failed", title=title)
    return PurportError(repr(error))
