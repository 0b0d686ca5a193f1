"""Events as Parquet, in folders by day and camera as Hive has them."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from pydantic import Field

from streamcount.errors import ConfigurationError, SinkError
from streamcount.sinks.base import SinkOptions
from streamcount.sinks.store import schema
from streamcount.sinks.store.index import IndexedFolder, day_of, fresh, sync_folder
from streamcount.types import AnyEvent

if TYPE_CHECKING:
    import pyarrow


class ParquetConfig(SinkOptions):
    """Events as Parquet, a file a batch, in folders by day and camera. Needs streamcount[parquet]."""

    kind: Literal["parquet"] = Field(description="files of Parquet")
    folder: Path = Field(default=Path("streamcount-data/parquet"), description="where the folders are")
    batch_events: int = Field(
        default=20_000, ge=1, le=1_000_000, description="most events that are written at once"
    )

    def build(self) -> ParquetSink:
        """The sink, not open yet. Raises ConfigurationError without pyarrow."""
        try:
            import pyarrow  # noqa: F401
        except ImportError as error:
            raise ConfigurationError("Parquet needs pyarrow: pip install 'streamcount[parquet]'") from error
        return ParquetSink(self.folder)


class ParquetSink(IndexedFolder):
    """day=YYYY-MM-DD/camera=NAME/part-....parquet with the columns of the table `events`, but for the camera.

    A file is written beside, synced, renamed, then noted in an index. Opening it notes the files that a crash left
    unnoted, and removes what was not written to its end. Files are small where events are few: a reader takes them
    as one table.
    """

    def open(self) -> None:
        import pyarrow
        import pyarrow.parquet

        self.close()
        try:
            index = self._open_index()
            for left in self._folder.glob("day=*/camera=*/.part-*"):
                left.unlink()
            noted = index.files()
            for path in sorted(self._folder.glob("day=*/camera=*/part-*.parquet")):
                name = path.relative_to(self._folder).as_posix()
                if name not in noted:
                    with pyarrow.parquet.ParquetFile(path) as file:
                        ids = file.read(columns=["message_id"]).column("message_id").to_pylist()
                    index.add(ids, {name: path.stat().st_size})
        except (OSError, sqlite3.Error, pyarrow.ArrowException) as error:
            self.close()
            raise SinkError(f"{self._folder} cannot be opened: {error}") from error

    def write(self, events: Sequence[AnyEvent]) -> int:
        import pyarrow

        index = self._opened()
        ids = [event.message_id for event in events]
        try:
            new = fresh(index, ids)
            parts: dict[str, list[int]] = {}
            for position in new:
                event = events[position]
                place = f"day={day_of(event.happened_at_ns)}/camera={quote(event.camera_id, safe='')}"
                parts.setdefault(place, []).append(position)
            for place, positions in parts.items():
                name, size = self._write_part(place, _table([events[one] for one in positions]))
                index.add((ids[one] for one in positions), {name: size})
        except (ValueError, OverflowError, pyarrow.ArrowInvalid) as error:
            raise SinkError(f"{self._folder} can never hold this: {error}", retry=False) from error
        except (OSError, sqlite3.Error, pyarrow.ArrowException) as error:
            self.close()
            raise SinkError(f"{self._folder} cannot be written: {error}") from error
        return len(new)

    def _write_part(self, place: str, table: pyarrow.Table) -> tuple[str, int]:
        import pyarrow.parquet

        folder = self._folder / place
        folder.mkdir(parents=True, exist_ok=True)
        name = f"part-{uuid.uuid4().hex}.parquet"
        beside = folder / f".{name}"
        with beside.open("wb") as file:
            pyarrow.parquet.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        beside.rename(folder / name)
        for one in (folder, folder.parent, self._folder):
            sync_folder(one)
        return f"{place}/{name}", size


def _table(events: list[AnyEvent]) -> pyarrow.Table:
    import pyarrow

    types = {"text": pyarrow.string(), "integer": pyarrow.int64(), "real": pyarrow.float64()}
    columns = schema.EVENTS.columns
    rows = schema.rows_of(events)[schema.EVENTS]
    # The camera is the folder's name; a column of that name beside it would be read twice.
    kept = [number for number, (name, _) in enumerate(columns) if name != "camera"]
    fields = [pyarrow.field(columns[n][0], types[columns[n][1].rstrip("?")]) for n in kept]
    arrays = [
        pyarrow.array([row[n] for row in rows], field.type) for n, field in zip(kept, fields, strict=True)
    ]
    return pyarrow.Table.from_arrays(arrays, schema=pyarrow.schema(fields))
