"""``purport explain``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .options import BundleName

if TYPE_CHECKING:
    from ..explaining.explanation import Explanation, Word

_BAR = 12  # characters of the longest bar
_UNITS = {"log_odds": "log odds of the calibrated probability", "logit": "logit, the score before calibration"}
_SUMS = {"log_odds": "log odds of the confidence", "logit": "score before calibration, no probability"}


def explain(
    bundle: BundleName,
    text: Annotated[str, typer.Argument(help="The text to explain.")],
    label: Annotated[
        str | None,
        typer.Option("--label", help="Label to explain.  [default: the most probable one decided, or of all]"),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--method", help="occlusion, shapley, contributions or integrated_gradients.  [default: contributions "
            "for kind linear, otherwise occlusion]",
        ),
    ] = None,
    calls: Annotated[
        int | None, typer.Option(help="Largest number of texts to ask the model.  [default: that of the method]")
    ] = None,
    examples: Annotated[
        int, typer.Option(min=0, max=10, help="Number of training examples for the label, and of those against it.")
    ] = 2,
    format_: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:  # fmt: skip
    """Say why a text is answered as it is: what each word weighs, and what would change the answer.

    Examples:

        purport explain atis "flights from boston to denver and the fares"

        purport explain atis "flights from boston to denver and the fares" --label airfare --method shapley

        purport explain atis "order me a pizza" --format json
    """
    from ..classifier import Classifier
    from ..errors import FlagInvalid
    from ..explaining.explanation import encode
    from ..wording import json_line
    from .console import metering

    if format_ not in ("text", "json"):
        raise FlagInvalid(f'--format must be text or json, not "{format_}"')
    classifier = Classifier.open(bundle, device=device)
    with metering(classifier):
        found = classifier.explain(text, label=label, method=method, calls=calls, examples=examples)
    if format_ == "json":
        typer.echo(json_line({**encode(found), "bundle": classifier.bundle.manifest.id}))
    else:
        _print(found)


def _print(found: Explanation) -> None:
    from rich.text import Text

    from ..prediction import in_words
    from .console import out

    most = max((abs(word.weight) for word in found.words), default=0.0) or 1.0
    shown, end = Text(), 0
    for word in found.words:
        shown.append(found.text[end : word.start])
        shown.append(found.text[word.start : word.end], style=_style(word.weight / most))
        end = word.end
    shown.append(found.text[end:])
    out.print(shown)
    out.print(f"  decided: {', '.join(found.labels) or f'none (out of scope: {in_words(found.reason)})'}")
    out.print(f"  explained: {found.label}  {found.confidence:.4f}  by {found.method}, in {_UNITS[found.value]}")
    for word in found.words:
        out.print(Text(_line(word, most), style=_style(word.weight / most, bold=False)))
    if found.base is not None:
        weights = found.full - found.base
        made = f"{found.full:+.3f} ({_SUMS[found.value]})"
        out.print(f"  base {found.base:+.3f} and weights {weights:+.3f} make {made}")
    _print_beside(found)
    out.print(f"  {found.note} Texts asked: {found.calls:,}.", style="dim")


def _print_beside(found: Explanation) -> None:
    from .console import out

    for example in found.examples.favour:
        out.print(f"  for      {example}")
    for example in found.examples.against:
        out.print(f"  against  {example}")
    if found.edit is not None:
        removed = " ... ".join(found.text[start:end] for start, end in found.edit.removed)
        out.print(f"  without  {removed}  the answer is {', '.join(found.edit.labels) or 'none (out of scope)'}")
    if found.out_of_scope:
        for signal in found.scope:
            if signal.weight < 0:
                out.print(f"  {signal.weight:+.2f}  {signal.says}", soft_wrap=True)
        if found.unfamiliar:
            out.print(f"  not in the training texts: {', '.join(found.unfamiliar)}")


def _line(word: Word, most: float) -> str:
    error = "" if not word.error else f" ± {word.error:.3f}"
    bar = "█" * round(_BAR * abs(word.weight) / most)
    return f"  {word.weight:+8.3f}{error}  {word.text}  {bar}".rstrip()


def _style(share: float, *, bold: bool = True) -> str:
    """Green speaks for the label, red against it; what weighs less than a tenth of the weightiest word has none."""
    if abs(share) < 0.1:
        return ""
    colour = "green" if share > 0 else "red"
    return f"bold {colour} reverse" if bold and abs(share) > 0.5 else f"bold {colour}" if bold else colour
