"""Parquet with pyarrow (``purport[parquet]``), read and written in batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import DataError, DependencyMissing
from . import BadRow, Layout, Row, RowWriter

_BATCH = 8192


def _pyarrow() -> Any:
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError:
        raise DependencyMissing("Parquet", "parquet") from None
    return pa


@dataclass(frozen=True, slots=True)
class Parquet:
    """Columns of strings; the label column may have lists."""

    suffixes: tuple[str, ...] = (".parquet", ".pq")

    def read(self, path: Path, layout: Layout) -> Iterator[Row | BadRow]:
        """The rows of ``path``; see :class:`~purport.data.formats.Format`."""
        pyarrow = _pyarrow()
        if path.suffix.lower() == ".gz":
            raise DataError(f"{path}: gzipped Parquet files cannot be read; run gunzip on it first")
        try:
            file = pyarrow.parquet.ParquetFile(path)
        except pyarrow.ArrowInvalid as error:
            raise DataError(f"{path} is not a Parquet file ({error}); check the file or write it again") from None
        if problem := layout.missing(file.schema_arrow.names):
            yield BadRow(1, problem)
            return
        number = 0
        names = file.schema_arrow.names if layout.keep_columns else list(layout.columns)
        for batch in file.iter_batches(batch_size=_BATCH, columns=names):
            for cells in batch.to_pylist():
                number += 1
                values = (cells[name] for name in layout.columns)
                yield Row(number, *values, cells=cells if layout.keep_columns else {})

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
