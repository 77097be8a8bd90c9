"""The provider ``openai``: OpenAI itself, and what speaks its protocol (Azure, vLLM, Ollama, llama.cpp, …)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import openai
from pydantic import BaseModel, Field

from .provider import Abilities, BatchState, Endpoint, Reply, Request, Token, Unanswered
from .vendor import UPLOAD_S, Refused, batch_call, client_options, failed, one_call, replies_of

_ALTERNATIVES = 20  # the most that services give
_OWN = ("openai.com", "azure.com")
# Newer models of OpenAI give no log-probabilities and answer 400 if they are asked for them.
_WITHOUT = "logprobs"
_COMPLETIONS = "/chat/completions"
_IN_BATCHES: Literal["/v1/chat/completions"] = "/v1/chat/completions"
_ENDED = ("completed", "expired", "cancelled")


class OpenAI:
    """Chat completions with a strict JSON schema."""

    abilities: ClassVar = Abilities(constrains=True, logprobs=True, batches=True, caches=True)
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
        with one_call(openai, self._endpoint) as attempts:
            # Not `chat.completions.create`: its conversions to and from typed objects cost a millisecond of processor.
            body = self._body(request, logprobs=logprobs)
            found = await self._client.post(_COMPLETIONS, body=body, cast_to=object)
            return _reply(_Completion.model_validate(found), attempts.lost)

    def _body(self, request: Request, *, logprobs: bool) -> dict[str, Any]:
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
        return body | dict(self._endpoint.options)

    async def send(self, requests: Mapping[str, Request]) -> str:
        """See :class:`~.provider.Batches`."""
        lines = [
            {"custom_id": name, "method": "POST", "url": _IN_BATCHES,
             "body": self._body(request, logprobs=request.logprobs)}
            for name, request in requests.items()
        ]  # fmt: skip
        content = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
        with batch_call(openai, self._endpoint):
            uploading = self._client.with_options(timeout=UPLOAD_S)
            file = await uploading.files.create(file=("requests.jsonl", content), purpose="batch")
        with batch_call(openai, self._endpoint):
            # Made twice, it would be paid twice.
            once = self._client.with_options(max_retries=0)
            made = await once.batches.create(input_file_id=file.id, endpoint=_IN_BATCHES, completion_window="24h")
            return made.id

    async def state(self, batch: str) -> BatchState:
        """See :class:`~.provider.Batches`."""
        with batch_call(openai, self._endpoint):
            found = await self._client.batches.retrieve(batch)
            counts, errors = found.request_counts, (found.errors.data if found.errors else None) or []
            said = "; ".join(each.message or each.code or "" for each in errors) or "it does not say why"
            return BatchState(
                done=counts.completed + counts.failed if counts else 0,
                ended=found.status in _ENDED,
                failure=self._endpoint.cleaned(said) if found.status == "failed" else "",
            )

    async def replies(self, batch: str) -> dict[str, Reply]:
        """See :class:`~.provider.Batches`."""
        with batch_call(openai, self._endpoint):
            found = await self._client.batches.retrieve(batch)
            files = [file for file in (found.output_file_id, found.error_file_id) if file]
            texts = [(await self._client.files.content(file)).text for file in files]
            return replies_of("\n".join(texts), self._of_line)

    def _of_line(self, line: Mapping[str, Any]) -> Reply:
        response = line["response"] or {}
        if response.get("status_code") == 200:
            return _reply(_Completion.model_validate(response["body"]), 0)
        error = line.get("error") or response["body"]["error"]
        return failed(self._endpoint, str(error["message"]))


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
