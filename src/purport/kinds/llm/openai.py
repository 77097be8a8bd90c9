"""The provider ``openai``: OpenAI itself, and what speaks its protocol (Azure, vLLM, Ollama, llama.cpp, …)."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import urlsplit

import openai

from .provider import Abilities, Endpoint, Reply, Request, Token, Unanswered
from .vendor import Refused, client_options, one_call

_ALTERNATIVES = 20  # the most that services give
_OWN = ("openai.com", "azure.com")
# Newer models of OpenAI give no log-probabilities and answer 400 if they are asked for them.
_WITHOUT = "logprobs"


class OpenAI:
    """Chat completions with a strict JSON schema."""

    abilities: ClassVar = Abilities(constrains=True, logprobs=True, caches=True)
    url: ClassVar = "https://api.openai.com/v1"
    key: ClassVar = "OPENAI_API_KEY"
    extra: ClassVar = "openai"

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._client = openai.AsyncOpenAI(**client_options(openai, endpoint))
        host = urlsplit(endpoint.base_url).hostname or ""
        # Others know the older name only, and newer models of OpenAI the newer name only.
        self._limit = "max_completion_tokens" if host.endswith(_OWN) else "max_tokens"

    async def complete(self, request: Request) -> Reply:
        """See :class:`~.provider.Provider`."""
        try:
            return await self._asked(request, logprobs=request.logprobs)
        except Unanswered as error:
            if not request.logprobs or _WITHOUT not in str(error):
                raise
            return await self._asked(request, logprobs=False)
        except Refused as refused:
            return refused.reply

    async def _asked(self, request: Request, *, logprobs: bool) -> Reply:
        body: dict[str, Any] = {
            "model": self._endpoint.model,
            "messages": [{"role": "system", "content": request.system}, {"role": "user", "content": request.user}],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": request.schema},
            },
            self._limit: request.max_tokens,
        }
        if logprobs:
            body |= {"logprobs": True, "top_logprobs": _ALTERNATIVES}
        with one_call(openai, self._endpoint) as attempts:
            found = await self._client.chat.completions.create(**body, extra_body=dict(self._endpoint.options))
            return _reply(found, attempts.lost)


def _reply(found: Any, lost: int) -> Reply:
    """The reply in a completion, of which nothing is certain: services differ."""
    (choice, *_), usage = found.choices, found.usage
    given = choice.logprobs.content if choice.logprobs else None
    details = getattr(usage, "prompt_tokens_details", None)
    refused = choice.message.refusal or ("content_filter" if choice.finish_reason == "content_filter" else "")
    return Reply(
        text=_text(choice.message.content),
        tokens=tuple(
            Token(str(each.token), tuple((str(top.token), float(top.logprob)) for top in each.top_logprobs))
            for each in given or ()
        ),
        input_tokens=_count(getattr(usage, "prompt_tokens", None)),
        output_tokens=_count(getattr(usage, "completion_tokens", None)),
        cached_tokens=_count(getattr(details, "cached_tokens", None)) or 0,
        refused=str(refused),
        lost=lost,
    )


def _text(content: Any) -> str:
    return content if isinstance(content, str) else ""


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None
