"""`watch` on a real broker: what it shows is what was written."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rich.console import Console

from streamcount.config import Settings, parse_settings
from streamcount.errors import BrokerError, ExitCode
from streamcount.service.broker import Broker
from streamcount.service.topics import make_topics, topic_specs
from streamcount.service.watch import Watcher, run_watch
from streamcount.types import AnyEvent, CellAppeared, CountsUpdated, FramesMissing
from streamcount.wire import encode_event

pytestmark = pytest.mark.broker

WAIT_S = 30


@pytest.fixture
def settings(broker: Broker, request: pytest.FixtureRequest) -> Settings:
    prefix = "".join(c if c.isalnum() else "-" for c in request.node.name)
    settings = parse_settings(
        f'kafka.bootstrap_servers = "{broker.bootstrap_servers}"\n'
        f'worker.app_id = "{prefix}"\ntopics.prefix = "{prefix}"\ntopics.partitions = 2',
        environment={},
    )
    make_topics(topic_specs(settings), replication_factor=1, bootstrap_servers=broker.bootstrap_servers)
    return settings


@pytest.fixture
def producer(broker: Broker) -> Iterator[Any]:
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers)
    yield producer
    producer.close(timeout=5)


def wait_until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail("waited in vain")
        time.sleep(0.02)


def common(sequence: int) -> dict[str, Any]:
    now_ns = time.time_ns()
    return {
        "camera_id": "scope-1",
        "run_id": "run-1",
        "sequence": sequence,
        "happened_at_ns": now_ns,
        "decided_at_ns": now_ns,
    }


def counted(sequence: int) -> CountsUpdated:
    counts = {"red": 40 + sequence, "white": 2}
    total = sum(counts.values())
    return CountsUpdated(**common(sequence), counts=counts, total=total, confirmed_tracks=3, cells_seen=50)


def send(producer: Any, settings: Settings, topic: Any, *events: AnyEvent) -> None:
    for event in events:
        name = settings.topics.name(topic)
        producer.send(name, encode_event(event), b"scope-1", timestamp_ms=event.happened_at_ns // 1_000_000)
    producer.flush(timeout=10)


def test_counts_events_and_dead_letters_are_seen(settings: Settings, producer: Any) -> None:
    appeared = CellAppeared(
        **common(2), track_id=7, class_name="red", centroid_px=(1, 2), box_px=(0, 0, 2, 4), entered=False
    )
    missing = FramesMissing(**common(3), last_sequence=5, reason="dropped")
    with Watcher(settings) as watcher:
        assert watcher.wait_until_following(WAIT_S)
        send(producer, settings, "counts", counted(0), counted(1), counted(2), counted(2))
        # A worker that was killed tells the same again.
        send(producer, settings, "events", missing, missing, appeared)
        dead = settings.topics.name("dead-letters")
        producer.send(dead, b"?", b"scope-1", [("streamcount.reason", b"undecodable")]).get(10)
        wait_until(lambda: watcher.cameras() and watcher.cameras()[0].dead_letters)
        wait_until(lambda: watcher.cameras()[0].last_event.startswith("CellAppeared"))
        view = watcher.cameras()[0]
    assert (view.camera_id, view.run_id, view.sequence) == ("scope-1", "run-1", 2)
    assert (view.counts, view.total, view.cells_seen) == ({"red": 42, "white": 2}, 44, 50)
    assert (view.missing, view.dead_letters, view.last_reason) == (3, 1, "undecodable")
    assert view.last_event == "CellAppeared 7"
    assert len(view.arrivals_s) == len(view.latencies) == 3


def test_lag_is_what_the_group_has_not_committed(settings: Settings, producer: Any) -> None:
    from kafka import KafkaAdminClient, OffsetAndMetadata, TopicPartition

    topic = settings.topics.name("frames")
    for _ in range(10):
        producer.send(topic, b"frame", b"scope-1", partition=1).get(10)
    with Watcher(settings) as watcher:
        assert watcher.wait_until_following(WAIT_S)
        assert watcher.lag is None
        admin = KafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers)
        offsets = {TopicPartition(topic, 1): OffsetAndMetadata(4, "", -1)}
        admin.alter_group_offsets(settings.app_id, offsets)
        admin.close()
        wait_until(lambda: watcher.lag is not None)
        assert watcher.lag == 6


def test_missing_topics_are_named_and_then_found(broker: Broker) -> None:
    settings = parse_settings(
        f'kafka.bootstrap_servers = "{broker.bootstrap_servers}"\ntopics.prefix = "made-late"', environment={}
    )
    with Watcher(settings) as watcher:
        wait_until(lambda: "make them with streamcount topics" in watcher.trouble)
        make_topics(topic_specs(settings), replication_factor=1, bootstrap_servers=broker.bootstrap_servers)
        assert watcher.wait_until_following(WAIT_S)
        wait_until(lambda: not watcher.trouble)


def test_a_broker_that_goes_is_told_and_followed_again(tmp_path: Any) -> None:
    from kafka import KafkaProducer

    with Broker(tmp_path / "broker") as broker:
        settings = parse_settings(f'kafka.bootstrap_servers = "{broker.bootstrap_servers}"', environment={})
        make_topics(topic_specs(settings), replication_factor=1, bootstrap_servers=broker.bootstrap_servers)
        with Watcher(settings) as watcher:
            assert watcher.wait_until_following(WAIT_S)
            broker.kill_node(1)
            wait_until(lambda: "does not answer" in watcher.trouble)
            broker.start_node(1)
            wait_until(lambda: not watcher.trouble)
            producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers)
            send(producer, settings, "counts", counted(0))
            producer.close()
            wait_until(watcher.cameras)


def test_a_fault_of_any_kind_is_told_and_not_taken_for_silence() -> None:
    settings = parse_settings('kafka.bootstrap_servers = "127.0.0.1:no-port"', environment={})
    with Watcher(settings) as watcher:
        wait_until(lambda: "what is shown is stale: ValueError" in watcher._reading_trouble)
        wait_until(lambda: "what is shown is stale: ValueError" in watcher._probe.trouble)
        assert watcher._thread.is_alive()
        assert watcher._probe.is_alive()


def test_without_a_terminal_each_camera_is_a_line(settings: Settings, producer: Any) -> None:
    import threading

    text = io.StringIO()
    show = threading.Thread(
        target=run_watch,
        args=(settings,),
        kwargs={"seconds": 6, "interval_s": 0.5, "console": Console(file=text)},
    )
    show.start()
    sequence = 0
    while show.is_alive():
        send(producer, settings, "counts", counted(sequence))
        sequence += 1
        show.join(0.2)
    line = text.getvalue().splitlines()[-1]
    assert line.startswith("scope-1 run run-1; ")
    assert "frames/s; cells " in line
    assert "white 2); seen 50; latency " in line


def test_once_prints_the_table_and_ends(settings: Settings) -> None:
    text = io.StringIO()
    run_watch(settings, once=True, seconds=0.2, console=Console(file=text, width=120))
    assert "nothing counted yet" in text.getvalue()
    assert "no worker has committed yet" in text.getvalue()


def test_once_says_that_topics_are_missing_and_does_not_wait(broker: Broker) -> None:
    settings = parse_settings(
        f'kafka.bootstrap_servers = "{broker.bootstrap_servers}"\ntopics.prefix = "never-made"',
        environment={},
    )
    text = io.StringIO()
    with pytest.raises(
        BrokerError, match=r"no topic never-made\.alerts, .*make them with streamcount topics"
    ):
        # Longer than the test may take, for it is not to be waited for.
        run_watch(settings, once=True, seconds=900, console=Console(file=text))
    assert text.getvalue() == ""


def test_once_without_kafka_ends_as_every_command_does() -> None:
    command = [sys.executable, "-m", "streamcount", "watch", "--once", "--bootstrap-servers", "127.0.0.1:1"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == ExitCode.BROKER
    assert "127.0.0.1:1" in ended.stderr
    assert "is it running?" in ended.stderr
    assert ended.stdout == ""
