"""The model of kind ``llm``: what a language model's service answers, as logits."""

from __future__ import annotations

import os
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from ...bundle import Bundle
from ...contents import read_json
from ...errors import BundleCorrupt, BundleUnsupported, DeviceUnavailable
from ...labels import LabelSet, Task
from ...manifest import ModelFacts, Share
from ...model import BoolArray, FloatArray, Lengths, Model, Traits, Usage
from ...progress import Reporter
from ...runtime.calibration import Scores, calibrated
from ...settings import PROVIDER_URLS
from .decisions import Questions
from .local import open_local
from .parsing import shares
from .prompt import PROMPT_FILE, Prompt, PromptFile
from .provider import Method, Request
from .recipe import MOST_AT_ONCE, MOST_VOTES, BudgetSpec, PromptSpec, Service
from .service import Answer, Asker

_BATCH = 256
_FLOOR = 1e-4  # of probability, shared by all labels: no log-probability is taken for certain


class LlmFacts(ModelFacts):
    """Manifest facts of kind ``llm``: which service is asked, and where confidence comes from.

    ``at_once`` is the number of texts whose requests fit into ``provider.concurrency``.

    ``usage`` is what the training run took; ``order_changes`` is the share of its texts that got another answer when
    the labels were listed in another order.
    """

    unit: str = "characters"
    provider: Service
    budget: BudgetSpec
    confidence: Method
    votes: Annotated[int, Field(ge=1, le=MOST_VOTES)]
    at_once: Annotated[int, Field(ge=1, le=MOST_AT_ONCE)]
    usage: Usage = Usage()
    order_changes: Share | None = None


class LlmScorer:
    """Logits from the answers of a language model.

    multiclass: the logarithm of each label's share of the answers; "none of these" counts for all labels alike, so that
    none of them is probable. multilabel: the logarithm of the odds that a label is among the answers. The shares are
    those of the votes, smoothed by one vote in all (Perks 1947), or the probabilities of the labels as the service has
    them. A service that decides (:class:`~.provider.Abilities`) always has some, and is asked about many labels in
    several requests.

    Raises:
        ProviderError: the service cannot choose between so many labels.
    """

    def __init__(
        self, facts: LlmFacts, written: PromptFile, labels: LabelSet, task: Task, asker: Asker | None = None
    ) -> None:
        self._facts = facts
        orders = facts.votes if facts.confidence == "votes" else 1
        self._decides = facts.provider.provider().abilities.decides
        self._prompt: Prompt | Questions = (
            Questions.of(written, labels, task, facts.provider)
            if self._decides
            else Prompt.of(written, labels, task, orders, facts.provider.thinking_tokens)
        )
        self.asker = asker or Asker(facts.provider, facts.budget)
        self._voted = self._split = 0
        self.traits = Traits(remote=True, deterministic=False, max_batch=_BATCH)

    @property
    def usage(self) -> Usage:
        """See :class:`~purport.model.Metered`."""
        return self.asker.usage

    def lengths(self, texts: Sequence[str]) -> Lengths:
        """See :class:`~purport.runtime.calibration.Scorer`."""
        return Lengths("characters", self._facts.limit, np.array([len(text) for text in texts], dtype=np.int64))

    def score(self, texts: Sequence[str]) -> Scores:
        """See :class:`~purport.runtime.calibration.Scorer`. A text without a usable reply is ``unanswered``.

        Raises:
            ProviderError: the service fails.
            BudgetSpent: the budget does not allow it.
        """
        prompt, requests = self._prompt, list(map(self._requests, texts))
        found = iter(self.asker.ask([each for together in requests for each in together]))
        cost = np.zeros((len(texts), 2))
        logits = np.zeros((len(texts), len(prompt.labels)), dtype=np.float32)
        unanswered = np.zeros(len(texts), dtype=np.bool_)
        for row in range(len(texts)):
            asked = [next(found) for _ in requests[row]]
            cost[row] = np.sum([each.cost for each in asked], axis=0)
            given = [each.answer for each in asked]
            answers = [] if self._decides and None in given else [each for each in given if each is not None]
            unanswered[row] = not answers
            if answers:
                logits[row] = self._logits(answers)
            if len(answers) > 1 and not self._decides:
                self._voted += 1
                self._split += len({frozenset(each.chosen) for each in answers}) > 1
        if unanswered.any():
            self.asker.unanswered(int(unanswered.sum()))
        lengths = self.lengths(texts)
        return Scores(logits, lengths.counts > lengths.limit, unanswered=unanswered, cost=cost)

    def prefetch(self, texts: Sequence[str], reporter: Reporter) -> None:
        """See :class:`~purport.model.Batching`."""
        self.asker.batch([each for text in texts for each in self._requests(text)], reporter)

    def has(self, texts: Sequence[str]) -> BoolArray:
        """See :class:`~purport.model.Keeping`."""
        return np.array([all(map(self.asker.has, self._requests(text))) for text in texts], dtype=np.bool_)

    def _requests(self, text: str) -> list[Request]:
        """What is asked about ``text``."""
        return self._prompt.requests(text[: self._facts.limit], logprobs=self._facts.confidence == "scores")

    @property
    def order_changes(self) -> float | None:
        """The share of texts so far whose votes differ; ``None`` if there were no votes."""
        return round(self._split / self._voted, 4) if self._voted else None

    def probe(self, text: str) -> bool:
        """Whether the service gives log-probabilities: asks it about ``text``.

        Raises:
            ProviderError: the service fails.
        """
        ((answer, _),) = self.asker.ask(self._prompt.requests(text, logprobs=True)[:1])
        return answer is not None and self._likely([answer]) is not None

    def _logits(self, answers: Sequence[Answer]) -> FloatArray:
        """``(n_labels,) float32`` from the answers to one text."""
        share, several = self._shares(answers), self._prompt.several
        with np.errstate(divide="ignore"):
            if several:
                found: FloatArray = (np.log(share) - np.log1p(-share)).astype(np.float32)
                return found
            *inside, none = share
            spread: FloatArray = np.log(np.array(inside) + none / len(inside)).astype(np.float32)
            return spread

    def _shares(self, answers: Sequence[Answer]) -> NDArray[np.float64]:
        """The share of each of the answers that are allowed, ``(n_answers,)``, above 0 and below 1."""
        names, several = self._prompt.answers, self._prompt.several
        if self._facts.confidence == "scores" and (likely := self._likely(answers)) is not None:
            if several:
                return np.clip(likely, _FLOOR, 1 - _FLOOR)
            scored: NDArray[np.float64] = (1 - _FLOOR) * likely + _FLOOR / len(names)
            return scored
        at = {name: column for column, name in enumerate(names)}
        votes = np.zeros(len(names))
        for answer in answers:
            votes[[at[name] for name in answer.chosen]] += 1
        prior = 0.5 if several else 1 / len(names)
        smoothed: NDArray[np.float64] = (votes + prior) / (len(answers) + 1)
        return smoothed

    def _likely(self, answers: Sequence[Answer]) -> NDArray[np.float64] | None:
        """The probability of each answer as the service gives it; ``None`` if it gives none."""
        several, answer = self._prompt.several, answers[0]
        if self._decides:
            return np.concatenate([each.reply.probabilities for each in answers])
        if several and not answer.chosen and answer.reply.tokens:
            return np.zeros(len(self._prompt.answers))
        return shares(answer.reply.tokens, self._prompt.answers, several=several)


