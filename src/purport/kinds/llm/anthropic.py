"""The provider ``anthropic``: its own protocol, because its OpenAI-compatible one ignores the schema."""

from __future__ import annotations

from typing import Any, ClassVar

import anthropic

from .provider import Abilities, Endpoint, Reply, Request
from .vendor import Refused, client_options, one_call


class Anthropic:
    """Messages with structured output. The instructions are marked as a prefix to cache."""

    abilities: ClassVar = Abilities(constrains=True, caches=True, write_price=1.25)
    url: ClassVar = "https://api.anthropic.com"
    key: ClassVar = "ANTHROPIC_API_KEY"
    extra: ClassVar = "anthropic"

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._client = anthropic.AsyncAnthropic(**client_options(anthropic, endpoint))

    async def complete(self, request: Request) -> Reply:
        """See :class:`~.provider.Provider`."""
        body: dict[str, Any] = {
            "model": self._endpoint.model,
            "system": [{"type": "text", "text": request.system, "cache_control": {"type": "ephemeral"}}],
            "messages": [{"role": "user", "content": request.user}],
            "output_config": {"format": {"type": "json_schema", "schema": request.schema}},
            "max_tokens": request.max_tokens,
        }
        try:
            with one_call(anthropic, self._endpoint) as attempts:
                found = await self._client.messages.create(**body, extra_body=dict(self._endpoint.options))
                return _reply(found, attempts.lost)
        except Refused as refused:
            return refused.reply


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
