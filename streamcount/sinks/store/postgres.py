"""Events in PostgreSQL: the same tables, for many cameras, many readers and years."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from streamcount.errors import ConfigurationError, SinkError
from streamcount.sinks.base import SinkOptions, secret_of
from streamcount.sinks.store import schema
from streamcount.types import AnyEvent

if TYPE_CHECKING:
    import psycopg

CONNECT_S = 5
CHUNK_NS = 30 * 86_400 * 10**9
# Any number will do that others do not use.
_LOCK = 0x73747263


class PostgresConfig(SinkOptions):
    """Events in a database of PostgreSQL, with hypertables where it has TimescaleDB. Needs streamcount[postgres]."""

    kind: Literal["postgres"] = Field(description="a database of PostgreSQL")
    url: str = Field(
        default="postgresql://127.0.0.1:5432/streamcount",
        description="which database, as libpq has it; without a password",
    )
    password_env: str | None = Field(
        default=None,
        description="environment variable that holds the password; PGPASSWORD and .pgpass work too",
    )

    @field_validator("url")
    @classmethod
    def _no_password(cls, url: str) -> str:
        from urllib.parse import urlsplit

        if re.search(r"password\s*=", url) or urlsplit(url).password:
            raise ValueError("leave the password out, and name a variable that holds it in password_env")
        return url

    def password(self) -> str | None:
        """The password, if a variable for it is named. Raises ConfigurationError where that is not set."""
        return secret_of(self.password_env)

    def build(self) -> PostgresSink:
        """The sink, not open yet. Raises ConfigurationError."""
        return PostgresSink(self.url, self.password())


def connect(url: str, password: str | None) -> psycopg.Connection[tuple[Any, ...]]:
    """A connection. Raises ConfigurationError without psycopg, SinkError where the server cannot be reached."""
    try:
        import psycopg
    except ImportError as error:
        raise ConfigurationError("PostgreSQL needs psycopg: pip install 'streamcount[postgres]'") from error
    try:
        return psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=CONNECT_S,
            application_name="streamcount",
            password=password,
        )
    except psycopg.Error as error:
        raise SinkError(f"PostgreSQL cannot be reached: {_first_line(error)}") from error


class PostgresSink:
    """One transaction a batch; `commit` returns when the server has it on disk (its `synchronous_commit`).

    The tables that grow with the frames are hypertables where TimescaleDB is installed in the database, else they
    are partitioned by month, each part made when its first event comes. The key of such a table must hold the time;
    as an event's time follows from its message, it keeps repeats out all the same.
    """

    def __init__(self, url: str, password: str | None = None) -> None:
        self._url = url
        self._password = password
        self._db: psycopg.Connection[tuple[Any, ...]] | None = None
        self._parts: set[str] | None = None

    def open(self) -> None:
        self.close()
        self._db = connect(self._url, self._password)
        import psycopg

        try:
            with self._db.transaction():
                self._db.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                self._make_tables(self._db)
            found = self._db.execute("SELECT relkind FROM pg_class WHERE oid = 'events'::regclass").fetchone()
        except psycopg.Error as error:
            self.close()
            raise SinkError(f"PostgreSQL: the tables cannot be made: {_first_line(error)}") from error
        except SinkError:
            self.close()
            raise
        partitioned = found is not None and found[0] in ("p", b"p")
        self._parts = set() if partitioned else None

    def write(self, events: Sequence[AnyEvent]) -> int:
        import psycopg

        if self._db is None or self._db.closed:
            raise SinkError("PostgreSQL: there is no open connection")
        made: set[str] = set()
        try:
            with self._db.transaction(), self._db.cursor() as cursor:
                made = self._make_parts(cursor, events)
                new = 0
                for table, rows in schema.rows_of(events).items():
                    if rows:
                        cursor.executemany(table.insert("%s"), rows)
                        new += cursor.rowcount if table is schema.EVENTS else 0
        except (psycopg.DataError, psycopg.IntegrityError, OverflowError, ValueError) as error:
            raise SinkError(f"PostgreSQL can never hold this: {_first_line(error)}", retry=False) from error
        except psycopg.Error as error:
            raise SinkError(f"PostgreSQL cannot be written: {_first_line(error)}") from error
        if self._parts is not None:
            self._parts |= made
        return new

    def close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def _make_tables(self, db: psycopg.Connection[tuple[Any, ...]]) -> None:
        db.execute("CREATE TABLE IF NOT EXISTS streamcount_schema (version INTEGER NOT NULL)")
        row = db.execute("SELECT MAX(version) FROM streamcount_schema").fetchone()
        found = row[0] if row else None
        if found is not None and found > schema.VERSION:
            raise SinkError(schema.newer(found, "the database"))
        if found is None:
            self._make_empty_tables(db)
        if found != schema.VERSION:
            for name, query in schema.VIEWS.items():
                # All that is built on it stays, since its columns do.
                db.execute(f"CREATE OR REPLACE VIEW {name} AS {query}".encode())
            db.execute("INSERT INTO streamcount_schema VALUES (%s)", (schema.VERSION,))

    def _make_empty_tables(self, db: psycopg.Connection[tuple[Any, ...]]) -> None:
        timescale = db.execute("SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'").fetchone()
        for table in schema.TABLES:
            text = schema.POSTGRES.create(table)
            parted = " PARTITION BY RANGE (happened_at_ns)" if table.by_time and not timescale else ""
            db.execute((text + parted).encode())
            if table.by_time and timescale:
                db.execute(
                    "SELECT create_hypertable(%s, 'happened_at_ns', chunk_time_interval => %s)",
                    (table.name, CHUNK_NS),
                )
        for statement in schema.INDEXES:
            db.execute(statement.encode())

    def _make_parts(self, cursor: psycopg.Cursor[Any], events: Iterable[AnyEvent]) -> set[str]:
        """Makes the parts that the events need and are not known; returns their names."""
        if self._parts is None:
            return set()
        made: set[str] = set()
        for event in events:
            name = f"{_moment(event.happened_at_ns):%Y_%m}"
            if name in self._parts or name in made:
                continue
            if not made:
                # Of two writers, the second finds the part that the first has made.
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            first_ns, end_ns = month_of(event.happened_at_ns)
            for table in schema.TABLES:
                if table.by_time:
                    cursor.execute(
                        f"CREATE TABLE IF NOT EXISTS {table.name}_{name} PARTITION OF {table.name} "
                        f"FOR VALUES FROM ({first_ns}) TO ({end_ns})".encode()
                    )
            made.add(name)
        return made


def month_of(time_ns: int) -> tuple[int, int]:
    """The month in UTC that holds a time, as [first, end) in nanoseconds since 1970."""
    first = _moment(time_ns).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    end = (first + timedelta(days=32)).replace(day=1)
    return int(first.timestamp()) * 10**9, int(end.timestamp()) * 10**9


def _moment(time_ns: int) -> datetime:
    return datetime.fromtimestamp(time_ns // 10**9, UTC)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
