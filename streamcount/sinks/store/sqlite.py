"""Events in one SQLite file: the default, with nothing to install or run."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import Field

from streamcount.errors import SinkError
from streamcount.sinks.base import SinkOptions
from streamcount.sinks.store import schema
from streamcount.types import AnyEvent

BUSY_S = 5.0


class SqliteConfig(SinkOptions):
    """Events in one SQLite file."""

    kind: Literal["sqlite"] = Field(default="sqlite", description="a file of SQLite")
    path: Path = Field(default=Path("streamcount-data/store.sqlite"), description="the file")

    def build(self) -> SqliteSink:
        """The sink, not open yet."""
        return SqliteSink(self.path)


class SqliteSink:
    """One transaction a batch. WAL lets others read meanwhile; `synchronous` is FULL, for a commit must outlive
    a power cut: Kafka's offset is committed right after it."""

    def __init__(self, path: Path, busy_s: float = BUSY_S) -> None:
        self._path = path
        self._busy_s = busy_s
        self._db: sqlite3.Connection | None = None

    def open(self) -> None:
        self.close()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self._path, timeout=self._busy_s, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._make_tables(self._db)
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise SinkError(f"{self._path} cannot be opened: {error}") from error
        except SinkError:
            self.close()
            raise

    def write(self, events: Sequence[AnyEvent]) -> int:
        if self._db is None:
            raise SinkError(f"{self._path} is not open")
        db = self._db
        try:
            with transaction(db):
                new = 0
                for table, rows in schema.rows_of(events).items():
                    done = db.executemany(table.insert("?"), rows).rowcount if rows else 0
                    new += done if table is schema.EVENTS else 0
        except (OverflowError, sqlite3.DataError, sqlite3.IntegrityError, sqlite3.InterfaceError) as error:
            raise SinkError(f"{self._path} can never hold this: {error}", retry=False) from error
        except sqlite3.Error as error:
            raise SinkError(f"{self._path} cannot be written: {error}") from error
        return new

    def close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def _make_tables(self, db: sqlite3.Connection) -> None:
        with transaction(db):
            db.execute("CREATE TABLE IF NOT EXISTS streamcount_schema (version INTEGER NOT NULL)")
            found = db.execute("SELECT MAX(version) FROM streamcount_schema").fetchone()[0]
            if found is not None and found > schema.VERSION:
                raise SinkError(schema.newer(found, str(self._path)))
            if found is None:
                for table in schema.TABLES:
                    db.execute(schema.SQLITE.create(table))
                for statement in schema.INDEXES:
                    db.execute(statement)
            if found != schema.VERSION:
                for name, query in schema.VIEWS.items():
                    db.execute(f"DROP VIEW IF EXISTS {name}")
                    db.execute(f"CREATE VIEW {name} AS {query}")
                db.execute("INSERT INTO streamcount_schema VALUES (?)", (schema.VERSION,))


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing, whatever goes wrong, the commit too. The connection's `isolation_level` is None."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        # Some errors, such as a full disk, have ended the transaction already.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
