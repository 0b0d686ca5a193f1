"""Sinks on a real Kafka, as real processes that are killed."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient

from streamcount.service.broker import Broker
from streamcount.types import AnyEvent
from streamcount.wire import decode_event, encode_event
from tests.contract.test_sinks import Receiver
from tests.integration.service import Service, kill_group
from tests.smalldisk import small_disk
from tests.sunk import counts, every_kind, series

pytestmark = pytest.mark.broker
PATIENCE_S = 60.0
STORE_AND_WEBHOOK = """
[sinks.store]
kind = "sqlite"
path = "{path}"
[sinks.lab]
kind = "webhook"
url = "http://127.0.0.1:{port}/"
batch_events = 20
timeout_s = 2
"""


@contextlib.contextmanager
def service(broker: Broker, folder: Path, name: str, sinks: str) -> Iterator[Service]:
    # The broker is shared by all tests, and so would be the changelog of a worker of the default name.
    running = Service(broker.bootstrap_servers, folder, f'[worker]\napp_id = "{name}-worker"\n{sinks}', name)
    try:
        yield running
    finally:
        running.close()


def publish(running: Service, events: list[AnyEvent]) -> None:
    topics = {
        "CountsUpdated": "counts",
        "WindowClosed": "windows",
        "AlertRaised": "alerts",
        "AlertCleared": "alerts",
    }
    with running.producer() as producer:
        for event in events:
            name = running.settings.topics.name(topics.get(event.kind, "events"))
            producer.send(name, key=event.camera_id.encode(), value=encode_event(event))
        producer.flush()


def in_sqlite(path: Path) -> list[str]:
    if not path.exists():
        return []
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as db:
        try:
            return [one for (one,) in db.execute("SELECT message_id FROM events")]
        except sqlite3.OperationalError:
            # The file is there, its tables not yet.
            return []


def in_jsonl(folder: Path) -> list[str]:
    lines = [line for path in folder.glob("*.jsonl") for line in path.read_bytes().splitlines(keepends=True)]
    return [decode_event(line).message_id for line in lines if line.endswith(b"\n")]


def until(running: Service, what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        ended = [process.poll() for process in running.processes]
        assert time.monotonic() < deadline, f"processes: {ended}\n{running.logs()}"
        time.sleep(0.1)


def test_one_that_is_down_holds_up_only_itself_and_catches_up(broker, tmp_path):
    receiver = Receiver()
    port = receiver.server_address[1]
    receiver.shutdown()
    receiver.server_close()
    path = tmp_path / "store.sqlite"
    text = STORE_AND_WEBHOOK.format(path=path, port=port)
    events = every_kind()
    wanted = {event.message_id for event in events}
    with service(broker, tmp_path, "sinks-down", text) as running:
        process = running.start("sink")
        publish(running, events)
        until(running, lambda: len(in_sqlite(path)) == len(wanted))
        until(running, lambda: "sink lab waits" in running.logs())
        receiver = Receiver(port)
        until(running, lambda: set(receiver.kept) == wanted)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        receiver.shutdown()
        receiver.server_close()
    assert sorted(in_sqlite(path)) == sorted(wanted)


def told_of(running: Service) -> dict[str, str]:
    """By sink what /readyz says is wrong with it, "" for nothing."""
    until(running, lambda: "metrics at " in running.logs())
    url = running.logs().partition("metrics at ")[2].split()[0].replace("/metrics", "/readyz")
    try:
        answer = urllib.request.urlopen(url, timeout=5).read()
    except urllib.error.HTTPError as error:
        answer = error.read()
    return json.loads(answer)


@contextlib.contextmanager
def beside_a_webhook(
    broker: Broker, folder: Path, events: list[AnyEvent], answers_after_s: float
) -> Iterator[tuple[Service, Receiver, set[str]]]:
    """Sinks that are given the events, at the time when the store has them all; and the messages' ids."""
    receiver, path = Receiver(), folder / "store.sqlite"
    receiver.answers_after_s = answers_after_s
    wanted = {event.message_id for event in events}
    text = STORE_AND_WEBHOOK.format(path=path, port=receiver.server_address[1])
    with service(broker, folder, f"sinks-{answers_after_s:g}".replace(".", "-"), text) as running:
        running.start("sink", "--port", "0")
        publish(running, events)
        until(running, lambda: len(in_sqlite(path)) == len(wanted))
        yield running, receiver, wanted
    receiver.shutdown()
    receiver.server_close()


def test_one_that_is_slow_holds_up_only_itself_and_is_told_nothing_twice(broker, tmp_path):
    with beside_a_webhook(broker, tmp_path, series(400), 0.5) as (running, receiver, wanted):
        assert len(receiver.kept) < len(wanted)
        until(running, lambda: set(receiver.kept) == wanted)
        assert told_of(running)["lab"] == ""
        posted = [message for _, messages in receiver.posts for message in messages]
        assert len(posted) == len(set(posted)) == len(wanted)


def test_one_whose_answers_come_too_late_waits_and_catches_up(broker, tmp_path):
    with beside_a_webhook(broker, tmp_path, series(200), 5.0) as (running, receiver, wanted):
        until(running, lambda: len(receiver.posts) >= 2)
        until(running, lambda: "timed out" in told_of(running)["lab"])
        assert told_of(running)["store"] == ""
        receiver.answers_after_s = 0.0
        until(running, lambda: set(receiver.kept) == wanted)
        # The same batch has the same key, so that a receiver which keeps no events can tell it too.
        keys, batches = zip(*receiver.posts, strict=True)
        assert len(set(keys)) == len(set(batches))


