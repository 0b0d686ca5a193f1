"""Which messages a folder of files holds, in a small database beside them; files alone could not tell quickly.

And what else the sinks that write files share.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from streamcount.errors import SinkError
from streamcount.sinks.store.sqlite import transaction

# Readers of hive folders pass over names that begin so.
NAME = "_index.sqlite"
_ASKED_AT_ONCE = 500


class MessageIndex:
    """Ids of messages, and how much of each file they come from.

    It may be behind the files after a crash, never ahead: add to it what is on disk already. It is locked while it is
    open. It raises sqlite3.Error and OSError.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(folder / NAME, isolation_level=None, timeout=1.0)
        try:
            self._prepare()
        except sqlite3.Error:
            # Else the lock would stay for as long as anybody holds the error.
            self._db.close()
            raise

    def _prepare(self) -> None:
        # One process writes into a folder; a second would mend what the first is writing.
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = WAL")
        # Losing the last entries to a power cut is mended from the files.
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("CREATE TABLE IF NOT EXISTS messages (digest BLOB PRIMARY KEY) WITHOUT ROWID")
        self._db.execute("CREATE TABLE IF NOT EXISTS files (name TEXT PRIMARY KEY, bytes INTEGER NOT NULL)")

    def files(self) -> dict[str, int]:
        """The files that are known, and the size up to which they are."""
        return dict(self._db.execute("SELECT name, bytes FROM files"))

    def known(self, message_ids: Iterable[str]) -> set[str]:
        """Those of the messages that are there."""
        by_digest = {_digest(one): one for one in message_ids}
        digests = list(by_digest)
        found: set[str] = set()
        for start in range(0, len(digests), _ASKED_AT_ONCE):
            part = digests[start : start + _ASKED_AT_ONCE]
            marks = ",".join("?" * len(part))
            asked = self._db.execute(f"SELECT digest FROM messages WHERE digest IN ({marks})", part)
            found |= {by_digest[row[0]] for row in asked}
        return found

    def add(self, message_ids: Iterable[str], sizes: dict[str, int]) -> None:
        """Notes messages, and up to which size, in bytes, each file is noted now."""
        with transaction(self._db):
            rows = ((_digest(one),) for one in message_ids)
            self._db.executemany("INSERT OR IGNORE INTO messages VALUES (?)", rows)
            self._db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?)", sizes.items())

    def close(self) -> None:
        """Frees the file."""
        self._db.close()


def _digest(message_id: str) -> bytes:
    # 128 bits: among 10**12 messages two alike are less likely than 1 in 10**14.
    return hashlib.blake2b(message_id.encode(), digest_size=16).digest()


def fresh(index: MessageIndex, message_ids: list[str]) -> list[int]:
    """Positions of the messages that are not there yet, the first of each."""
    seen = index.known(message_ids)
    positions = []
    for position, message_id in enumerate(message_ids):
        if message_id not in seen:
            seen.add(message_id)
            positions.append(position)
    return positions


class IndexedFolder:
    """What sinks that write files have in common: a folder with an index, open or not."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._index: MessageIndex | None = None

    def _open_index(self) -> MessageIndex:
        self._index = MessageIndex(self._folder)
        return self._index

    def _opened(self) -> MessageIndex:
        """The index. Raises SinkError where it is not open."""
        if self._index is None:
            raise SinkError(f"{self._folder} is not open")
        return self._index

    def close(self) -> None:
        index, self._index = self._index, None
        if index is not None:
            index.close()


def day_of(time_ns: int) -> str:
    """The day in UTC, as 2026-01-31. Raises ValueError or OverflowError where there is none."""
    return f"{datetime.fromtimestamp(time_ns // 10**9, UTC):%Y-%m-%d}"


def sync_folder(folder: Path) -> None:
    """Makes names in a folder lasting."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
