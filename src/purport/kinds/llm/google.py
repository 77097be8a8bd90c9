"""The provider ``google``: Gemini models, by the Gemini API."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

import google.genai as genai
import httpx2
from google.genai import errors, types

from .provider import Abilities, Attempts, Endpoint, Reply, Request, Unanswered
from .vendor import NOT_THE_PROTOCOL, certificates, of_status, pause, timed_out, unreachable, unreadable

_STOPPED = ("STOP", "MAX_TOKENS", "FINISH_REASON_UNSPECIFIED", "")  # every other reason is one not to answer
_WRONG_KEY = "API_KEY_INVALID"


class Google:
    """``generateContent`` with a JSON schema. Newer models give no log-probabilities, so that they are not asked for.

    The vendor's client does not honour ``Retry-After``; it makes one attempt, and further ones are made here.
    """

    abilities: ClassVar = Abilities(constrains=True, caches=True)
    url: ClassVar = "https://generativelanguage.googleapis.com"
    key: ClassVar = "GEMINI_API_KEY"
    extra: ClassVar = "google"

    def __init__(self, endpoint: Endpoint) -> None:
        """Make the client.

        Raises:
            Unanswered: ``provider.options`` has a field that requests do not have.
        """
        for name in endpoint.options:
            if name not in types.GenerateContentConfig.model_fields:
                raise Unanswered(
                    f'provider.options: the client of google knows no "{name}"; use names of its '
                    "GenerateContentConfig, such as temperature or thinking_config"
                )
        self._endpoint = endpoint
        self._client = genai.Client(
            api_key=endpoint.key.get_secret_value() or "none",
            vertexai=False,
            http_options=types.HttpOptions(
                base_url=endpoint.base_url,
                api_version="v1beta",
                timeout=round(endpoint.timeout_s * 1000),
                retry_options=types.HttpRetryOptions(attempts=1),
                # No text goes to an address that an answer names.
                httpx_async_client=httpx2.AsyncClient(follow_redirects=False, verify=certificates("httpx2")),
            ),
        )

    async def complete(self, request: Request) -> Reply:
        """See :class:`~.provider.Provider`."""
        attempts = Attempts()
        while True:
            try:
                return _reply(await self._asked(request, attempts), attempts.lost)
            except Unanswered as error:
                wait = _wait(error.__context__, attempts.asked)
                if attempts.asked > self._endpoint.retries or wait is None:
                    raise
            await asyncio.sleep(wait)

    async def _asked(self, request: Request, attempts: Attempts) -> Any:
        """One attempt.

        Raises:
            Unanswered: there is no answer; its context is the error of the client.
        """
        endpoint = self._endpoint
        attempts.asked += 1
        try:
            found = await self._client.aio.models.generate_content(
                model=endpoint.model, contents=request.user, config=_config(request, endpoint.options)
            )
        except errors.APIError as error:
            attempts.answered += 1
            status = 401 if _WRONG_KEY in str(error.details) else int(error.code)
            raise Unanswered(of_status(status, endpoint.cleaned(str(error)), endpoint), attempts.lost) from None
        except httpx2.TimeoutException:
            raise timed_out(endpoint, attempts) from None
        except httpx2.HTTPError as error:
            raise unreachable(endpoint, str(error) or type(error).__name__, attempts.lost) from None
        except NOT_THE_PROTOCOL as error:
            attempts.answered += 1
            raise unreadable(endpoint, error, attempts.lost) from None
        attempts.answered += 1
        if not (found.candidates or found.prompt_feedback):
            raise unreadable(endpoint, ValueError("there are no candidates"), attempts.lost)
        return found


def _config(request: Request, options: Mapping[str, Any]) -> types.GenerateContentConfig:
    return types.GenerateContentConfig(
        system_instruction=request.system,
        response_mime_type="application/json",
        response_json_schema=request.schema,
        max_output_tokens=request.max_tokens,
        **options,
    )


def _wait(error: BaseException | None, attempt: int) -> float | None:
    """Seconds before the next attempt, as many as the service wants; ``None`` if there is to be none."""
    if isinstance(error, errors.APIError):
        return pause(attempt, int(error.code), getattr(error.response, "headers", {}).get("retry-after", ""))
    return pause(attempt) if isinstance(error, httpx2.HTTPError) else None


def _reply(found: Any, lost: int) -> Reply:
    candidate = next(iter(found.candidates or ()), None)
    reason = _name(candidate.finish_reason) if candidate else _name(found.prompt_feedback.block_reason) or "BLOCKED"
    content = candidate.content if candidate else None
    parts = (content.parts if content else None) or ()
    usage = found.usage_metadata
    made = (_count(usage, "candidates_token_count"), _count(usage, "thoughts_token_count"))
    return Reply(
        text="".join(part.text for part in parts if part.text and not part.thought),
        input_tokens=_count(usage, "prompt_token_count"),
        output_tokens=None if made == (None, None) else sum(each or 0 for each in made),
        cached_tokens=_count(usage, "cached_content_token_count") or 0,
        refused="" if reason in _STOPPED else reason,
        lost=lost,
    )


def _name(reason: Any) -> str:
    return str(getattr(reason, "value", reason) or "")


def _count(usage: Any, name: str) -> int | None:
    value = getattr(usage, name, None)
    return value if isinstance(value, int) and value >= 0 else None
