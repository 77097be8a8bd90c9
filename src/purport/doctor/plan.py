"""A fix plan: a table that a person reviews in an editor or a spreadsheet.

Every line contains the current text and labels of its row, so that a plan made from other data is rejected.
"""

from __future__ import annotations

import ast
import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import get_args

from ..data.formats.encoded import is_utf8
from ..data.formats.spreadsheet import escaped, unescaped
from ..errors import PlanInvalid, did_you_mean
from ..files import write_text
from .finding import Action, Fix

COLUMNS = tuple(Fix.model_fields)
_OPTIONAL = ("new_text", "new_labels", "check", "why")
# What people and spreadsheets write for yes and no, in English, German, French, Spanish and Italian.
_YES = ("yes", "y", "true", "1", "x", "ja", "j", "wahr", "oui", "o", "vrai", "sí", "si", "sì", "verdadero", "vero")
_NO = ("no", "n", "false", "0", "", "-", "nein", "falsch", "non", "faux", "falso")
_SMART_QUOTES = str.maketrans("“”„‟", '""""')
_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_HEAD = 500  # bytes in which the header of a plan lies
_LONGEST_LIST = 20_000
_GUESS = "cp1252"  # what spreadsheets in western Europe and America write for "CSV"


def write_plan(fixes: Iterable[Fix], path: Path) -> None:
    """Write ``fixes`` as CSV with a header. Labels are JSON lists, so that they may contain any delimiter.

    A plan that is not ASCII starts with a byte order mark, without which Excel does not read UTF-8. Cells that a
    spreadsheet could take for formulas start with an apostrophe, which :func:`read_plan` removes.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for fix in fixes:
        labels, new_labels = (json.dumps(each, ensure_ascii=False) for each in (fix.labels, fix.new_labels))
        cells = {"apply": "yes" if fix.apply else "no", "labels": labels, "row": fix.row or ""}
        said = fix.action in ("relabel", "merge")
        row = fix.model_dump() | cells | {"new_labels": new_labels if said else ""}
        writer.writerow(escaped(row))
    plan = out.getvalue()
    write_text(path, plan if plan.isascii() else "\ufeff" + plan)


def read_plan(
    path: Path,
    *,
    label_delimiter: str = "+",
    encoding: str | None = None,
    in_data: Callable[[str], bool] = lambda text: False,
    most: int | None = None,
) -> list[Fix]:
    """The fixes in ``path``, as the doctor or a spreadsheet wrote it.

    Columns may be in any order, and may be separated by commas, semicolons or tabs. Labels may be JSON lists, or plain
    and joined by ``label_delimiter``. Without ``encoding``, the file is UTF-8 or starts with a byte order mark;
    Windows-1252 is taken if it makes every text of the plan one that is ``in_data``. More than ``most`` fixes
    are refused.

    Raises:
        PlanInvalid: it is not a plan, or a line cannot be used; the message names the line.
    """
    text, guessed = _decoded(path, encoding)
    fixes: list[Fix] = []
    foreign = ""
    for line, cells in _lines(path, text):
        if len(fixes) == most:
            raise PlanInvalid(f"{path} has more than {most:,} fixes; split it")
        try:
            fixes.append(_fix(cells, label_delimiter))
        except (ValueError, TypeError) as error:
            raise PlanInvalid(f"{path}:{line}: {error}") from None
        if not cells["text"].isascii():
            foreign = foreign or cells["text"]
            if guessed and not in_data(cells["text"]):
                foreign = ""
                break
    if guessed and not foreign:
        raise PlanInvalid(
            f"{path} is not UTF-8, and it cannot be told what it is; save it as UTF-8, or name its encoding with "
            "--plan-encoding: cp1252 (Western Europe), cp1250 (Central Europe), cp1251 (Cyrillic), mac_roman, "
            "shift_jis, gb18030"
        )
    return fixes


def is_plan(path: Path) -> bool:
    """Whether the first lines of ``path`` name the columns of a plan, whatever separates them."""
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError:
        return False
    names = head.decode("utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "replace").lower()
    return all(column in names for column in COLUMNS if column not in _OPTIONAL)


def _decoded(path: Path, encoding: str | None) -> tuple[str, bool]:
    """The text of the file, and whether its encoding is a guess."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise PlanInvalid(f"no fix plan {path}; create one with purport doctor DATASET --fix-plan {path}") from None
    except OSError as error:
        raise PlanInvalid(f"cannot read the fix plan {path}: {error.strerror or error}") from None
    marked = next((name for mark, name in _BYTE_ORDER_MARKS if content.startswith(mark)), None)
    try:
        return content.decode(encoding or marked or "utf-8"), False
    except LookupError:
        raise PlanInvalid(f'unknown --plan-encoding "{encoding}"; usual ones are utf-8, utf-16, cp1252') from None
    except UnicodeError as error:
        if encoding or marked:
            said = encoding or marked
            raise PlanInvalid(
                f"{path} is not {said} ({error}); name another --plan-encoding or save it as UTF-8"
            ) from None
    try:
        return content.decode(_GUESS), True
    except UnicodeError:
        raise PlanInvalid(f"{path} is not UTF-8; save it as UTF-8, or name its encoding with --plan-encoding") from None


