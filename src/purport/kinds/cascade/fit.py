"""Builds a cascade: copies its stages, and chooses on validation rows what each of them settles."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Sequence

import numpy as np

from ...bundle import PARTS, Bundle
from ...classifier import Classifier
from ...data.shares import learned_prints, text_prints
from ...destination import MANIFEST
from ...errors import RecipeError
from ...progress import Progress
from ...runtime.asking import ask
from ..checks import Independence
from ..run import Fitted, Run
from .model import Cascade, CascadeFacts, Stage, StageFacts, columns
from .recipe import CascadeRecipe
from .target import DEFAULT, Point, Tried, choose

_TIMED = 40  # texts
_FEWEST = 50  # validation rows
_REMEDY = "this is a bug in purport, please report it with the recipe"


def fit(run: Run[CascadeRecipe]) -> Fitted:
    """Choose the scores below which stages pass texts on; see :func:`~.target.choose`.

    Raises:
        RecipeError: the bundles do not fit the recipe or each other.
        PromiseUnkept: no such cascade meets the target.
    """
    bundles = _copied(run)
    stages = [Stage(each, columns(each, run.labels.names), 2.0) for each in map(Classifier.open, bundles)]
    tried = _tried(run, stages)
    targets = run.recipe.stages.target or (DEFAULT,)
    chosen, curve = choose(tried, targets)
    cuts = (*chosen.pass_below, 0.0)
    reached = _reached(tried, cuts)
    facts = CascadeFacts(
        limit=bundles[-1].manifest.model.limit,
        unit=bundles[-1].manifest.model.unit,
        stages=tuple(
            StageFacts(
                part=bundle.path.name,
                kind=bundle.manifest.kind,
                bundle=bundle.manifest.id,
                pass_below=cut,
                reached=share,
                ms=round(ms, 3),
            )
            for bundle, cut, share, ms in zip(bundles, cuts, reached, tried.ms, strict=True)
        ),
        target=tuple(map(str, targets)),
        chosen=chosen,
        curve=tuple(curve),
    )
    for said in described(facts):
        run.say(said)
    model = Cascade([Stage(each.classifier, each.columns, cut) for each, cut in zip(stages, cuts, strict=True)])
    return Fitted(model, facts, checks=(Independence(_REMEDY),))


def described(facts: CascadeFacts) -> list[str]:
    """What the cascade does on the validation rows, a line for each stage and one for all."""
    point: Point = facts.chosen
    lines = [
        f"stage {number}, {stage.kind}: {stage.reached:.1%} of the texts, {stage.ms:.2g} ms each"
        + (f"; settles those with a score of {stage.pass_below:.3g} or more" if number < len(facts.stages) else "")
        for number, stage in enumerate(facts.stages, start=1)
    ]
    return [
        *lines,
        f"together: {point.right:.2%} of the validation rows exactly right, {point.points_lost:+.2f} points lost "
        f"against the last stage alone, {point.mean_ms:.2g} ms on average, {point.p95_ms:.2g} ms for 95 %",
    ]


def _copied(run: Run[CascadeRecipe]) -> list[Bundle]:
    """The stages as parts of the new bundle."""
    found = []
    for number, ref in enumerate(run.recipe.stages.bundles, start=1):
        bundle = Bundle.open(ref)
        if bundle.manifest.task is not run.recipe.task or set(bundle.labels) != set(run.labels):
            raise RecipeError(f"stages.bundles: {ref} must have the same task and the same labels as the data")
        target = run.stage / PARTS / f"{number}-{bundle.manifest.kind}"
        for name in (MANIFEST, *bundle.manifest.files):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle.path / name, target / name)
        found.append(Bundle.open(target))
    return found


def _tried(run: Run[CascadeRecipe], stages: Sequence[Stage]) -> Tried:
    """What each stage makes of the validation rows that none of them has learned from."""
    rows = _fresh(run, stages)
    texts, gold = [run.valid.texts[row] for row in rows], run.valid.gold[rows]
    score, right, ms = [], [], []
    for stage in stages:
        run.reporter.emit(Progress(f"asking the stage {stage.classifier.bundle.path.name}"))
        answers = ask(stage.classifier.answer, texts, run.reporter)
        decided = stage.classifier.decide(answers).labels[:, stage.columns]
        right.append((decided == gold).all(axis=1))
        score.append(stage.score(answers))
        ms.append(_milliseconds(stage, texts[:_TIMED]))
    return Tried(np.stack(score), np.stack(right), ms)


def _fresh(run: Run[CascadeRecipe], stages: Sequence[Stage]) -> list[int]:
    prints = text_prints(run.valid.texts)
    seen = np.zeros(len(prints), dtype=np.bool_)
    for stage in stages:
        seen |= np.isin(prints, learned_prints(stage.classifier.bundle.path))
    rows = np.flatnonzero(~seen).tolist()
    if seen.any():
        run.say(f"{int(seen.sum())} of {len(seen)} validation rows are left out: a stage has learned from them")
    if len(rows) < min(_FEWEST, len(seen)):
        raise RecipeError(
            f"only {len(rows)} validation rows are left that no stage has learned from ({_FEWEST} are needed); train "
            "the stages with the same data.valid and the same seed as this recipe"
        )
    return rows


def _milliseconds(stage: Stage, texts: Sequence[str]) -> float:
    """The median for one text, asked alone."""
    seconds = []
    for text in (texts[0], *texts):
        began = time.perf_counter()
        stage.classifier.answer([text])
        seconds.append(time.perf_counter() - began)
    return 1e3 * statistics.median(seconds[1:])


def _reached(tried: Tried, cuts: Sequence[float]) -> list[float]:
    here, found = np.ones(tried.score.shape[1], dtype=np.bool_), []
    for score, cut in zip(tried.score, cuts, strict=True):
        found.append(float(here.mean()))
        here = here & (score < np.float32(cut))
    return found
