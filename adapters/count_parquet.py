"""Parquet files of counts, as the text that a CSV file would hold; needs the optional pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from adapters.count_cells import BATCH, Columns
from domain.errors import BadFile, Fault, Unavailable


def parquet_columns(path: str) -> Iterator[Columns]:
    """The column names as row 1, then the rows, numbered from 2 as behind a header.

    Raises: BadFile for anything but columns of text, whole numbers, days and instants with a zone; Unavailable
    without pyarrow.
    """
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise Unavailable("reading Parquet needs pyarrow: pip install 'tallystick[parquet]'") from error
    try:
        with parquet.ParquetFile(path) as file:
            yield Columns([1], [[name] for name in file.schema_arrow.names])
            _refuse_types(path, file.schema_arrow)
            line = 2
            for batch in file.iter_batches(batch_size=BATCH):
                columns = [_texts(column.to_pylist()) for column in batch.columns]
                yield Columns(range(line, line + batch.num_rows), columns)
                line += batch.num_rows
    except (ArrowException, OSError, ValueError) as error:
        what = (str(error).splitlines() or [""])[0]
        raise BadFile([Fault(path, 0, "", f"not Parquet that can be read: {what}", "syntax")]) from None


def _refuse_types(path: str, schema: Any) -> None:
    from pyarrow import types

    def is_plain(kind: Any) -> bool:
        kind = kind.value_type if types.is_dictionary(kind) else kind
        return bool(
            types.is_string(kind)
            or types.is_large_string(kind)
            or types.is_integer(kind)
            or types.is_date(kind)
            or (types.is_timestamp(kind) and kind.unit != "ns")
        )

    for field in schema:
        if not is_plain(field.type):
            wanted = "text, a whole number, a day or an instant (to the microsecond)"
            raise BadFile([Fault(path, 1, field.name, f"is {field.type}: {wanted} is wanted", "type")])


def _texts(values: Sequence[Any]) -> list[str]:
    return [value if isinstance(value, str) else _text(value) for value in values]


def _text(value: Any) -> str:
    return "" if value is None else value.isoformat() if isinstance(value, date) else str(value)
