"""``purport teach``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import BundleName
from .tables import TableOptions, reads_table

if TYPE_CHECKING:
    from ..data.reading import Example
    from ..teaching.teach import Teaching

_MOST_SHOWN = 20


@reads_table(without=("out_of_scope", "unlabelled"))
def teach(
    bundle: BundleName,
    file: Annotated[
        Path | None, typer.Argument(help="A table of texts and labels to teach; a row without a label is out of scope.")
    ] = None,
    text: Annotated[str | None, typer.Option("--text", help="A text to teach, with --label or --out-of-scope.")] = None,
    label: Annotated[list[str] | None, typer.Option("--label", help="A label of the text. May be repeated.")] = None,
    out_of_scope: Annotated[
        bool, typer.Option("--out-of-scope", help="Teach that none of the labels applies to the text.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Directory for the new bundle.  [default: that of the bundle]")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing bundle at --out.")] = False,
    allow_flips: Annotated[
        int, typer.Option("--allow-flips", min=0, help="Number of validation and training rows that may become wrong.")
    ] = 0,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Teach also what contradicts rows or earlier examples with the same text, and texts that are longer "
            "than the model reads.",
        ),
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take back what was taught last.")] = False,
    *,
    table: TableOptions,
) -> None:
    """Teach a trained bundle examples in seconds, without training it.

    The text and its close paraphrases are answered so from then on, and what is unlike it as before. Validation rows
    that are decided otherwise are listed; if one would become wrong, nothing is taught. A new label needs five examples
    at once. The new bundle takes the place of the old one, and has a new id.

    Examples:

        purport teach bundles/mine --text "my card got swallowed" --label card_lost

        purport teach bundles/mine corrections.csv

        purport teach bundles/mine --undo
    """
    from ..errors import FlagInvalid
    from ..teaching.teach import teach as taught
    from ..teaching.teach import undo as undone
    from .console import out as console
    from .console import reporting

    if [undo, text is not None, file is not None].count(True) != 1:
        raise FlagInvalid("pass a FILE, or --text with --label or --out-of-scope, or --undo")
    if (text is None and (label or out_of_scope)) or (text is not None and bool(label) == out_of_scope):
        raise FlagInvalid("--text needs either --label or --out-of-scope, which are for --text alone")
    with reporting() as reporter:
        if undo:
            before = undone(bundle, out=out, overwrite=overwrite, reporter=reporter)
            console.print(f"took back what was taught last: {before.path} is bundle {before.manifest.id}")
            return
        examples = _one(text, label or []) if text is not None else _of_file(bundle, file, table)
        done = taught(
            bundle, examples, out=out, overwrite=overwrite, allow_flips=allow_flips, force=force, reporter=reporter
        )
    _print(done)


def _one(text: str, labels: list[str]) -> list[Example]:
    from ..data.reading import Example

    return [Example(text, tuple(sorted(labels)))]


def _of_file(bundle: str, file: Path | None, table: TableOptions) -> list[Example]:
    """The rows of ``file``, read for ``bundle``; how, and what looks wrong, is said."""
    from ..bundle import Bundle
    from ..data.dataset import file_split
    from ..data.hints import Hints
    from .console import err

    assert file is not None, "checked by the caller"
    hints = Hints.of(Bundle.open(bundle))
    named = table.spec(name="", unlabelled="out_of_scope")
    reading = hints.reading(named, lambda said: err.print(said, soft_wrap=True))
    examples = list(file_split(str(file), file, reading))
    for said in (*reading.left_out, *(f"warning: {each}" for each in hints.warnings(_labels(examples)))):
        err.print(said, soft_wrap=True)
    return examples


def _labels(examples: list[Example]) -> set[str]:
    return {label for example in examples for label in example.labels}


def _print(done: Teaching) -> None:
    from ..teaching.flips import VALID
    from ..wording import count
    from .console import out

    new = f", with the new labels {', '.join(done.new_labels)}" if done.new_labels else ""
    out.print(f"taught {count(done.examples, 'example')}{new}")
    if not done.checked:
        out.print("the training data was not found, so that no validation rows were compared")
    elif not done.flips:
        out.print(f"no answer to the {count(done.checked, 'validation row')} changes")
    else:
        training = sum(flip.split != VALID for flip in done.flips)
        rows = f" and {count(training, 'training row')}" if training else ""
        changed = len(done.flips) - training
        out.print(f"{changed:,} of {count(done.checked, 'validation row')}{rows} answered otherwise:")
    for flip in done.flips[:_MOST_SHOWN]:
        out.print(f"  {flip}")
    if len(done.flips) > _MOST_SHOWN:
        out.print(f"  and {len(done.flips) - _MOST_SHOWN:,} more")
    out.print(f"{done.bundle.path}: bundle {done.bundle.manifest.id}, taught to {done.parent}")
