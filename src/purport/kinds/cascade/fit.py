"""Builds a cascade: copies its stages, and chooses on validation rows what each of them settles."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

import numpy as np

from ...bundle import PARTS, Bundle
from ...classifier import Classifier
from ...destination import MANIFEST
from ...errors import RecipeError
from ..checks import Independence
from ..run import Fitted, Run
from .model import Cascade, CascadeFacts, Stage, StageFacts
from .recipe import CascadeRecipe
from .target import DEFAULT, Tried, choose
from .trying import stage_of, try_stages

_REMEDY = "this is a bug in purport, please report it with the recipe"


def fit(run: Run[CascadeRecipe]) -> Fitted:
    """Choose the scores below which stages pass texts on; see :func:`~.target.choose`.

    Raises:
        RecipeError: the bundles do not fit the recipe or each other.
        PromiseUnkept: no such cascade meets the target.
    """
    opened = [Classifier.open(ref) for ref in run.recipe.stages.bundles]
    if len({each.bundle.manifest.id for each in opened}) < len(opened):
        raise RecipeError("stages.bundles names a bundle twice; name different ones")
    stages = [stage_of(each, run.recipe.task, run.labels) for each in opened]
    tried = try_stages(stages, run.valid, run.reporter)
    targets = run.recipe.stages.target or (DEFAULT,)
    chosen, curve = choose(tried, targets)
    cuts = (*chosen.pass_below, 0.0)
    last = opened[-1].bundle.manifest.model
    model = Cascade([Stage(each.classifier, each.columns, cut) for each, cut in zip(stages, cuts, strict=True)])
    facts = CascadeFacts(
        limit=last.limit,
        unit=last.unit,
        stages=_stages([_copied(each.bundle, run, number) for number, each in enumerate(opened, 1)], tried, cuts),
        target=tuple(map(str, targets)),
        chosen=chosen,
        curve=tuple(curve),
        at_once=min((each for each in map(_at_once, opened) if each), default=0),
    )
    for said in facts.described():
        run.say(said)
    decisions = [] if run.recipe.decide.promise else [each.bundle.manifest.decision for each in reversed(opened)]
    # Asking a service again costs money, and it may answer otherwise.
    checks = () if facts.at_once else (Independence(_REMEDY),)
    return Fitted(model, facts, checks=checks, decisions=decisions)


def _at_once(stage: Classifier) -> int:
    found = getattr(stage.bundle.manifest.model, "at_once", 0)
    return found if isinstance(found, int) else 0


def _copied(bundle: Bundle, run: Run[CascadeRecipe], number: int) -> Bundle:
    """``bundle`` as a part of the new one."""
    target = run.stage / PARTS / f"{number}-{bundle.manifest.kind}"
    for name in (MANIFEST, *bundle.manifest.files):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.path / name, target / name)
    return Bundle.open(target)


def _stages(bundles: Sequence[Bundle], tried: Tried, cuts: Sequence[float]) -> tuple[StageFacts, ...]:
    here, found = np.ones(tried.score.shape[1], dtype=np.bool_), []
    for bundle, score, cut, ms in zip(bundles, tried.score, cuts, tried.ms, strict=True):
        found.append(
            StageFacts(
                part=bundle.path.name,
                kind=bundle.manifest.kind,
                bundle=bundle.manifest.id,
                pass_below=cut,
                reached=float(here.mean()),
                ms=round(ms, 3),
            )
        )
        here = here & (score < np.float32(cut))
    return tuple(found)