def open_model(bundle: Bundle, *, device: str = "cpu", threads: int | None = None) -> Model:
    """The model of ``bundle``. No service is asked, and no key is needed, before the first text.

    Raises:
        DeviceUnavailable: the model does not run on ``device``; one behind a service only on the CPU.
        DependencyMissing: the client of the service, or what runs a local model, is not installed.
        BundleUnsupported: the bundle asks an address that is not allowed here, or needs a local model that is not here.
        ProviderError: the local model cannot be loaded.
        BundleCorrupt: the prompt cannot be read.
    """
    try:
        written = PromptFile.model_validate(read_json(bundle.path, PROMPT_FILE))
    except ValidationError as error:
        raise BundleCorrupt(bundle.path, PROMPT_FILE, f"is no prompt ({error.error_count()} problems)") from None
    if getattr(bundle.manifest.model, "local", None) is not None:
        return open_local(bundle, written, device=device, threads=threads)
    if device != "cpu":
        raise DeviceUnavailable(f'a remote model only runs on the CPU, not on "{device}"; omit --device')
    facts = bundle.facts(LlmFacts)
    _require_allowed(bundle, facts.provider)
    asker = Asker(facts.provider, facts.budget, account=bundle.manifest.id)
    return calibrated(LlmScorer(facts, written, bundle.labels, bundle.manifest.task, asker), bundle)


def _require_allowed(bundle: Bundle, service: Service) -> None:
    """Check that whoever made the bundle does not send texts and a key of this machine to an address of theirs.

    Raises:
        BundleUnsupported: the address is not the vendor's, not this machine, and not in ``PURPORT_PROVIDER_URLS``.
    """
    allowed = [each.strip().rstrip("/") for each in os.environ.get(PROVIDER_URLS, "").split(",")]
    url = service.base_url.rstrip("/")
    if not url or url in allowed or url == service.provider().url.rstrip("/") or _is_here(url):
        return
    raise BundleUnsupported(
        f"{bundle.path} sends texts and a key to {url}; if you trust that address, allow it: "
        f"{PROVIDER_URLS}={url} (several with commas)"
    )


def _is_here(url: str) -> bool:
    """Whether ``url`` is on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def facts_of(prompt: PromptSpec, service: Service, budget: BudgetSpec, confidence: Method) -> LlmFacts:
    """The facts of a new model."""
    return LlmFacts(
        limit=prompt.most_characters,
        provider=service,
        budget=budget,
        confidence=confidence,
        votes=prompt.votes,
        at_once=max(1, service.concurrency // (prompt.votes if confidence == "votes" else 1)),
    )
