"""A feeder without Kafka."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from kafka import TopicPartition
from prometheus_client import CollectorRegistry

from streamcount.config import parse_settings
from streamcount.errors import ConfigurationError
from streamcount.service.sinking import SinkFeeder, SinkMetrics, _append_lines
from streamcount.sinks.store import AlertmanagerConfig, SqliteConfig, WebhookConfig
from streamcount.types import AlertRaised
from streamcount.wire import encode_event
from tests.alertmanager import running_alertmanager, until
from tests.mailbox import free_port
from tests.smalldisk import small_disk
from tests.sunk import at, counts


def test_what_is_active_stays_known_to_alertmanager_while_kafka_is_away(tmp_path):
    with running_alertmanager(tmp_path) as server:
        config = AlertmanagerConfig(
            kind="alertmanager", url=server.url, resend_s=0.5, path=tmp_path / "active.sqlite"
        )
        sink = config.build()
        sink.open()
        sink.write([AlertRaised(**at(1), rule="crowded", reason="too many")])
        sink.close()
        server.kill()
        server.start()
        assert server.names() == []
        settings = parse_settings(f'[kafka]\nbootstrap_servers = "127.0.0.1:{free_port()}"', environment={})
        feeder = SinkFeeder("am", config, settings, SinkMetrics(CollectorRegistry()))
        feeder.start()
        until(lambda: server.names() == ["crowded"])
        assert "Kafka" in feeder.trouble
        feeder.stop()
        assert feeder.join(30)
        assert feeder.fault is None


class FirstPoll:
    """A consumer whose first poll brings records of a partition in which the group has no place yet."""

    def __init__(self, feeder: SinkFeeder) -> None:
        self.feeder, self.committed_at = feeder, []
        self.part = TopicPartition("streamcount.alerts", 0)
        self.polled = 0

    def poll(self, **_):
        self.polled += 1
        if self.polled > 1:
            self.feeder.stop()
            return {}
        record = SimpleNamespace(
            topic=self.part.topic, partition=0, offset=10, value=encode_event(counts(1, 5))
        )
        return {self.part: [record]}

    def commit(self, offsets):
        self.committed_at.append(offsets[self.part].offset)

    def committed(self, part):
        return self.committed_at[-1] if self.committed_at else None

    def position(self, part):
        return 11

    highwater = position

    def assignment(self):
        return {self.part}

    def paused(self):
        return set()

    def pause(self, *_): ...

    resume = pause


def test_what_comes_with_the_first_poll_is_not_passed_over_before_it_is_written(tmp_path):
    config = SqliteConfig(path=tmp_path / "store", begin="end", refused_folder=tmp_path)
    feeder = SinkFeeder("store", config, parse_settings("", environment={}), SinkMetrics(CollectorRegistry()))
    feeder._sink.open()
    feeder._is_open = True
    # It goes away between the poll and the write, and cannot be opened again.
    feeder._sink.close()
    (tmp_path / "store").unlink()
    (tmp_path / "store").mkdir()
    consumer = FirstPoll(feeder)
    feeder._step(consumer)
    assert consumer.committed_at == [10]


def test_a_secret_that_is_not_set_is_told_before_anything_runs():
    config = WebhookConfig(kind="webhook", url="http://127.0.0.1:9/", secret_env="NO_SUCH_SECRET")
    with pytest.raises(ConfigurationError, match="NO_SUCH_SECRET is not set"):
        SinkFeeder("lab", config, parse_settings("", environment={}), SinkMetrics(CollectorRegistry()))


def test_a_full_disk_leaves_no_half_of_a_refused_record(tmp_path):
    with small_disk(tmp_path / "disk", 2**20) as disk:
        path = disk.folder / "refused.jsonl"
        _append_lines(path, [b"a" * 3000 + b"\n"])
        disk.fill()
        with pytest.raises(OSError, match="No space left"):
            # Some of it would still go into the last block.
            _append_lines(path, [b"b" * 2000 + b"\n"])
        disk.free()
        _append_lines(path, [b"c\n"])
        assert path.read_bytes() == b"a" * 3000 + b"\nc\n"
