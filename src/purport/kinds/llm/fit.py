"""Builds the prompt of a language model; nothing is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from ...errors import RecipeError, did_you_mean
from ...manifest import ModelFacts
from ...wording import percent
from ..run import Fitted, Rows, Run
from .local_fit import fit_local
from .model import LlmScorer, facts_of
from .prompt import INSTRUCTIONS, PROMPT_FILE, Example, PromptFile
from .provider import Method
from .recipe import LlmRecipe, Service

_ALIKE = 0.5  # how much less an example is worth that says the same as one that is chosen


def fit(run: Run[LlmRecipe]) -> Fitted:
    """Write the prompt. A service is asked about one training text to see where confidence can come from.

    Raises:
        RecipeError: the prompt's file cannot be read, or a description is of no label, or the local model has no room
            for the prompt.
        ProviderError: the service does not answer or cannot choose between so many labels, or the local model cannot be
            loaded.
        DependencyMissing: what runs a local model is not installed.
    """
    written = _prompt(run)
    (run.stage / PROMPT_FILE).write_text(written.model_dump_json(indent=1) + "\n", "utf-8")
    if run.recipe.local is not None:
        return fit_local(run, run.recipe.local, written)
    assert run.recipe.provider is not None, "a recipe has one of both"
    return _fit_remote(run, run.recipe.provider, written)


def _fit_remote(run: Run[LlmRecipe], service: Service, written: PromptFile) -> Fitted:
    recipe = run.recipe
    abilities = service.provider().abilities
    confidence: Method = "scores" if abilities.decides else "votes"
    facts = facts_of(recipe.prompt, service, recipe.budget, confidence)
    scorer = LlmScorer(facts, written, run.labels, recipe.task)
    if service.logprobs == "auto" and abilities.logprobs and scorer.probe(run.train.texts[0]):
        confidence, facts = "scores", facts_of(recipe.prompt, service, recipe.budget, "scores")
        scorer = LlmScorer(facts, written, run.labels, recipe.task, scorer.asker)
    native = "the service's probabilities" if abilities.decides else "log-probabilities"
    how = native if confidence == "scores" else f"{recipe.prompt.votes} orders of the labels"
    run.say(f"asking {service.model} ({service.name}); confidence comes from {how}")

    def final() -> ModelFacts:
        changes = scorer.order_changes
        if changes is not None:
            run.say(f"{percent(changes)} of the texts get another answer when the labels are listed in another order")
        return facts.model_copy(update={"usage": scorer.usage, "order_changes": changes})

    # Each text is a request of its own: there is no batch that an answer could depend on.
    return Fitted(scorer, facts, checks=(), final=final)


def _prompt(run: Run[LlmRecipe]) -> PromptFile:
    spec, labels = run.recipe.prompt, run.labels
    instructions = INSTRUCTIONS
    if spec.file is not None:
        try:
            instructions = Path(spec.file).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise RecipeError(f"cannot read prompt.file {spec.file}: {reason}; check the path") from None
    for name in spec.descriptions:
        if name not in labels:
            raise RecipeError(f'prompt.descriptions: there is no label "{name}".{did_you_mean(name, labels.names)}')
    examples = [
        Example(text=run.train.texts[row], labels=tuple(labels.names[i] for i in np.flatnonzero(run.train.gold[row])))
        for row in typical(run.train, spec.examples)
    ]
    return PromptFile(
        instructions=instructions,
        out_of_scope=spec.out_of_scope,
        descriptions=spec.descriptions,
        examples=tuple(examples),
    )


def typical(rows: Rows, per_label: int) -> list[int]:
    """The rows to show: for each label, and for none, those most like all others of it and least like each other.

    Likeness is the cosine of TF-IDF vectors of characters; each next row is that with the best balance of both (maximal
    marginal relevance, Carbonell & Goldstein 1998).
    """
    if not per_label:
        return []
    try:
        vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True).fit_transform(rows.texts)
    except ValueError:  # the library's: there is no character to count
        return []
    found: dict[int, None] = {}
    columns = [*rows.gold.T, ~rows.gold.any(axis=1)]
    for column in columns:
        own = np.flatnonzero(column)
        if not len(own):
            continue
        part = vectors[own]
        central = np.asarray(part @ part.mean(axis=0).T).ravel()
        near = np.zeros(len(own))
        for _ in range(min(per_label, len(own))):
            best = int(np.argmax(np.where(near >= 1, -np.inf, central - _ALIKE * near)))
            if near[best] >= 1:
                break
            found[int(own[best])] = None
            near = np.maximum(near, np.asarray((part @ part[best].T).todense()).ravel())
            near[best] = 1.0
    return list(found)
