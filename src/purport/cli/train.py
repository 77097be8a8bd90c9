"""``purport train``."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .tables import TableOptions, reads_table

if TYPE_CHECKING:
    from ..bundle import Bundle
    from ..evaluation.evaluate import Evaluation
    from ..kinds.recipe import Recipe
    from ..progress import Reporter


@reads_table()
def train(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE|DATA", help="TOML file that configures the run, or data to make one for.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Directory to write the bundle to.")],
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override one recipe value, e.g. --set fit.epochs=3. May be repeated."),
    ] = None,
    cross_validate: Annotated[
        int,
        typer.Option(min=0, help="Also train so many models on parts of the rows, and measure each on the rest."),
    ] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the unfinished run of this bundle.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the bundle and any unfinished run.")] = False,
    keep_run: Annotated[
        bool, typer.Option("--keep-run", help="Keep checkpoints and TensorBoard logs in OUT.run.")
    ] = False,
    *,
    table: TableOptions,
) -> None:
    """Train a bundle from a recipe, or from data with the recipe that `purport init` writes for it.

    Checkpoints are written to OUT.run, so an interrupted run can be continued with --resume. The bundle appears
    at OUT only once it is complete and has passed its checks. --cross-validate 5 takes five times as long and
    measures every row; use it where a test split would have a few rows only.

    Examples:

        purport train recipes/sample-linear.toml --out bundles/sample

        purport train tickets.csv --out bundles/tickets --cross-validate 5

        purport train recipes/sample.toml --out bundles/sample --set seed=2 --set fit.epochs=5

        torchrun --nproc-per-node 2 -m purport train recipes/atis-teacher.toml --out bundles/atis-teacher

    Under torchrun, all processes must share a disk that already holds the data (`purport data atis` downloads it).
    """
    import os
    from contextlib import nullcontext

    from ..destination import Destination
    from ..errors import FlagInvalid
    from ..progress import SILENT
    from ..training.pipeline import train as run
    from ..training.workspace import has_checkpoint
    from .console import err, reporting
    from .signals import Stopped

    leader = int(os.environ.get("RANK", "0")) == 0
    if cross_validate == 1:
        raise FlagInvalid("--cross-validate needs at least 2 folds")
    loaded = _recipe(recipe, override or [], table)
    Destination.of(out).require_free(overwrite=overwrite)

    try:
        with reporting() if leader else nullcontext(SILENT) as reporter:
            bundle = run(
                loaded,
                out,
                overwrite=overwrite,
                resume=resume,
                keep_run=keep_run,
                also=partial(_cross_validated, loaded, cross_validate, reporter) if cross_validate else dict,
                reporter=reporter,
            )
    except Stopped as stopped:
        if not (leader and has_checkpoint(Destination.of(out).work)):
            raise
        err.print(f"{stopped}; to continue, run the same command with --resume")
        raise typer.Exit(stopped.exit_code) from None
    if bundle:
        _report(bundle, out)


def _cross_validated(recipe: Recipe, folds: int, reporter: Reporter) -> dict[str, Evaluation]:
    from ..optional import needs

    with needs("--cross-validate", "train"):
        from ..training.cross_validation import NAME, cross_validate
    return {NAME: cross_validate(recipe, folds, reporter=reporter)}


def _recipe(source: str, overrides: list[str], table: TableOptions) -> Recipe:
    from ..data.survey import survey
    from ..destination import MANIFEST
    from ..errors import FlagInvalid
    from ..training.draft import described, draft
    from ..training.recipe import load_recipe, parse_recipe
    from .console import err

    if source.endswith(".toml"):
        if words := table.words():
            raise FlagInvalid(
                f"{words[0]} is for data; change a recipe with --set, for example "
                f"--set data.{words[0].removeprefix('--').replace('-', '_')}={words[1] if len(words) > 1 else 'true'}"
            )
        return load_recipe(source, overrides)
    if (Path(source) / MANIFEST).is_file():
        raise FlagInvalid(
            f"{source} is a bundle, and training needs data or a recipe: name the table or the recipe it was made from"
        )
    chosen = table.unlabelled is not None
    found = survey(table.spec(name=source, unlabelled="out_of_scope"), unlabelled_is_chosen=chosen)
    kind = next(
        (each.partition("=")[2].strip(" \"'") for each in overrides if each.partition("=")[0].strip() == "kind"), None
    )
    made = draft(found, kind=kind, delimiter_is_chosen=table.label_delimiter is not None)
    for said in (*found.said, *described(made)):
        err.print(said)
    return parse_recipe(made.raw, source, overrides)


def _report(bundle: Bundle, out: Path) -> None:
    """What was made, how good it is, and what to do with it."""
    from ..evaluation.evaluate import stored
    from ..evaluation.sentences import headline, promise_lines, scores
    from .console import out as console

    console.print(f"{out}: bundle {bundle.manifest.id}, {bundle.size / 1e6:.1f} MB")
    for name, evaluation in stored(bundle).items():
        console.print(f"{name}: {scores(evaluation)}")
        for said in headline(evaluation):
            console.print(f"  {said}")
    if bundle.manifest.promise is not None:
        for said in promise_lines(bundle.manifest.promise):
            console.print(said)
        console.print(f"check it on new rows: purport verify {out} FILE")
    console.print(f"all metrics, every label, what is known of the data: {out / 'README.md'}")
    console.print(f'try it: purport predict {out} "your text"')
    console.print(f"serve it: purport serve {out}")
    if last := _last(bundle, out):
        console.print(f"compare it with the last one: purport compare {last} {out}")


def _last(bundle: Bundle, out: Path) -> Path | None:
    """The newest other bundle beside ``out`` that was made from data of the same name."""
    from ..bundle import Bundle
    from ..destination import MANIFEST
    from ..errors import BundleError

    beside = sorted(out.parent.glob(f"*/{MANIFEST}"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in beside:
        if file.parent.resolve() == out.resolve():
            continue
        with suppress(BundleError):
            other = Bundle.open(file.parent)
            alike = 2 * len({*other.labels} & {*bundle.labels}) > len(bundle.labels)
            if alike and other.manifest.provenance.dataset == bundle.manifest.provenance.dataset:
                return file.parent
    return None
