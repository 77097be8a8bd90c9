"""Makes a bundle of a local language model: what it says without content, and whether texts may share work."""

from __future__ import annotations

from ...errors import RecipeError
from ...wording import count
from ..checks import Independence
from ..run import Fitted, Run
from .local import LocalFacts, LocalScorer, load
from .prompt import PromptFile
from .recipe import LlmRecipe, Local
from .weights import checksum, found

_LEAST_ROOM = 64  # tokens for a text
_TRIED = 3  # training texts
_REMEDY = 'set local.dtype = "float32"'
_ALONE = 32  # texts that are answered again: each takes as long as a language model takes


def fit_local(run: Run[LlmRecipe], local: Local, written: PromptFile) -> Fitted:
    """Load the model, compare its shortcuts with reading each answer alone, and ask it about texts without content.

    Raises:
        RecipeError: the prompt leaves no room for a text.
        ProviderError: the model cannot be loaded.
        DependencyMissing: what runs it is not installed.
    """
    path = found(local.model)
    run.say(f"loading {path}")
    model = load(path, local)
    facts = LocalFacts(
        limit=run.recipe.prompt.most_characters,
        local=local.model_copy(update={"model": str(path)}),
        checksum=checksum(path),
    )
    scorer = LocalScorer(facts, written, run.labels, run.recipe.task, model)
    if scorer.spare < _LEAST_ROOM:
        raise RecipeError(
            f"the prompt leaves {count(max(0, scorer.spare), 'token')} for a text, of the {model.context:,} that "
            f"{path.name} reads; set prompt.examples lower, shorten the descriptions, or take a model that reads more"
        )
    packed = scorer.verified(run.train.texts[:_TRIED])
    if not packed:
        run.say(
            f"warning: {path.name} reads each answer alone, which is slow: answers that share work came out otherwise"
        )
    facts = facts.model_copy(update={"packed": packed})
    if local.neutral:
        facts = facts.model_copy(update={"neutral": scorer.neutral()})
    run.say(f"scoring {count(len(run.labels), 'label')} with {path.name}; confidence comes from log-likelihoods")
    final = LocalScorer(facts, written, run.labels, run.recipe.task, model)
    return Fitted(final, facts, checks=(Independence(_REMEDY, most=_ALONE),))
