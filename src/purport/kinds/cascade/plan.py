"""Proposes a cascade of given bundles for a target."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ...classifier import Classifier
from ...data.dataset import Dataset
from ...errors import PromiseUnkept
from ...progress import Reporter
from ..recipe import Recipe
from ..run import Rows
from .target import DEFAULT, Point, Target, choose
from .trying import stage_of, try_stages

_MOST_STAGES = 3


@dataclass(frozen=True)
class Proposal:
    """Bundles in order, cheapest first, and what the best choice of cuts gives; ``why`` says that none is possible."""

    bundles: tuple[str, ...]
    point: Point | None
    why: str = ""

    def why_alone(self, targets: Sequence[Target]) -> str:
        """Why no cascade of these is worth it: the best passes nothing on. Empty where it does."""
        if self.point is None or self.point.pass_below[0] > 0:
            return ""
        first, last = self.bundles[0], self.bundles[-1]
        return (
            f"no cascade of these is worth it: {first} alone meets {' and '.join(map(str, targets or (DEFAULT,)))}. It "
            f"has {self.point.against_the_last} of the validation rows exactly right than {last}, and is faster. Use "
            f"{first}, or name a better bundle beside it"
        )

    def recipe(self, source: Recipe, targets: Sequence[Target]) -> str:
        """A recipe for ``purport train`` as TOML, with the data of ``source``, the recipe of one of the bundles."""
        # Rows for a promise, which a recipe can only name with one.
        data = source.data.model_dump(mode="json", exclude_defaults=True, exclude={"calibration"})
        lines = ['kind = "cascade"', f'task = "{source.task}"', f"seed = {source.seed}", "", "[data]"]
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in data.items()]
        lines += [
            "",
            "[stages]",
            f"bundles = {json.dumps(self.bundles)}",
            f"target = {json.dumps([*map(str, targets)])}",
        ]
        return "\n".join(lines) + "\n"


def propose(
    opened: Sequence[tuple[str, Classifier]], dataset: Dataset, targets: Sequence[Target], reporter: Reporter
) -> list[Proposal]:
    """Cascades of two or three of the bundles that were ``opened``, the best for ``targets`` first.

    Bundles are put in the order of the time that they take for a text. Those that cannot meet the targets come last.

    Raises:
        RecipeError: the bundles do not fit the data, or there are too few validation rows.
    """
    valid = Rows(list(dataset["valid"].texts), dataset.labels.encode(dataset["valid"].gold))
    stages = [stage_of(classifier, dataset.task, dataset.labels) for _, classifier in opened]
    tried = try_stages(stages, valid, reporter)
    targets = targets or (DEFAULT,)
    order, found = sorted(range(len(opened)), key=tried.ms.__getitem__), []
    for size in range(2, min(_MOST_STAGES, len(opened)) + 1):
        for chosen in combinations(order, size):
            part = tried.only(chosen)
            names = tuple(opened[each][0] for each in chosen)
            try:
                found.append(Proposal(names, choose(part, targets)[0]))
            except PromiseUnkept as error:
                found.append(Proposal(names, None, str(error)))
    most = float(np.max(tried.right.mean(axis=1)))
    return sorted(found, key=lambda each: _worth(each, targets, most))


def _worth(proposal: Proposal, targets: Sequence[Target], most: float) -> tuple[bool, float, float]:
    """The smaller, the better: points lost are lost against the best of all bundles, not the last of these."""
    point = proposal.point
    if point is None:
        return True, 0.0, 0.0
    allowed = next((target.level for target in targets if target.quantity == "points_lost"), None)
    if allowed is None:
        return False, -point.right, point.mean_ms
    return False, max(0.0, 100 * (most - point.right) - allowed), point.mean_ms
