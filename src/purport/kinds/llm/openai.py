"""The provider ``openai``: OpenAI itself, and what speaks its protocol (Azure, vLLM, Ollama, llama.cpp, …)."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import urlsplit

import openai
from pydantic import BaseModel, Field

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
            body |= self._endpoint.options
            # Not `chat.completions.create`: its conversions to and from typed objects cost a millisecond of processor.
            found = await self._client.post("/chat/completions", body=body, cast_to=object)
            return _reply(_Completion.model_validate(found), attempts.lost)


class _Top(BaseModel):
    token: str
    logprob: float


class _Token(BaseModel):
    token: str
    top_logprobs: list[_Top]


class _Logprobs(BaseModel):
    content: list[_Token] | None = None


class _Message(BaseModel):
    content: Any = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Completion(BaseModel):
    """What is read of a completion, of which little is certain: services differ."""

    choices: list[_Choice] = Field(min_length=1)
    usage: Any = None


def _reply(found: _Completion, lost: int) -> Reply:
    choice = found.choices[0]
    usage = found.usage if isinstance(found.usage, dict) else {}
    details = usage.get("prompt_tokens_details")
    given = choice.logprobs.content if choice.logprobs else None
    refused = choice.message.refusal or ("content_filter" if choice.finish_reason == "content_filter" else "")
    return Reply(
        text=choice.message.content if isinstance(choice.message.content, str) else "",
        tokens=tuple(
            Token(each.token, tuple((top.token, top.logprob) for top in each.top_logprobs)) for each in given or ()
        ),
        input_tokens=_count(usage.get("prompt_tokens")),
        output_tokens=_count(usage.get("completion_tokens")),
        cached_tokens=_count(details.get("cached_tokens") if isinstance(details, dict) else None) or 0,
        refused=refused,
        lost=lost,
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None
