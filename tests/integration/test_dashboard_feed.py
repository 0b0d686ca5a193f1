"""The page's feed on a real broker: what it shows is what was written, and it moves nobody's offsets."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaProducer

from streamcount.config import Settings, parse_settings
from streamcount.service.broker import Broker
from streamcount.service.dashboard.feed import LOOK_BACK_S, Feed
from streamcount.service.dashboard.history import History
from streamcount.service.dashboard.last_words import LastWords
from streamcount.service.dashboard.model import LiveModel
from streamcount.service.dashboard.past import SLACK_MS
from streamcount.service.dashboard.views import CameraSummary, rfc3339, summary
from streamcount.service.topics import make_topics, topic_specs
from streamcount.sinks.store import SqliteConfig
from streamcount.types import CountsUpdated, FrameMetadata
from streamcount.wire import encode_event
from streamcount.wire.cloudevents import frame_headers
from tests.sunk import counts

pytestmark = pytest.mark.broker

WAIT_S = 40


def wait_until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail("waited in vain")
        time.sleep(0.02)


def counted(sequence: int) -> CountsUpdated:
    now_ns = time.time_ns()
    times = {"happened_at_ns": now_ns, "decided_at_ns": now_ns}
    numbers = {"counts": {"red": 4}, "total": 4, "confirmed_tracks": 4, "cells_seen": 9}
    return CountsUpdated(camera_id="scope-1", run_id="a", sequence=sequence, **times, **numbers)


def made(broker: Broker, prefix: str, more: str = "") -> Settings:
    settings = parse_settings(
        f'kafka.bootstrap_servers = "{broker.bootstrap_servers}"\n'
        f'worker.app_id = "{prefix}"\ntopics.prefix = "{prefix}"\ntopics.partitions = 2\n{more}',
        environment={},
    )
    make_topics(topic_specs(settings), replication_factor=1, bootstrap_servers=broker.bootstrap_servers)
    return settings


def send_frame(producer: KafkaProducer, settings: Settings, sequence: int) -> None:
    metadata = FrameMetadata(
        camera_id="scope-1", run_id="a", sequence=sequence, acquired_at_ns=time.time_ns()
    )
    headers = frame_headers(metadata, "image/jpeg")
    producer.send(settings.topics.name("frames"), b"jpeg", b"scope-1", headers).get(20)
    producer.send(settings.topics.name("counts"), encode_event(counted(sequence)), b"scope-1").get(20)


def counts_of(model: LiveModel) -> int:
    return model.look("scope-1", lambda camera: len(camera.runs["a"].counted) if camera.runs else 0) or 0


def test_it_looks_back_on_words_and_shows_only_the_newest_picture(broker: Broker) -> None:
    settings = made(broker, "feed-looks-back")
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers)
    for sequence in range(5):
        send_frame(producer, settings, sequence)
    model = LiveModel()
    with Feed(settings, model) as feed:
        assert feed.wait_until_following(WAIT_S)
        wait_until(lambda: counts_of(model) == 5)
        wait_until(lambda: model.remembers_since_ns("scope-1", "events"))
        since_ns = model.remembers_since_ns("scope-1", "counts")
        assert since_ns is not None
        assert LOOK_BACK_S - WAIT_S - SLACK_MS / 1000 < time.time() - since_ns / 1e9 < LOOK_BACK_S
        wait_until(lambda: model.look("scope-1", lambda camera: len(camera.pictures)))
        assert model.look("scope-1", lambda camera: [one.sequence for one in camera.pictures]) == [4]
        send_frame(producer, settings, 5)
        wait_until(lambda: counts_of(model) == 6)
        assert model.look("scope-1", lambda camera: camera.view.latency_ms(time.monotonic())) is not None
        account = model.look("scope-1", lambda camera: camera.runs["a"].account())
        assert account is not None
        assert (account.first, account.published, account.difference) == (0, 6, 0)
    producer.close()
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    assert not [group for group in admin.list_groups() if "dashboard" in str(group)]
    admin.close()


def test_a_configured_camera_that_died_long_ago_is_shown_as_it_was_last_counted(
    broker: Broker, tmp_path: Path
) -> None:
    names = ("scope-1", "stored", "never")
    text = "".join(f'[cameras.{name}.source]\nkind = "simulated"\n' for name in names)
    settings = made(broker, "feed-last-words", text)
    hours_ago_ms = int((time.time() - 2 * 3600) * 1000)
    with KafkaProducer(bootstrap_servers=broker.bootstrap_servers) as producer:
        for sequence in range(3):
            value, topic = encode_event(counted(sequence)), settings.topics.name("counts")
            producer.send(topic, value, b"scope-1", timestamp_ms=hours_ago_ms + sequence).get(20)
    kept = SqliteConfig(path=tmp_path / "store.sqlite")
    sink = kept.build()
    sink.open()
    sink.write([counts(5, 7, "stored")])
    sink.close()
    model = LiveModel()
    with Feed(settings, model) as feed, LastWords(settings, feed, model, History(model, kept)):
        wait_until(lambda: model.unheard() == ["never"])

        def told(name: str) -> CameraSummary | None:
            return model.look(name, lambda camera: summary(camera, time.monotonic(), time.time_ns()))

        died, stored = told("scope-1"), told("stored")
        assert died is not None
        assert (died.state, died.sequence, died.total) == ("stale", 2, 4)
        assert died.since == rfc3339((hours_ago_ms + 2) * 10**6)
        assert stored is not None
        assert (stored.state, stored.run_id, stored.sequence, stored.total) == ("stale", "run-1", 5, 8)
        wait_until(lambda: told("never").state == "unheard")  # type: ignore[union-attr]


def test_a_broker_that_goes_is_told_and_followed_again(tmp_path: Path) -> None:
    with Broker(tmp_path / "broker") as broker:
        settings = made(broker, "feed-recovers")
        model = LiveModel()
        with Feed(settings, model) as feed:
            assert feed.wait_until_following(WAIT_S)
            broker.kill_node(1)
            wait_until(lambda: "does not answer" in feed.trouble or "cannot be read" in feed.trouble)
            assert feed.trouble_since_ns > 0
            broker.start_node(1)
            producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers)
            wait_until(lambda: not feed.trouble)
            send_frame(producer, settings, 0)
            wait_until(lambda: counts_of(model) == 1)
            producer.close()


def test_missing_topics_are_named_and_then_found(broker: Broker) -> None:
    settings = parse_settings(
        f'kafka.bootstrap_servers = "{broker.bootstrap_servers}"\ntopics.prefix = "feed-late"', environment={}
    )
    with Feed(settings, LiveModel()) as feed:
        wait_until(lambda: "make them with streamcount topics" in feed.trouble)
        make_topics(topic_specs(settings), replication_factor=1, bootstrap_servers=broker.bootstrap_servers)
        assert feed.wait_until_following(WAIT_S)
