"""The provider ``systemone``: services that decide instead of writing, by the protocol of ``/v1/systemone``."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import httpx

from .provider import MULTICLASS, Abilities, Attempts, Endpoint, Reply, Request, Unanswered
from .vendor import OF_ONE_TEXT, certificates, of_status, pause, timed_out, unreachable, unreadable

MOST_OPTIONS = 255
"""Options of a question, by the protocol; as many questions are put into one request."""
_PATH = "/v1/systemone"
_ROUNDED = 0.02  # how far a sum of probabilities may be from 1
# Further words for a text that the service cannot read: its own, and those of Purport's server.
_OF_ONE_TEXT = (*OF_ONE_TEXT, "max_tokens_exceeded", "TEXT_EMPTY", "TEXT_INVALID")


class SystemOne:
    """A ``choice`` between the labels, or a ``noul`` (yes or no) about each: every option has a probability.

    The text is the ``state`` of the request, apart from everything that the service is told.
    """

    abilities: ClassVar = Abilities(constrains=True, decides=True, most_labels=MOST_OPTIONS)
    url: ClassVar = "https://api.typesafe.ai"
    key: ClassVar = "TYPESAFE_API_KEY"
    extra: ClassVar = "systemone"

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        base = endpoint.base_url.rstrip("/")
        self._url = f"{base.removesuffix('/v1')}{_PATH}"
        key = endpoint.key.get_secret_value()
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        # No text goes to an address that an answer names. The time for an attempt is limited as a whole.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        self._client = httpx.AsyncClient(
            headers=headers, timeout=None, limits=limits, follow_redirects=False, verify=certificates("httpx")
        )

    async def complete(self, request: Request) -> Reply:
        """See :class:`~.provider.Provider`."""
        body = {"model": self._endpoint.model, "state": _state(request), "questions": request.questions}
        content, attempts = json.dumps({**self._endpoint.options, **body}).encode(), Attempts()
        while True:
            found = await self._asked(content, attempts)
            if isinstance(found, Unanswered):
                failure, wait = found, pause(attempts.asked)
            elif found.is_success:
                return self._reply(found, request, attempts.lost)
            else:
                failure = self._failure(found, attempts.lost)
                if _of_one_text(found):
                    return Reply("", refused=str(failure), input_tokens=0, output_tokens=0, lost=attempts.lost)
                wait = pause(attempts.asked, found.status_code, found.headers.get("retry-after", ""))
            if wait is None or attempts.asked > self._endpoint.retries:
                raise failure
            await asyncio.sleep(wait)

    async def _asked(self, content: bytes, attempts: Attempts) -> httpx.Response | Unanswered:
        """One attempt: the response, or why there is none."""
        attempts.asked += 1
        try:
            async with asyncio.timeout(self._endpoint.timeout_s):
                response = await self._client.post(self._url, content=content)
        except TimeoutError:
            return timed_out(self._endpoint, attempts)
        except httpx.HTTPError as error:
            return unreachable(self._endpoint, str(error) or type(error).__name__, attempts.lost)
        attempts.answered += 1
        return response

    def _failure(self, response: httpx.Response, lost: int) -> Unanswered:
        said = self._endpoint.cleaned(response.text)
        return Unanswered(
            of_status(response.status_code, said, self._endpoint, response.headers.get("retry-after", "")), lost
        )

    def _reply(self, response: httpx.Response, request: Request, lost: int) -> Reply:
        """What ``response`` says.

        Raises:
            Unanswered: it is not of the protocol.
        """
        try:
            found = response.json()
            answers, usage = found["answers"], found.get("usage") or {}
            missing = [name for name in request.questions if answers.get(name) is None]
            return Reply(
                text="",
                probabilities=() if missing else _probabilities(answers, request),
                input_tokens=_count(usage.get("input_tokens")),
                output_tokens=_count(usage.get("output_tokens")),
                refused="the service leaves a question unanswered" if missing else "",
                lost=lost,
            )
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
            raise unreadable(self._endpoint, error, lost) from None


def _state(request: Request) -> str:
    """The text. Half of a surrogate pair, which no JSON in UTF-8 can hold, becomes a question mark."""
    text: str = json.loads(request.user)
    return text.encode("utf-8", "replace").decode()


def _probabilities(answers: Mapping[str, Any], request: Request) -> tuple[float, ...]:
    """The probability of each label; none if one of them cannot be used, or if there is one of something else."""
    if request.several:
        found = [_share(answers[name], "noul") for name in request.labels]
        return tuple(each for each in found if each is not None) if None not in found else ()
    answer = answers[MULTICLASS]
    given, choice = answer.get("probabilities"), answer.get("choice")
    if not (isinstance(given, dict) and isinstance(choice, str) and {choice, *given} <= {*request.labels}):
        return ()
    shares = [_share(given, name) if name in given else 0.0 for name in request.labels]
    return _normalised([each for each in shares if each is not None]) if None not in shares else ()


def _normalised(shares: Sequence[float]) -> tuple[float, ...]:
    """``shares`` with the sum 1, if that is what they had before they were rounded."""
    whole = math.fsum(shares)
    return tuple(each / whole for each in shares) if abs(whole - 1) <= _ROUNDED else ()


def _share(answer: Mapping[str, Any], name: str) -> float | None:
    value = answer.get(name)
    usable = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    return float(value) if usable and value is not None else None


def _of_one_text(response: httpx.Response) -> bool:
    return response.status_code in (400, 413, 422) and any(code in response.text for code in _OF_ONE_TEXT)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None
