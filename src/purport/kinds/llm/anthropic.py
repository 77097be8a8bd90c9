"""The provider ``anthropic``: its own protocol, because its OpenAI-compatible one ignores the schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import anthropic

from .provider import Abilities, BatchState, Endpoint, Reply, Request
from .vendor import UPLOAD_S, Refused, batch_call, client_options, failed, one_call, replies_of


class Anthropic:
    """Messages with structured output. The instructions are marked as a prefix to cache."""

    abilities: ClassVar = Abilities(constrains=True, batches=True, caches=True, write_price=1.25)
    url: ClassVar = "https://api.anthropic.com"
    key: ClassVar = "ANTHROPIC_API_KEY"
    extra: ClassVar = "anthropic"

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._client = anthropic.AsyncAnthropic(**client_options(anthropic, endpoint))

    async def complete(self, request: Request) -> Reply:
        """See :class:`~.provider.Provider`."""
        try:
            with one_call(anthropic, self._endpoint) as attempts:
                body, options = self._body(request), dict(self._endpoint.options)
                return _reply(await self._client.messages.create(**body, extra_body=options), attempts.lost)
        except Refused as refused:
            return refused.reply

    def _body(self, request: Request) -> dict[str, Any]:
        return {
            "model": self._endpoint.model,
            "system": [{"type": "text", "text": request.system, "cache_control": {"type": "ephemeral"}}],
            "messages": [{"role": "user", "content": request.user}],
            "output_config": {"format": {"type": "json_schema", "schema": request.schema}},
            "max_tokens": request.max_tokens,
        }

    async def send(self, requests: Mapping[str, Request]) -> str:
        """See :class:`~.provider.Batches`."""
        lines: list[Any] = [
            {"custom_id": name, "params": self._body(request) | dict(self._endpoint.options)}
            for name, request in requests.items()
        ]
        with batch_call(anthropic, self._endpoint):
            # Made twice, it would be paid twice.
            once = self._client.with_options(max_retries=0, timeout=UPLOAD_S)
            return (await once.messages.batches.create(requests=lines)).id

    async def state(self, batch: str) -> BatchState:
        """See :class:`~.provider.Batches`."""
        with batch_call(anthropic, self._endpoint):
            found = await self._client.messages.batches.retrieve(batch)
            counts = found.request_counts
            done = counts.succeeded + counts.errored + counts.canceled + counts.expired
            return BatchState(done=done, ended=found.processing_status == "ended")

    async def replies(self, batch: str) -> dict[str, Reply]:
        """See :class:`~.provider.Batches`."""
        with batch_call(anthropic, self._endpoint):
            # Not `batches.results`, which takes the key to an address that the answer names.
            text = await self._client.get(f"/v1/messages/batches/{batch}/results", cast_to=str)
            return replies_of(text, self._of_line)

    def _of_line(self, line: Mapping[str, Any]) -> Reply:
        result = line["result"]
        if result["type"] == "succeeded":
            return _reply(anthropic.types.Message.model_validate(result["message"]), 0)
        error = result.get("error") or {}
        return failed(self._endpoint, str((error.get("error") or {}).get("message") or result["type"]))


def _reply(found: Any, lost: int) -> Reply:
    usage = found.usage
    cached, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    return Reply(
        text="".join(block.text for block in found.content if block.type == "text"),
        # Of the prefix, what is read from the cache and what is written to it is counted apart.
        input_tokens=usage.input_tokens + cached + written,
        output_tokens=usage.output_tokens,
        cached_tokens=cached,
        written_tokens=written,
        refused="refusal" if found.stop_reason == "refusal" else "",
        lost=lost,
    )
