"""What every sink promises, tried on the real thing."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from streamcount.errors import SinkError
from streamcount.sinks.base import EventSink
from streamcount.sinks.store.jsonl import JsonLinesSink
from streamcount.sinks.store.parquet import ParquetSink
from streamcount.sinks.store.postgres import PostgresSink
from streamcount.sinks.store.sqlite import SqliteSink
from streamcount.sinks.store.webhook import WebhookSink
from streamcount.types import AnyEvent
from streamcount.wire import decode_event
from streamcount.wire.signing import verify
from tests.postgres import Postgres, running_server
from tests.smalldisk import small_disk
from tests.sunk import DAY_NS, every_kind, series

KINDS = ("sqlite", "postgres", "parquet", "jsonl", "webhook")
SECRET = b"of this test only"
MEBIBYTE = 2**20


@dataclass
class Case:
    """A sink over one place, what lies there, and how the place is made to be down and up again."""

    make: Callable[[], EventSink]
    stored: Callable[[], list[AnyEvent]]
    down: Callable[[], None]
    up: Callable[[], None]


class Receiver(ThreadingHTTPServer):
    """Keeps what is posted, each message once, as docs/store.md tells a receiver to."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.kept: dict[str, AnyEvent] = {}
        self.answer = 204
        self.answers_after_s = 0.0
        self.unsigned = 0
        # Of each post its Idempotency-Key and the messages in it.
        self.posts: list[tuple[str, tuple[str, ...]]] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        signature = self.headers.get("Streamcount-Signature", "")
        now_s = int(signature.partition(",")[0].removeprefix("t=") or 0)
        if not verify(body, SECRET, signature, now_s):
            self.server.unsigned += 1
        if self.server.answer < 300:
            events = [decode_event(json.dumps(one).encode()) for one in json.loads(body)]
            for event in events:
                self.server.kept.setdefault(event.message_id, event)
            ids = tuple(event.message_id for event in events)
            self.server.posts.append((self.headers.get("Idempotency-Key", ""), ids))
        time.sleep(self.server.answers_after_s)
        # Nobody may be there any more to hear it.
        with contextlib.suppress(ConnectionError):
            self.send_response(self.server.answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    yield from running_server()


@pytest.fixture(params=KINDS)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    if request.param == "postgres":
        running = request.getfixturevalue("server")
        clear(running)
        yield postgres_case(running)
        if running.process is None:
            running.start()
        return
    if request.param == "webhook":
        receiver = Receiver()
        url = f"http://127.0.0.1:{receiver.server_address[1]}/events?token=x"

        def answer(status: int) -> Callable[[], None]:
            return lambda: setattr(receiver, "answer", status)

        yield Case(
            lambda: WebhookSink(url, SECRET), lambda: list(receiver.kept.values()), answer(503), answer(204)
        )
        assert receiver.unsigned == 0
        receiver.shutdown()
        receiver.server_close()
        return
    yield {"sqlite": sqlite_case, "parquet": parquet_case, "jsonl": jsonl_case}[request.param](
        tmp_path / "store"
    )


def sqlite_case(folder: Path) -> Case:
    path = folder / "store.sqlite"
    locks: list[sqlite3.Connection] = []

    def stored() -> list[AnyEvent]:
        rows = sqlite3.connect(path).execute("SELECT json FROM events")
        return [decode_event(text.encode()) for (text,) in rows]

    def down() -> None:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        locks.append(other)

    def make() -> SqliteSink:
        return SqliteSink(path, busy_s=0.1)

    return Case(make, stored, down, lambda: locks.pop().close())


def clear(running: Postgres) -> None:
    import psycopg

    with psycopg.connect(running.url, autocommit=True) as db:
        db.execute("DROP SCHEMA public CASCADE")
        db.execute("CREATE SCHEMA public")


def postgres_case(running: Postgres) -> Case:
    import psycopg

    def stored() -> list[AnyEvent]:
        with psycopg.connect(running.url) as db:
            return [decode_event(text.encode()) for (text,) in db.execute("SELECT json FROM events")]

    return Case(lambda: PostgresSink(running.url), stored, running.kill, running.start)


def blocked(folder: Path) -> tuple[Callable[[], None], Callable[[], None]]:
    """The folder is away, and a file is in its place; as root, rights would hold nothing back."""
    aside = folder.with_name("aside")

    def down() -> None:
        folder.rename(aside)
        folder.write_text("in the way")

    def up() -> None:
        folder.unlink()
        aside.rename(folder)

    return down, up


def parquet_case(folder: Path) -> Case:
    pyarrow_dataset = pytest.importorskip("pyarrow.dataset")

    def stored() -> list[AnyEvent]:
        if not list(folder.glob("day=*")):
            return []
        table = pyarrow_dataset.dataset(folder, format="parquet", partitioning="hive").to_table()
        assert {"day", "camera", "kind", "track_id"} <= set(table.column_names)
        return [decode_event(text.encode()) for text in table.column("json").to_pylist()]

    return Case(lambda: ParquetSink(folder), stored, *blocked(folder))


def jsonl_case(folder: Path) -> Case:
    def stored() -> list[AnyEvent]:
        lines = [line for path in sorted(folder.glob("*.jsonl")) for line in path.read_bytes().splitlines()]
        return [decode_event(line) for line in lines]

    return Case(lambda: JsonLinesSink(folder, 4096), stored, *blocked(folder))


def by_id(events: list[AnyEvent]) -> list[AnyEvent]:
    return sorted(events, key=lambda event: event.message_id)


def test_every_kind_of_event_comes_back_as_it_was(case):
    sink = case.make()
    sink.open()
    assert sink.write(every_kind()) == len(every_kind())
    sink.close()
    sink.close()
    assert by_id(case.stored()) == by_id(every_kind())


def test_repeats_are_kept_once_in_a_batch_across_batches_and_across_openings(case):
    events = series(30)
    sink = case.make()
    sink.open()
    sink.write(events[:20] + events[:5])
    sink.write(events[10:])
    sink.close()
    again = case.make()
    again.open()
    again.write(events)
    again.close()
    assert by_id(case.stored()) == by_id(events)


def test_events_out_of_order_and_of_several_days_are_all_kept(case):
    events = series(6, step_ns=40 * DAY_NS)[::-1]
    sink = case.make()
    sink.open()
    sink.write(events)
    sink.close()
    assert by_id(case.stored()) == by_id(events)


def test_nothing_is_nothing(case):
    sink = case.make()
    sink.open()
    assert sink.write([]) == 0
    sink.close()
    assert case.stored() == []


def test_one_that_is_down_says_so_and_takes_the_same_events_when_it_is_up(case):
    events = series(40)
    sink = case.make()
    sink.open()
    sink.write(events[:10])
    case.down()
    with pytest.raises(SinkError) as told:
        sink.write(events[10:])
    assert told.value.retry
    assert "token" not in str(told.value)
    case.up()
    sink.open()
    sink.write(events)
    sink.close()
    assert by_id(case.stored()) == by_id(events)


@pytest.mark.parametrize("kind", ["sqlite", "parquet", "jsonl"])
@pytest.mark.parametrize("from_the_first", [False, True])
def test_one_whose_disk_is_full_takes_the_same_events_when_there_is_room(tmp_path, kind, from_the_first):
    events = series(400)
    with small_disk(tmp_path / "disk", 2 * MEBIBYTE) as disk:
        case = {"sqlite": sqlite_case, "parquet": parquet_case, "jsonl": jsonl_case}[kind](
            disk.folder / "store"
        )
        sink = case.make()

        def write() -> None:
            for start in range(0, len(events), 40):
                sink.write(events[start : start + 40])

        def give() -> None:
            # As its feeder does: what failed is opened anew, and given the same again.
            sink.open()
            write()

        if not from_the_first:
            sink.open()
            sink.write(events[:100])
        disk.fill()
        for one in (give if from_the_first else write, give, give):
            with pytest.raises(SinkError) as told:
                one()
            assert told.value.retry
        disk.free()
        give()
        sink.close()
        assert by_id(case.stored()) == by_id(events)


def test_writing_before_opening_is_told(case):
    with pytest.raises(SinkError, match="open"):
        case.make().write(series(1))
