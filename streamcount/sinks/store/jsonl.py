"""Events as JSON lines, a CloudEvent a line, in files by day."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from streamcount.errors import FrameError, SinkError
from streamcount.sinks.base import SinkOptions
from streamcount.sinks.store.index import IndexedFolder, MessageIndex, day_of, fresh, sync_folder
from streamcount.types import AnyEvent
from streamcount.wire.cloudevents import decode_event, encode_event

MEBIBYTE = 2**20


class JsonLinesConfig(SinkOptions):
    """Events as JSON lines, in files by day and size."""

    kind: Literal["jsonl"] = Field(description="files of JSON lines")
    folder: Path = Field(default=Path("streamcount-data/jsonl"), description="where the files are")
    max_file_bytes: int = Field(
        default=256 * MEBIBYTE, ge=1024, description="a file that is larger is followed by another"
    )

    def build(self) -> JsonLinesSink:
        """The sink, not open yet."""
        return JsonLinesSink(self.folder, self.max_file_bytes)


class JsonLinesSink(IndexedFolder):
    """DAY-NUMBER.jsonl, the day (UTC) being that of the event. Lines are appended and synced, then noted in an index.

    Opening it notes the lines that a crash left unnoted, and cuts off a line that was not written to its end.
    """

    def __init__(self, folder: Path, max_file_bytes: int = 256 * MEBIBYTE) -> None:
        super().__init__(folder)
        self._max_file_bytes = max_file_bytes
        self._numbers: dict[str, int] = {}

    def open(self) -> None:
        self.close()
        try:
            index = self._open_index()
            noted = index.files()
            for path in sorted(self._folder.glob("*.jsonl")):
                day, _, number = path.stem.rpartition("-")
                self._numbers[day] = max(self._numbers.get(day, 0), int(number))
                if path.stat().st_size != noted.get(path.name, 0):
                    self._mend(index, path, noted.get(path.name, 0))
        except (OSError, sqlite3.Error, ValueError, FrameError) as error:
            self.close()
            raise SinkError(f"{self._folder} cannot be opened: {error}") from error

    def write(self, events: Sequence[AnyEvent]) -> int:
        index = self._opened()
        ids = [event.message_id for event in events]
        try:
            new = fresh(index, ids)
            by_day: dict[str, list[bytes]] = {}
            for position in new:
                day = day_of(events[position].happened_at_ns)
                by_day.setdefault(day, []).append(encode_event(events[position]) + b"\n")
            sizes = dict(self._append(day, lines) for day, lines in by_day.items())
            index.add((ids[position] for position in new), sizes)
        except (OSError, sqlite3.Error) as error:
            # Lines may be there that are not noted; only opening it anew tells.
            self.close()
            raise SinkError(f"{self._folder} cannot be written: {error}") from error
        except (ValueError, OverflowError) as error:
            raise SinkError(f"{self._folder}: an event has no day: {error}", retry=False) from error
        return len(new)

    def close(self) -> None:
        super().close()
        self._numbers = {}

    def _append(self, day: str, lines: list[bytes]) -> tuple[str, int]:
        number = self._numbers.get(day, 0)
        path = self._folder / f"{day}-{number:04d}.jsonl"
        if path.exists() and path.stat().st_size >= self._max_file_bytes:
            number += 1
            path = self._folder / f"{day}-{number:04d}.jsonl"
        self._numbers[day] = number
        made = not path.exists()
        with path.open("ab") as file:
            file.write(b"".join(lines))
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        if made:
            sync_folder(self._folder)
        return path.name, size

    def _mend(self, index: MessageIndex, path: Path, noted_bytes: int) -> None:
        whole = min(noted_bytes, path.stat().st_size)
        ids = []
        with path.open("r+b") as file:
            file.seek(whole)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                ids.append(decode_event(line).message_id)
                whole += len(line)
            file.truncate(whole)
            os.fsync(file.fileno())
        index.add(ids, {path.name: whole})
