"""``purport train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    recipe: Annotated[Path, typer.Argument(help="TOML file that decides the run, e.g. recipes/sample.toml.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Directory of the new bundle.")],
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one value of the recipe, e.g. --set fit.epochs=3. May be repeated."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the unfinished run of this bundle.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the bundle and any unfinished run.")] = False,
    keep_run: Annotated[
        bool, typer.Option("--keep-run", help="Keep checkpoints and TensorBoard logs in OUT.run.")
    ] = False,
) -> None:
    """Train a bundle from a recipe.

    Checkpoints go to OUT.run, so that an interrupted run can go on with --resume; the bundle appears at OUT
    only when it is whole and its checks have passed.

    Examples:

        purport train recipes/sample-linear.toml --out bundles/sample

        purport train recipes/sample.toml --out bundles/sample --set seed=2 --set fit.epochs=5

        torchrun --nproc-per-node 2 -m purport train recipes/atis-teacher.toml --out bundles/atis-teacher

    Under torchrun all processes need the same disk, and the data on it already (`purport data atis` fetches it).
    """
    import os
    from contextlib import nullcontext

    from ..progress import SILENT
    from ..training.pipeline import train as run
    from ..training.recipe import load_recipe
    from .console import err, reporting
    from .console import out as console
    from .exits import INTERRUPTED

    leader = int(os.environ.get("RANK", "0")) == 0
    wanted = load_recipe(recipe, override or ())
    try:
        with reporting() if leader else nullcontext(SILENT) as reporter:
            bundle = run(wanted, out, overwrite=overwrite, resume=resume, keep_run=keep_run, reporter=reporter)
    except KeyboardInterrupt:
        err.print("interrupted: the same command with --resume goes on")
        raise typer.Exit(INTERRUPTED) from None
    if bundle:
        console.print(f"{out}: bundle {bundle.manifest.id}, {bundle.size / 1e6:.1f} MB")
        console.print(f'try it: purport predict {out} "your text"   purport serve {out}')
