"""The options that say how a table is read, the same in every command that reads one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from ..data.spec import DataSpec

_PANEL = "How the table is read"


def _option(text: str, *names: str) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=_PANEL)


@dataclass(frozen=True, slots=True)
class TableOptions:
    """What was passed of these options; ``None`` where nothing was."""

    text_column: Annotated[str | None, _option("Name of the text column. Default: text, or a well-known name.")] = None
    label_column: Annotated[str | None, _option("Name of the label column. Default: label, or a well-known name.")] = (
        None
    )
    header: Annotated[
        bool | None,
        _option(
            "Whether the first row of a CSV or TSV file is a header. Default: if it has the name of the text column.",
            "--header/--no-header",
        ),
    ] = None
    delimiter: Annotated[
        str | None, _option("Character between the columns of a CSV or TSV file. Default: it is found out.")
    ] = None
    encoding: Annotated[
        str | None, _option("Encoding of a text file, e.g. cp1252. Default: UTF-8, or what its first bytes say.")
    ] = None
    label_delimiter: Annotated[
        str | None, _option('Separator between the labels of one row; "" for none. Default: +.')
    ] = None
    label_names: Annotated[
        str | None,
        _option(
            "Names of labels that are numbers: a file with one name per line, the first is 0; or the word numbers."
        ),
    ] = None
    out_of_scope: Annotated[
        list[str] | None, _option("Label that means that no label applies, e.g. other. May be repeated.")
    ] = None
    unlabelled: Annotated[
        str | None, _option("How to read rows without a label: as an error, as out_of_scope, or skip them.")
    ] = None

    def spec(self, base: DataSpec | None = None, **fields_: Any) -> DataSpec:
        """``base``, or data with these fields, with what was passed. A name that is a recipe stands for its data.

        Raises:
            FlagInvalid: an option cannot be used.
            RecipeError: the recipe cannot be read.
        """
        from pydantic import ValidationError

        from ..data.spec import DataSpec
        from ..errors import FlagInvalid
        from ..invalid import problems

        given = {each.name: getattr(self, each.name) for each in fields(self) if getattr(self, each.name) is not None}
        if "label_names" in given:
            given["label_names"] = _names(given["label_names"])
        if given.get("delimiter") in ("\\t", "tab"):
            given["delimiter"] = "\t"
        own = base.model_dump() if base else fields_
        if base is None and str(fields_["name"]).endswith(".toml"):
            from ..training.recipe import data_table

            own = fields_ | data_table(fields_["name"]) | {"unlabelled": fields_.get("unlabelled", "error")}
        try:
            return DataSpec.model_validate(own | given)
        except ValidationError as error:
            problem = problems(error, DataSpec)[0]
            where = f"--{problem.key.replace('_', '-')}" if problem.path else str(fields_.get("name") or own["name"])
            raise FlagInvalid(problem.at(where)) from None

    def words(self) -> list[str]:
        """These options as they are typed on a command line."""
        typed: list[str] = []
        for each in fields(self):
            value, name = getattr(self, each.name), f"--{each.name.replace('_', '-')}"
            if isinstance(value, bool):
                typed.append("--header" if value else "--no-header")
            elif value is not None:
                given = [value] if isinstance(value, str) else value
                typed += [word for one in given for word in (name, "tab" if one == "\t" else one)]
        return typed


def typed(spec: DataSpec, *, but: str) -> list[str]:
    """The options that read a table as ``spec`` says, except ``but`` and for unlabelled rows, as they are typed."""
    left_out = {but, "unlabelled"}
    given = spec.model_dump(include={each.name for each in fields(TableOptions)} - left_out, exclude_defaults=True)
    if isinstance(given.get("label_names"), tuple):
        given["label_names"] = "FILE_OF_NAMES"
    return TableOptions(**given).words()


def _names(text: str) -> Any:
    from ..errors import FlagInvalid

    if text == "numbers":
        return text
    try:
        return tuple(line.strip() for line in Path(text).read_text("utf-8-sig").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise FlagInvalid(
            f'--label-names needs a file with one name per line, or the word "numbers"; cannot read {text} ({error})'
        ) from None


def reads_table(*, without: tuple[str, ...] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command the options of :class:`TableOptions`, except ``without``, in place of its parameter ``table``."""
    hints = get_type_hints(TableOptions, include_extras=True)
    names = [each.name for each in fields(TableOptions) if each.name not in without]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(**given: Any) -> None:
            table = TableOptions(**{name: given.pop(name) for name in names})
            command(**given, table=table)

        own = get_type_hints(command, include_extras=True)
        kept = [
            parameter.replace(annotation=own[name])
            for name, parameter in inspect.signature(command).parameters.items()
            if name != "table"
        ]
        added = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hints[name])
            for name in names
        ]
        run.__signature__ = inspect.Signature([*kept, *added])  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in (*kept, *added)}
        del run.__wrapped__
        return run

    return decorate
