"""Training data of Rasa: YAML with ``nlu``, whose intents have examples in which entities are marked up."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from ...errors import DataError, DependencyMissing
from . import BadRow, Layout, Row, RowWriter, Understood
from .encoded import is_utf8, open_read, open_write

_MOST = 1 << 26  # characters; a YAML document has to be in memory as a whole
_ENTITY = re.compile(r"\[(?P<text>[^\[\]]+)\](?:\((?P<entity>[^()]+)\)|\{[^{}]*\})")


def _yaml() -> Any:
    try:
        import yaml
    except ImportError:
        raise DependencyMissing("Rasa files", "train") from None
    return yaml


def without_entities(text: str) -> str:
    """``text`` without Rasa's markup: ``to [Rome](city)`` and ``to [Rome]{"entity": "city"}`` become ``to Rome``."""
    return _ENTITY.sub(lambda found: found["text"], text)


@dataclass(frozen=True, slots=True)
class Rasa:
    """Intents and their examples (https://rasa.com/docs/rasa/training-data-format); the rest of the file is ignored.

    Rows are numbered by their line. Texts are read without the markup of entities.
    """

    suffixes: tuple[str, ...] = (".yml", ".yaml")
    keeps_rows_only: ClassVar[bool] = True
    """A file that is written has the rows of the one that was read, and nothing else of it."""

    def recognises(self, path: Path) -> bool:
        """Whether a YAML file has training data, and not the rules, stories or settings of a project."""
        with open_read(path) as stream:
            return any(line.startswith("nlu:") for line in islice(stream, 10_000))

    def understand(self, path: Path, layout: Layout) -> Understood:
        """How :meth:`read` reads ``path``."""
        columns = tuple(name for name in ("text", "label")[: len(layout.columns)])
        label = None if layout.label_column is None else "label"
        named = Layout("text", label, None, layout.label_delimiter, None, layout.encoding, layout.keep_columns)
        return Understood(named, columns, ("Rasa training data; entities in [text](entity) are read as their text",))

    def read(self, path: Path, layout: Layout) -> Iterator[Row | BadRow]:
        """The rows of ``path``; see :class:`~purport.data.formats.Format`.

        Raises:
            DataError: it is not YAML, or has no ``nlu``.
        """
        yaml = _yaml()
        with open_read(path, layout.encoding) as stream:
            content = stream.read(_MOST + 1)
        if len(content) > _MOST or not is_utf8(content):
            raise DataError(f"{path} is larger than {_MOST:,} characters or not UTF-8; split it or save it as UTF-8")
        try:
            document = yaml.compose(content, Loader=yaml.SafeLoader)
        except (yaml.YAMLError, RecursionError) as error:
            raise DataError(f"{path} is not valid YAML ({' '.join(str(error).split())}); correct it") from None
        nlu = _fields(document, yaml).get("nlu")
        if not isinstance(nlu, yaml.SequenceNode):
            raise DataError(f'{path} has no list "nlu"; name a Rasa file that has the intents and their examples')
        for entry in nlu.value:
            fields = _fields(entry, yaml)
            if "intent" in fields and "examples" in fields:
                yield from _examples(fields["intent"], fields["examples"], yaml, layout)

    @contextmanager
    def write(
        self,
        path: Path,
        columns: Sequence[str],
        *,
        label_delimiter: str = "+",
        like: tuple[Path, Layout] | None = None,
    ) -> Iterator[RowWriter]:
        """Open ``path`` for rows with a text and a label; other columns are not kept."""
        with open_write(path) as stream:
            stream.write('version: "3.1"\nnlu:\n')
            before = None

            def write(row: Mapping[str, Any] | str) -> None:
                nonlocal before
                if isinstance(row, str):
                    raise TypeError("a line of text is no row of a Rasa file")
                text, label = (row.get(name) for name in (*columns, "", "")[:2])
                label = label_delimiter.join(label) if isinstance(label, list) else label or ""
                if label != before:
                    stream.write(f"- intent: {json.dumps(label, ensure_ascii=False)}\n  examples:\n")
                    before = label
                stream.write(f"  - text: {json.dumps(text, ensure_ascii=False)}\n")

            yield write


def _fields(node: Any, yaml: Any) -> dict[str, Any]:
    """The entries of a mapping node by their names."""
    return {key.value: value for key, value in node.value} if isinstance(node, yaml.MappingNode) else {}


def _examples(intent: Any, examples: Any, yaml: Any, layout: Layout) -> Iterator[Row | BadRow]:
    if isinstance(examples, yaml.SequenceNode):
        found = [(each.start_mark.line + 1, _fields(each, yaml).get("text", each).value) for each in examples.value]
    else:
        # The lines of a block scalar follow the line of its indicator.
        found = [
            (examples.start_mark.line + 2 + at, line.lstrip().removeprefix("-").strip())
            for at, line in enumerate(str(examples.value).splitlines())
            if line.strip()
        ]
    for number, text in found:
        text = without_entities(str(text).strip())
        cells = {"text": text, "label": intent.value} if layout.keep_columns else {}
        yield Row(number, text, intent.value if layout.label_column is not None else None, cells=cells)


RASA = Rasa()
