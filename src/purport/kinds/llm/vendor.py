"""What the clients of OpenAI and Anthropic have in common: both are generated from one template."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from importlib import import_module
from ssl import SSLContext
from types import ModuleType
from typing import Any

from ...wording import count
from .provider import LAST_ATTEMPTS, Attempts, Endpoint, Reply, Unanswered

OF_ONE_TEXT = ("content_filter", "content_policy_violation", "context_length_exceeded", "string_above_max_length")
"""What a service says of one text, not of the whole run."""
_AGAIN = (408, 409, 423, 425, 429)  # and 5xx
_NO_SUCH = (404, 405, 501)
UPLOAD_S = 600.0
"""Seconds for sending a batch."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _LONGEST_WISH_S = 0.5, 8.0, 60.0

NOT_THE_PROTOCOL = (ValueError, TypeError, AttributeError, LookupError)
"""How the vendors' clients fail on what is not the protocol."""


class Refused(Exception):
    """The service refuses this one text; ``reply`` says why."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        super().__init__(reply.refused)


def client_options(module: ModuleType, endpoint: Endpoint) -> dict[str, Any]:
    """What the client of the vendor's ``module`` is made with."""
    return {
        "api_key": endpoint.key.get_secret_value() or "none",
        "base_url": endpoint.base_url,
        "timeout": endpoint.timeout_s,
        "max_retries": endpoint.retries,
        "http_client": _http_client(module),
    }


def _current() -> Attempts:
    return LAST_ATTEMPTS.get() or Attempts()


def _http_client(module: ModuleType) -> Any:
    """A client that counts attempts, and takes no text to an address that an answer names."""

    async def asked(_request: Any) -> None:
        _current().asked += 1

    async def answered(_response: Any) -> None:
        _current().answered += 1

    hooks = {"request": [asked], "response": [answered]}
    return module.DefaultAsyncHttpxClient(event_hooks=hooks, follow_redirects=False, verify=certificates("httpx2"))


@cache
def certificates(library: str) -> SSLContext:
    """What clients of ``library`` check servers with: they share it, as it takes a tenth of a second to read."""
    context: SSLContext = import_module(library).create_ssl_context()
    return context


@contextmanager
def one_call(module: ModuleType, endpoint: Endpoint) -> Iterator[Attempts]:
    """A call in which the errors of the vendor's client ``module`` become ours.

    Raises:
        Unanswered: the service refuses the call, or does not answer.
        Refused: it refuses this text.
    """
    attempts = Attempts()
    try:
        yield attempts
    except module.APIStatusError as error:
        said = endpoint.cleaned(str(error))
        if error.status_code in (400, 413, 422) and any(code in f"{error.body}" for code in OF_ONE_TEXT):
            raise Refused(Reply("", refused=said, input_tokens=0, output_tokens=0, lost=attempts.lost)) from None
        wish = error.response.headers.get("retry-after", "")
        raise Unanswered(of_status(error.status_code, said, endpoint, wish), attempts.lost) from None
    except module.APITimeoutError:
        raise timed_out(endpoint, attempts) from None
    except module.APIConnectionError as error:
        raise unreachable(endpoint, str(error.__cause__ or error), attempts.lost) from None
    except (module.APIError, *NOT_THE_PROTOCOL) as error:
        raise unreadable(endpoint, error, attempts.lost) from None


@contextmanager
def batch_call(module: ModuleType, endpoint: Endpoint) -> Iterator[None]:
    """The same for a call about a batch.

    Raises:
        Unanswered: the service refuses the call, or does not answer, or has no batches.
    """
    try:
        with one_call(module, endpoint):
            yield
    except Refused as refused:
        raise Unanswered(f"{endpoint.base_url} refuses the batch ({refused})") from None
    except Unanswered as error:
        if isinstance(error.__context__, module.APIStatusError) and error.__context__.status_code in _NO_SUCH:
            raise Unanswered(
                f"{endpoint.base_url} takes no batches, or does not know this one by this key "
                f"({error.__context__.status_code}); name the key that it was sent with, or leave out --batch to ask "
                "one by one"
            ) from None
        raise


def replies_of(lines: str, of_line: Callable[[Mapping[str, Any]], Reply]) -> dict[str, Reply]:
    """The replies in the ``lines`` of JSON that a batch results in; a line that is not the protocol has none."""
    found: dict[str, Reply] = {}
    for line in lines.split("\n"):  # not `splitlines`, which also divides where no line of JSON ends
        with suppress(*NOT_THE_PROTOCOL):
            document = json.loads(line)
            found[document["custom_id"]] = replace(of_line(document), batch=True)
    return found


def failed(endpoint: Endpoint, reason: str) -> Reply:
    """A request of a batch that failed, which costs nothing."""
    return Reply("", refused=endpoint.cleaned(reason) or "it failed", input_tokens=0, output_tokens=0)


def timed_out(endpoint: Endpoint, attempts: Attempts) -> Unanswered:
    """The error after attempts that took too long."""
    tries = f"{attempts.asked} attempts" if attempts.asked > 1 else "1 attempt"
    return Unanswered(
        f"{endpoint.base_url} gave no answer within {endpoint.timeout_s:g} s ({tries}); try again later, or raise "
        "provider.timeout_s",
        attempts.lost,
    )


def unreachable(endpoint: Endpoint, reason: str, lost: int) -> Unanswered:
    """The error of the network."""
    said = endpoint.cleaned(reason)
    return Unanswered(f"{endpoint.base_url} cannot be reached ({said}); check provider.base_url and the network", lost)


def unreadable(endpoint: Endpoint, error: Exception, lost: int) -> Unanswered:
    """The error where a vendor's client fails on what it got."""
    reason = endpoint.cleaned(f"{type(error).__name__}: {error}")
    return Unanswered(
        f"{endpoint.base_url} answers something else than the protocol says ({reason}); check provider.base_url", lost
    )


def of_status(status: int, said: str, endpoint: Endpoint, wish: str = "") -> str:
    """What a ``status`` means, and what to do; ``wish`` is its ``Retry-After``."""
    remedy = "see what the service says"
    if status in (401, 403):
        remedy = (
            f"check the key in {endpoint.key_name}"
            if endpoint.key_name
            else "the service needs a key: name its environment variable with provider.key"
        )
    elif status == 404:
        remedy = f'check provider.model ("{endpoint.model}") and provider.base_url'
    elif status == 429:
        remedy = "ask less at once (provider.concurrency), or raise the limit of your account"
        if wish.isdecimal() and int(wish) > _LONGEST_WISH_S:
            remedy = f"it asks to wait {count(int(wish), 'second')}, which is longer than is waited; {remedy}"
    elif status >= 500:
        remedy = "try again later"
    return f"{endpoint.base_url} answers {status} ({said}); {remedy}"


def pause(attempt: int, status: int | None = None, wish: str = "") -> float | None:
    """Seconds before the attempt after ``attempt`` (from 1), for clients that leave this to us.

    ``status`` is what the service answered, ``None`` for an error of the network; ``wish`` is its ``Retry-After`` in
    seconds. ``None`` if there is to be no further attempt.
    """
    if status is not None and status not in _AGAIN and status < 500:
        return None
    if wish.isdecimal() and int(wish) <= _LONGEST_WISH_S:
        return float(wish)
    found: float = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (attempt - 1)) * random.uniform(0.75, 1)
    return found
