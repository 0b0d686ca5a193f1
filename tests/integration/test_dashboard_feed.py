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
from streamcount.service.dashboard.feed import Feed
from streamcount.service.dashboard.model import LiveModel
from streamcount.service.topics import make_topics, topic_specs
from streamcount.types import CountsUpdated, FrameMetadata
from streamcount.wire import encode_event
from streamcount.wire.cloudevents import frame_headers

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


def made(broker: Broker, prefix: str) -> Settings:
    settings = parse_settings(
        f'kafka.bootstrap_servers = "{broker.bootstrap_servers}"\n'
        f'worker.app_id = "{prefix}"\ntopics.prefix = "{prefix}"\ntopics.partitions = 2',
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
