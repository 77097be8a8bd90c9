"""``purport train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    recipe: Annotated[Path, typer.Argument(help="TOML file that configures the run, e.g. recipes/sample.toml.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Directory to write the bundle to.")],
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override one recipe value, e.g. --set fit.epochs=3. May be repeated."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the unfinished run of this bundle.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the bundle and any unfinished run.")] = False,
    keep_run: Annotated[
        bool, typer.Option("--keep-run", help="Keep checkpoints and TensorBoard logs in OUT.run.")
    ] = False,
) -> None:
    """Train a bundle from a recipe.

    Checkpoints are written to OUT.run, so an interrupted run can be continued with --resume. The bundle appears
    at OUT only once it is complete and has passed its checks.

    Examples:

        purport train recipes/sample-linear.toml --out bundles/sample

        purport train recipes/sample.toml --out bundles/sample --set seed=2 --set fit.epochs=5

        torchrun --nproc-per-node 2 -m purport train recipes/atis-teacher.toml --out bundles/atis-teacher

    Under torchrun, all processes must share a disk that already holds the data (`purport data atis` downloads it).
    """
    import os
    from contextlib import nullcontext

    from ..destination import Destination
    from ..progress import SILENT
    from ..training.pipeline import train as run
    from ..training.recipe import load_recipe
    from ..training.workspace import has_checkpoint
    from .console import err, reporting
    from .console import out as console
    from .signals import Stopped

    leader = int(os.environ.get("RANK", "0")) == 0
    loaded = load_recipe(recipe, override or ())
    try:
        with reporting() if leader else nullcontext(SILENT) as reporter:
            bundle = run(loaded, out, overwrite=overwrite, resume=resume, keep_run=keep_run, reporter=reporter)
    except Stopped as stopped:
        if not (leader and has_checkpoint(Destination.of(out).work)):
            raise
        err.print(f"{stopped}; to continue, run the same command with --resume")
        raise typer.Exit(stopped.exit_code) from None
    if bundle:
        console.print(f"{out}: bundle {bundle.manifest.id}, {bundle.size / 1e6:.1f} MB")
        console.print(f'try it: purport predict {out} "your text"')
        console.print(f"serve it: purport serve {out}")
