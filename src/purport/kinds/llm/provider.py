"""The seam to services of language models: one request, one reply, and what a provider can do.

Providers are registered in the entry-point group ``purport.providers``. Each uses its vendor's own client, because what
makes a classifier good (answers from a closed set, log-probabilities, caching of prefixes) differs between them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

from pydantic import SecretStr

from ...errors import ProviderError

MULTICLASS, MULTILABEL = "label", "labels"
"""The one key of an answer: a label, or a list of labels."""
_LONGEST_REASON = 300
_NOT = "the label does not apply"


@dataclass(frozen=True)
class Request:
    """One question.

    Attributes:
        system: instructions, labels and examples; the same for all texts, so that services can cache it.
        user: the text, as a JSON string.
        labels: the answers that are allowed.
        several: whether any number of them is an answer, or exactly one.
        max_tokens: most tokens of the reply.
        logprobs: whether log-probabilities are wanted.
        criteria: what each of ``labels`` means, for a service that decides (:class:`Abilities`); empty for others.
    """

    system: str
    user: str
    labels: tuple[str, ...]
    several: bool
    max_tokens: int
    logprobs: bool = False
    criteria: tuple[str, ...] = ()

    @property
    def given(self) -> str:
        """All that the service may count as input."""
        if self.criteria:
            return f"{self.user}{json.dumps(self.questions)}"
        return f"{self.system}{self.user}{self.schema}"

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The allowed answers as a JSON schema."""
        one = {"type": "string", "enum": list(self.labels)}
        key, value = (MULTILABEL, {"type": "array", "items": one}) if self.several else (MULTICLASS, one)
        return {"type": "object", "properties": {key: value}, "required": [key], "additionalProperties": False}

    @cached_property
    def questions(self) -> dict[str, Any]:
        """The same as questions of the System One protocol: which label applies, or of each whether it does."""
        meanings = dict(zip(self.labels, self.criteria, strict=True))
        if not self.several:
            return {MULTICLASS: {"type": "choice", "instructions": self.system, "criteria": meanings}}
        return {
            name: {
                "type": "noul",
                "instructions": f'{self.system} Does the label "{name}" apply?',
                "criteria": {"true": about, "false": _NOT},
            }
            for name, about in meanings.items()
        }


class Token(NamedTuple):
    """A token of a reply, and what could have stood there: texts with their log-probabilities."""

    text: str
    alternatives: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a service answered.

    Attributes:
        text: the answer, empty if there is none.
        tokens: its tokens with log-probabilities; empty where the service gives none.
        probabilities: those of each label of the request, from a service that decides. For one label they sum to 1, for
            several each is that of the label alone.
        input_tokens: tokens of the request, those from the service's cache included; ``None`` if it does not say.
        output_tokens: tokens of the answer, likewise.
        cached_tokens: those of the request that the service had in its cache.
        written_tokens: those of the request that it now put there, where that costs extra.
        refused: why the service does not answer this text, if it says so.
        seconds: how long it took.
        batch: whether it came with a batch, at the price of one.
        lost: attempts before this one without any response, which the service may have billed.
    """

    text: str
    tokens: tuple[Token, ...] = ()
    probabilities: tuple[float, ...] = ()
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0
    written_tokens: int = 0
    refused: str = ""
    lost: int = 0
    seconds: float = 0.0
    batch: bool = False


@dataclass
class Attempts:
    """The attempts of one call: how many requests went out, and how many had a response."""

    asked: int = 0
    answered: int = 0

    def __post_init__(self) -> None:
        LAST_ATTEMPTS.set(self)

    @property
    def lost(self) -> int:
        """Those that had none."""
        return self.asked - self.answered


LAST_ATTEMPTS: ContextVar[Attempts | None] = ContextVar("attempts", default=None)
"""Those of the last call in this task: a call that is cancelled cannot say what it has lost."""


class Unanswered(ProviderError):
    """The service did not answer; ``lost`` attempts had no response at all, and may have been billed."""

    def __init__(self, message: str, lost: int = 0) -> None:
        self.lost = lost
        super().__init__(message)


@dataclass(frozen=True)
class Endpoint:
    """Where and how to ask. ``key_name`` is the environment variable that ``key`` comes from."""

    model: str
    base_url: str
    key: SecretStr
    key_name: str
    timeout_s: float
    retries: int
    options: Mapping[str, Any] = field(default_factory=dict)

    def cleaned(self, message: str) -> str:
        """``message`` of a service, short and without the key, for an error."""
        secret = self.key.get_secret_value()
        said = message.replace(secret, "***") if secret else message
        said = " ".join(said.split())
        return said if len(said) <= _LONGEST_REASON else f"{said[:_LONGEST_REASON]} …"


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a provider can do: keep answers to a schema, give log-probabilities, take batches, cache prefixes.

    ``write_price`` is the price of a token that it puts into its cache, in tokens of input. A provider that ``decides``
    writes no text: its replies have :attr:`Reply.probabilities`, and its requests :attr:`Request.criteria`, at most
    ``most_labels`` of them.
    """

    constrains: bool = False
    logprobs: bool = False
    batches: bool = False
    caches: bool = False
    write_price: float = 1.0
    decides: bool = False
    most_labels: int = 0


class Provider(Protocol):
    """A service of language models, made from an :class:`Endpoint`. It is used in one event loop."""

    abilities: ClassVar[Abilities]
    url: ClassVar[str]
    """Where the vendor's own service is."""
    key: ClassVar[str]
    """The environment variable that usually has the key."""
    extra: ClassVar[str]
    """The extra of ``purport`` that installs the client."""

    def __init__(self, endpoint: Endpoint) -> None: ...

    async def complete(self, request: Request) -> Reply:
        """The reply to ``request``; what the network or an overloaded service spoils is tried again.

        Raises:
            Unanswered: there is none.
        """
        ...


@dataclass(frozen=True, slots=True)
class BatchState:
    """How far a batch is: ``done`` requests have a result. ``failure`` says why the service refuses it as a whole."""

    done: int
    ended: bool
    failure: str = ""


class Batches(Protocol):
    """A :class:`Provider` whose abilities say that it takes batches."""

    async def send(self, requests: Mapping[str, Request]) -> str:
        """Send ``requests``, each with a name of at most 64 letters and digits, as one batch; the id of the batch.

        Raises:
            Unanswered: the service does not take it.
        """
        ...

    async def state(self, batch: str) -> BatchState:
        """How far ``batch`` is.

        Raises:
            Unanswered: the service does not say.
        """
        ...

    async def replies(self, batch: str) -> dict[str, Reply]:
        """The reply to each request of a ``batch`` that has ended, by name; ``refused`` where it failed.

        Raises:
            Unanswered: the service does not say.
        """
        ...


Method = Literal["scores", "votes"]
"""Where confidence comes from: probabilities that the service gives, or answers for several orders of the labels."""
