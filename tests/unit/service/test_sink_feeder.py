"""A feeder without Kafka."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from streamcount.config import parse_settings
from streamcount.service.sinking import SinkFeeder, SinkMetrics, _append_lines
from streamcount.sinks.store import AlertmanagerConfig
from streamcount.types import AlertRaised
from tests.alertmanager import running_alertmanager, until
from tests.mailbox import free_port
from tests.smalldisk import small_disk
from tests.sunk import at


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
