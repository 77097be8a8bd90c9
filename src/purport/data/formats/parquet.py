"""Parquet with pyarrow (``purport[parquet]``), read and written in batches."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import DataError, DependencyMissing
from . import BadRow, Layout, Row, RowWriter, Understood

_BATCH = 8192


def _pyarrow() -> Any:
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError:
        raise DependencyMissing("Parquet", "parquet") from None
    return pa


def _open(path: Path) -> Any:
    pyarrow = _pyarrow()
    if path.suffix.lower() == ".gz":
        raise DataError(f"{path}: gzipped Parquet files cannot be read; run gunzip on it first")
    try:
        return pyarrow.parquet.ParquetFile(path)
    except pyarrow.ArrowInvalid as error:
        raise DataError(f"{path} is not a Parquet file ({error}); check the file or write it again") from None


def _cells(path: Path, file: Any, names: list[str]) -> Iterator[dict[str, Any]]:
    try:
        for batch in file.iter_batches(batch_size=_BATCH, columns=names):
            yield from batch.to_pylist()
    except _pyarrow().ArrowException as error:  # its footer is intact, its pages are not
        raise DataError(f"{path} is damaged ({error}); copy it again or write it again") from None


def class_names(schema: Any, layout: Layout) -> tuple[str, ...]:
    """The names that stand for the numbers of the label column (``ClassLabel`` of Hugging Face datasets), if any."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        found = features[layout.label_column]
        names = found.get("feature", found)["names"] if isinstance(found, dict) else found[0]["names"]
    except (KeyError, TypeError, ValueError, IndexError):
        return ()
    return tuple(map(str, names))


def _named(value: Any, names: Sequence[str]) -> Any:
    if isinstance(value, list):
        return [_named(each, names) for each in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return names[value] if 0 <= value < len(names) else None  # -1 stands for "no label"
    return value


@dataclass(frozen=True, slots=True)
class Parquet:
    """Columns of strings; the label column may have lists."""

    suffixes: tuple[str, ...] = (".parquet", ".pq")

    def understand(self, path: Path, layout: Layout) -> Understood:
        """How :meth:`read` reads ``path``.

        Raises:
            DataError: it is not a Parquet file, or it is doubtful which column is meant.
        """
        schema = _open(path).schema_arrow
        wanted = layout.among(schema.names)
        if problem := wanted.missing(schema.names):
            raise DataError(problem)
        names = class_names(schema, wanted)
        return Understood(wanted, tuple(schema.names), ("label numbers read as their names in the file",) * bool(names))

    def read(self, path: Path, layout: Layout) -> Iterator[Row | BadRow]:
        """The rows of ``path``; see :class:`~purport.data.formats.Format`."""
        layout, file = self.understand(path, layout).layout, _open(path)
        classes = class_names(file.schema_arrow, layout)
        names = file.schema_arrow.names if layout.keep_columns else list(layout.columns)
        for number, cells in enumerate(_cells(path, file, names), start=1):
            text, *label = (cells[name] for name in layout.columns)
            label = [_named(value, classes) for value in label] if classes else label
            yield Row(number, text, *label, cells=cells if layout.keep_columns else {})

    @contextmanager
    def write(
        self,
        path: Path,
        columns: Sequence[str],
        *,
        label_delimiter: str = "+",
        like: tuple[Path, Layout] | None = None,
    ) -> Iterator[RowWriter]:
        """Open ``path`` for rows with these columns.

        ``like`` or the first batch of rows determines the types.
        """
        pyarrow = _pyarrow()
        pending: list[dict[str, Any]] = []
        like_types = None if like is None else pyarrow.parquet.read_schema(like[0])
        writer: Any = None

        def flush() -> None:
            nonlocal writer
            types = like_types if writer is None else writer.schema
            table = pyarrow.Table.from_pylist(pending, schema=types)
            if types is None:
                # A column without values in the first batch is text: only error messages first appear later.
                text, is_null = pyarrow.string(), pyarrow.types.is_null
                fields = [field.with_type(text) if is_null(field.type) else field for field in table.schema]
                table = table.cast(pyarrow.schema(fields))
            if writer is None:
                writer = pyarrow.parquet.ParquetWriter(path, table.schema)
            writer.write_table(table)
            pending.clear()

        def write(row: Mapping[str, Any] | str) -> None:
            if isinstance(row, str):
                raise TypeError("a line of text is no row of a Parquet file")
            pending.append({name: row.get(name) for name in columns})
            if len(pending) >= _BATCH:
                flush()

        try:
            yield write
            if pending or writer is None:
                flush()
        finally:
            if writer is not None:
                writer.close()


PARQUET = Parquet()
