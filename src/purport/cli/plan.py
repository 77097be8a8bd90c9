"""``purport plan``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from ..kinds.cascade.plan import Proposal


def plan(
    bundles: Annotated[
        list[str],
        typer.Argument(metavar="BUNDLE...", help="Two or more bundles of the same labels, in any order."),
    ],
    target: Annotated[
        list[str] | None,
        typer.Option(
            help='What must hold: "points_lost <= 0.2", "passed_on <= 5%", "p95_ms <= 20" or "cost <= 1 per 1000"; '
            "several times for several.  [default: points_lost <= 0.2]"
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Recipe to write.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the recipe if there is one.")] = False,
) -> None:
    """Propose a cascade: cheap bundles first, each passing on to the next what it does not settle.

    The bundles answer the validation rows of the one that was named last; rows that any of them has learned from are
    left out. Shows what each order of two or three of them would give, and the recipe of the best. Where one bundle
    alone does as well, there is no recipe, and the command exits with 70.

    Examples:

        purport plan bundles/linear bundles/encoder

        purport plan bundles/linear bundles/encoder --target "passed_on <= 20%" --output cascade.toml

        purport train cascade.toml --out bundles/cascade
    """
    from ..classifier import Classifier
    from ..errors import FlagInvalid, OutputExists, PromiseUnkept
    from ..files import require_parent, write_text
    from ..kinds.cascade.plan import propose
    from ..kinds.cascade.target import DEFAULT, Target
    from ..training.recipe import parse_recipe
    from .console import metering, out, reporting

    if len(bundles) < 2:
        raise FlagInvalid("name at least two bundles")
    if output is not None:
        require_parent(output)
        if output.exists() and not overwrite:
            raise OutputExists(
                f"{output} already exists; pass --output to name another file, or --overwrite to replace it"
            )
    try:
        targets = tuple(Target.parse(each) for each in target or [str(DEFAULT)])
    except ValueError as error:
        raise FlagInvalid(f"--target: {error}") from None
    opened = [(ref, Classifier.open(ref)) for ref in bundles]
    if len({each.bundle.manifest.id for _, each in opened}) < len(opened):
        raise FlagInvalid("a bundle is named twice; name different ones")
    recipe = parse_recipe(dict(opened[-1][1].bundle.manifest.recipe))
    with reporting() as reporter, metering(*(each for _, each in opened)):
        found = propose(opened, recipe.data.load(recipe.task, recipe.seed, reporter), targets, reporter)
    if found[0].point is None:
        raise PromiseUnkept("\n".join(f"{' → '.join(each.bundles)}: {each.why}" for each in found))
    out.print(_table(found))
    if alone := found[0].why_alone(targets):
        raise PromiseUnkept(alone)
    written = found[0].recipe(recipe, targets)
    if output is None:
        out.print(written)
        return
    write_text(output, written)
    out.print(f"written to {output}\nnext: purport train {output} --out bundles/cascade")


def _table(found: Sequence[Proposal]) -> Table:
    from rich.table import Table

    table = Table("stages", "exactly right", "against the last", "passed on", "mean", "95 % within")
    costs = any(each.point is not None and each.point.cost for each in found)
    if costs:
        table.add_column("cost of 1,000")
    table.columns[0].overflow = "fold"
    for each in found:
        if each.point is not None:
            point = each.point
            table.add_row(
                " → ".join(each.bundles), f"{point.right:.2%}", f"{point.against_the_last} ± {point.error:.2f}",
                f"{point.passed_on:.1%}", f"{point.mean_ms:.2g} ms", f"{point.p95_ms:.2g} ms",
                *([f"${point.cost:.3g}"] if costs else []),
            )  # fmt: skip
    return table
