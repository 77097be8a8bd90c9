"""Recipes of kind ``llm``."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, JsonValue, SecretStr, field_validator, model_validator

from ... import registry
from ...errors import ProviderError
from ...frozen import Frozen
from ...optional import needs
from ..recipe import Recipe
from .provider import Endpoint, Provider

MOST_VOTES, MOST_AT_ONCE = 25, 256
# What the kind sets itself, and what would make a reply cost more than the budget holds back.
_RESERVED = (
    *("model", "messages", "system", "response_format", "output_config", "stream", "n", "logprobs", "top_logprobs"),
    *("max_tokens", "max_completion_tokens", "tools", "web_search_options", "service_tier"),
    *("system_instruction", "max_output_tokens", "candidate_count", "cached_content", "http_options"),
    *("state", "questions"),
    *("response_mime_type", "response_schema", "response_json_schema", "response_logprobs"),
)
_Price = Annotated[float, Field(ge=0, le=1e6)]


class Service(Frozen):
    """The service that is asked."""

    name: str = "openai"
    """The provider: ``openai`` (also Azure, vLLM, Ollama, llama.cpp and others, by ``base_url``), ``anthropic``,
    ``google``, ``systemone`` (services that decide, by ``/v1/systemone``), or one of yours."""
    model: str = Field(min_length=1, max_length=256)
    """The service's name for the model, as exact as it has one: with a date if there is one."""
    base_url: str = Field(default="", max_length=1024)
    """Address of the service; without it, the vendor's own."""
    key: str | None = Field(default=None, pattern=r"^([A-Z][A-Z0-9_]*_API_KEY)?$", max_length=128)
    """The environment variable with the key, such as ``AZURE_OPENAI_API_KEY``: its name must end so. Without it, the
    vendor's own (``OPENAI_API_KEY``); ``""`` for a service that needs none."""
    timeout_s: float = Field(default=30, gt=0, le=600)
    """Seconds for one attempt."""
    retries: int = Field(default=3, ge=0, le=10)
    """Further attempts after an error of the network, 429 or 5xx; the service may ask for a pause of up to a minute."""
    concurrency: int = Field(default=16, ge=1, le=MOST_AT_ONCE)
    """Most requests at a time."""
    thinking_tokens: int = Field(default=0, ge=0, le=100_000)
    """Tokens that a reasoning model may use before it answers, for each request."""
    cache: bool = True
    """Whether replies are kept in the user's cache directory, so that the same request costs nothing."""
    logprobs: Literal["auto", "never"] = "auto"
    """``auto``: confidence comes from log-probabilities if the service gives any, and otherwise from votes. It does not
    matter for ``systemone``, which always gives probabilities."""
    options: dict[str, JsonValue] = Field(default_factory=dict)
    """Further fields of each request, such as ``{ temperature = 0 }``."""

    @field_validator("key")
    @classmethod
    def _is_of_a_service(cls, value: str | None) -> str | None:
        if value and value.startswith("PURPORT_"):
            raise ValueError(f"provider.key cannot be {value}, which is for servers of purport")
        return value

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("provider.base_url must be an address such as https://llm.example.com/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(
                "provider.base_url must hold no user, password, query or fragment; provider.key has the key"
            )
        return value

    @field_validator("options")
    @classmethod
    def _are_free(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if taken := [name for name in _RESERVED if name in value]:
            raise ValueError(f"provider.options cannot set {taken[0]}, which the kind sets itself")
        return value

    def provider(self) -> type[Provider]:
        """The type of the provider.

        Raises:
            ProviderError: there is none of that name.
            DependencyMissing: its client is not installed.
        """
        with needs(f"the provider {self.name}", self.name):
            found: type[Provider] = registry.load("providers", self.name, ProviderError)
        return found

    def key_name(self, provider: type[Provider]) -> str:
        """The environment variable with the key; empty if there is none."""
        return provider.key if self.key is None else self.key

    def endpoint(self, provider: type[Provider], key: str) -> Endpoint:
        """Where and how to ask, with this ``key``."""
        return Endpoint(
            model=self.model,
            base_url=self.base_url or provider.url,
            key=SecretStr(key),
            key_name=self.key_name(provider),
            timeout_s=self.timeout_s,
            retries=self.retries,
            options=self.options,
        )


class Local(Frozen):
    """A model that runs in this process: every allowed answer is scored by its log-likelihood, nothing is generated."""

    model: str = Field(min_length=1, max_length=4096)
    """A directory with a causal model of ``transformers`` (weights as safetensors, with its tokenizer), or a file
    ``.gguf``. It is not copied into the bundle, which knows its checksum."""
    dtype: Literal["float32", "bfloat16", "float16", "auto"] = "float32"
    """Precision of the weights of a directory; ``auto``: as they are stored."""
    neutral: bool = True
    """Whether what the model says about texts without content is taken off (contextual calibration)."""


class PromptSpec(Frozen):
    """What the model is told."""

    file: str | None = None
    """A file with the instructions, in place of the usual ones. Labels, examples and rules for the form are added."""
    descriptions: dict[str, str] = Field(default_factory=dict)
    """A line about each label that its name does not explain."""
    out_of_scope: str = Field(default="the message asks for none of these", max_length=2000)
    """When no label applies."""
    examples: int = Field(default=0, ge=0, le=50)
    """Training rows per label that are shown, the most typical ones. Their texts are then in the bundle."""
    votes: int = Field(default=3, ge=1, le=MOST_VOTES)
    """Without log-probabilities: how often a text is asked, each time with the labels in another order."""
    most_characters: int = Field(default=4000, ge=100, le=100_000)
    """Longer texts are cut."""


class BudgetSpec(Frozen):
    """What a run may cost: one command, or one server with all its workers from start to end. A request that could cost
    more than is left is not made."""

    usd: float | None = Field(default=None, gt=0, le=1e6)
    """US dollars; needs the prices."""
    tokens: int | None = Field(default=None, gt=0, le=10**12)
    """Tokens of requests and answers together."""
    input_price: _Price | None = None
    """US dollars for a million tokens of input."""
    output_price: _Price | None = None
    """The same for output."""
    cached_price: _Price | None = None
    """The same for input that the service has in its cache; without it, as other input."""
    batch: float = Field(default=0.5, ge=0, le=1)
    """What a request in a batch (``--batch``) costs, as a share of these prices."""

    @model_validator(mode="after")
    def _has_prices(self) -> Self:
        if (self.input_price is None) != (self.output_price is None):
            raise ValueError("budget.input_price and budget.output_price belong together; add the other one")
        if self.usd is not None and self.input_price is None:
            raise ValueError("budget.usd needs budget.input_price and budget.output_price, as the service lists them")
        return self


class LlmRecipe(Recipe):
    """Kind ``llm``: a large language model behind a service or in this process; only the calibration is trained."""

    kind: Literal["llm"] = "llm"
    provider: Service | None = None
    local: Local | None = None
    prompt: PromptSpec = PromptSpec()
    budget: BudgetSpec = BudgetSpec()

    @model_validator(mode="after")
    def _asks_one_model(self) -> Self:
        if (self.provider is None) == (self.local is None):
            raise ValueError(
                "kind llm needs one of the tables provider (a service) and local (a model on this machine)"
            )
        if self.local is not None and self.budget != BudgetSpec():
            raise ValueError("budget is for a service; remove it, a local model costs nothing but time")
        return self
