"""Tables as the bytes of a file: CSV, or Parquet where pyarrow is installed."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from streamcount.errors import ConfigurationError

# A column by name, None for what is not known.
Columns: TypeAlias = Mapping[str, Sequence[Any]]
Kind: TypeAlias = Literal["text", "integer", "real", "integers"]


def csv_bytes(columns: Columns) -> bytes:
    """Comma-separated values with a head; lists are written with blanks between."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(columns)
    lists = {name for name, values in columns.items() if any(isinstance(value, list) for value in values)}
    told = [
        [" ".join(map(str, value)) for value in values] if name in lists else values
        for name, values in columns.items()
    ]
    out.writerows(zip(*told, strict=True))
    return text.getvalue().encode()


def parquet_bytes(columns: Columns, kinds: Mapping[str, Kind]) -> bytes:
    """Parquet. kinds: the columns that are no integers; told, for a table without a row would have other types.

    Raises ConfigurationError without pyarrow.
    """
    check_parquet()
    import pyarrow
    from pyarrow import parquet

    types = {
        "text": pyarrow.string(),
        "integer": pyarrow.int64(),
        "real": pyarrow.float64(),
        "integers": pyarrow.list_(pyarrow.int64()),
    }
    arrays = {
        name: pyarrow.array(list(values), types[kinds.get(name, "integer")])
        for name, values in columns.items()
    }
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table(arrays), buffer, compression="zstd")
    return buffer.getvalue()


def check_parquet() -> None:
    """Raises ConfigurationError where pyarrow is not installed."""
    try:
        import pyarrow  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "Parquet needs pyarrow: pip install 'streamcount[parquet]'; CSV needs nothing more"
        ) from error