def _lines(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells of each line that is not blank, by column; a column that may be missing is empty."""
    head, _, rest = text.partition("\n")
    skipped = 0
    if head.strip().lower() in ("sep=;", "sep=,", "sep=\t"):  # a line for Excel only
        text, skipped = rest, 1
    head = text.partition("\n")[0].lower()
    delimiter = max(",;\t", key=lambda sign: sum(name.strip(' "\r') in COLUMNS for name in head.split(sign)))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    longest = csv.field_size_limit(sys.maxsize)  # a text may be longer than the module's 128 KiB
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        missing = [column for column in COLUMNS if column not in header and column not in _OPTIONAL]
        if missing:
            raise PlanInvalid(f"{path}: missing columns: {', '.join(missing)}; the header must be {','.join(COLUMNS)}")
        for row in reader:
            if any(cell.strip() for cell in row):
                cells = dict.fromkeys(COLUMNS, "") | dict(zip(header, row, strict=False))
                yield reader.line_num + skipped, unescaped(cells)
    except csv.Error as error:
        raise PlanInvalid(f"{path}:{reader.line_num + skipped}: {error}; save the plan as CSV again") from None
    finally:
        csv.field_size_limit(longest)


def _fix(cells: Mapping[str, str], label_delimiter: str) -> Fix:
    answer, action = cells["apply"].strip().lower(), cells["action"].strip().lower()
    if answer not in (*_YES, *_NO):
        raise ValueError(f'apply must be yes or no, not "{cells["apply"]}"')
    if action not in get_args(Action):
        raise ValueError(f'unknown action "{cells["action"]}".{did_you_mean(action, get_args(Action))}')
    read = {
        "apply": answer in _YES,
        "action": action,
        "row": 0 if action == "merge" else _row_number(cells["row"]),
        "labels": _labels(cells["labels"], label_delimiter),
        "new_labels": _labels(cells["new_labels"], label_delimiter),
    }
    fix = Fix.model_validate({column: cells[column] for column in COLUMNS} | read)
    if action == "rewrite" and not fix.new_text.strip():
        raise ValueError("rewrite needs a new_text; to delete the row, use drop")
    if action == "relabel" and not cells["new_labels"].strip():
        raise ValueError("relabel needs new_labels; write [] if no label applies")
    if action == "merge" and (len(fix.labels), len(fix.new_labels)) != (1, 1):
        raise ValueError("merge needs one name in labels and one in new_labels")
    return fix


def _row_number(cell: str) -> int:
    number = float(cell or "nan")  # some spreadsheets and pandas write 7.0
    if not number.is_integer() or number < 1:
        raise ValueError(f'row must be a row number, not "{cell}"')
    return int(number)


def _labels(cell: str, delimiter: str) -> tuple[str, ...]:
    """The labels in a cell: a JSON list, a list as Python writes it, or plain names."""
    plain = cell.strip()
    if len(plain) > _LONGEST_LIST:
        raise ValueError(f"labels has {len(plain):,} characters; at most {_LONGEST_LIST:,} are allowed")
    if not (plain.startswith("[") and plain.endswith("]")):
        return tuple(sorted({part.strip() for part in _parts(plain, delimiter)} - {""}))
    try:
        found = json.loads(plain)
    except RecursionError:
        found = None
    except ValueError:
        try:
            found = ast.literal_eval(plain.translate(_SMART_QUOTES))
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise ValueError(f'labels must be names, or a list such as ["refund"], not {plain[:200]}') from None
    if not isinstance(found, list) or not all(isinstance(label, str) and label and is_utf8(label) for label in found):
        raise ValueError(f'labels must be names, or a list such as ["refund"], not {plain[:200]}')
    return tuple(sorted(set(found)))


def _parts(plain: str, delimiter: str) -> list[str]:
    return plain.split(delimiter) if delimiter else [plain]