def test_one_whose_disk_is_full_holds_up_only_itself_and_catches_up(broker, tmp_path):
    receiver, lines = Receiver(), tmp_path / "lines"
    events: list[AnyEvent] = series(600)
    wanted = sorted(event.message_id for event in events)
    with small_disk(tmp_path / "disk", 2 * 2**20) as disk:
        path, other = disk.folder / "store.sqlite", disk.folder / "jsonl"
        text = (
            STORE_AND_WEBHOOK.format(path=path, port=receiver.server_address[1])
            + f"""
[sinks.full]
kind = "jsonl"
folder = "{other}"
[sinks.lines]
kind = "jsonl"
folder = "{lines}"
"""
        )
        with service(broker, tmp_path, "sinks-full", text) as running:
            running.start("sink", "--port", "0")
            publish(running, events[:100])
            until(running, lambda: len(in_sqlite(path)) == len(in_jsonl(other)) == 100)
            disk.fill()
            publish(running, events[100:])
            until(running, lambda: sorted(receiver.kept) == wanted and len(in_jsonl(lines)) == len(wanted))
            until(running, lambda: "" not in {told_of(running)[one] for one in ("store", "full")})
            assert {told_of(running)[one] for one in ("lab", "lines")} == {""}
            assert len(in_sqlite(path)) < len(wanted)
            disk.free()
            until(running, lambda: len(in_sqlite(path)) == len(in_jsonl(other)) == len(wanted))
            assert sorted(in_sqlite(path)) == sorted(in_jsonl(other)) == sorted(in_jsonl(lines)) == wanted
            posted = [message for _, messages in receiver.posts for message in messages]
            assert sorted(posted) == wanted
    receiver.shutdown()
    receiver.server_close()


def test_killed_again_and_again_the_stores_hold_what_the_topics_hold_each_once(broker, tmp_path):
    path, folder = tmp_path / "store.sqlite", tmp_path / "lines"
    text = f"""
[sinks.store]
kind = "sqlite"
path = "{path}"
batch_events = 20
[sinks.lines]
kind = "jsonl"
folder = "{folder}"
batch_events = 20
max_file_bytes = 20000
"""
    chance = random.Random(5)
    events: list[AnyEvent] = series(600) + [counts(n, 3, "scope-2") for n in range(600)]
    # A worker that was killed tells some of it again.
    told = events + events[200:300]
    wanted = sorted(event.message_id for event in events)
    with service(broker, tmp_path, "sinks-killed", text) as running:
        publish(running, told)
        for _ in range(5):
            before = len(in_sqlite(path)) + len(in_jsonl(folder))
            process = running.start("sink")
            until(running, lambda before=before: len(in_sqlite(path)) + len(in_jsonl(folder)) > before)
            time.sleep(chance.random() * 0.1)
            kill_group(process)
            process.wait()
            if len(in_sqlite(path)) + len(in_jsonl(folder)) >= 2 * len(wanted):
                break
        running.start("sink")
        until(running, lambda: len(in_sqlite(path)) >= len(wanted) and len(in_jsonl(folder)) >= len(wanted))
    assert sorted(in_sqlite(path)) == wanted
    assert sorted(in_jsonl(folder)) == wanted


def places(running: Service, group: str) -> int:
    """In how many partitions a consumer group has a place."""
    with contextlib.closing(
        KafkaAdminClient(bootstrap_servers=running.settings.kafka.bootstrap_servers)
    ) as admin:
        return len(admin.list_group_offsets(group).get(group, {}))


def test_one_that_begins_with_what_is_to_come_and_is_down_at_its_first_start_misses_nothing(broker, tmp_path):
    path = tmp_path / "store.sqlite"
    path.mkdir()
    text = f'[sinks.store]\nkind = "sqlite"\npath = "{path}"\nbegin = "end"\n'
    with service(broker, tmp_path, "sinks-end", text) as running:
        publish(running, series(5))
        process = running.start("sink", "--port", "0")
        topics = len(running.settings.sinks["store"].topics)
        until(running, lambda: places(running, "sinks-end-sink-store") == topics * 4)
        events = series(20)[10:]
        publish(running, events)
        kill_group(process)
        process.wait()
        path.rmdir()
        running.start("sink", "--port", "0")
        until(running, lambda: len(in_sqlite(path)) >= len(events))
        assert sorted(in_sqlite(path)) == sorted(event.message_id for event in events)


def test_what_can_never_be_stored_is_set_aside_and_the_rest_goes_on(broker, tmp_path):
    path, refused = tmp_path / "store.sqlite", tmp_path / "refused"
    text = f"""
[sinks.store]
kind = "sqlite"
path = "{path}"
refused_folder = "{refused}"
"""
    with service(broker, tmp_path, "sinks-refused", text) as running:
        with running.producer() as producer:
            name = running.settings.topics.name("counts")
            producer.send(name, key=b"scope-1", value=b"no event")
            big = counts(1, 2**63)
            producer.send(name, key=b"scope-1", value=encode_event(big))
            producer.flush()
        publish(running, series(20))
        process = running.start("sink", "--port", "0")
        until(running, lambda: len(in_sqlite(path)) == 20)
        until(running, lambda: (refused / "store.jsonl").exists())
        lines = (refused / "store.jsonl").read_text().splitlines()
        assert len(lines) == 2
        until(running, lambda: "metrics at " in running.logs())
        url = running.logs().partition("metrics at ")[2].split()[0]
        text = urllib.request.urlopen(url, timeout=5).read().decode()
        assert 'streamcount_sink_refused_total{sink="store"} 2.0' in text
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
