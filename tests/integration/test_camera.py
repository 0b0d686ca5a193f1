"""Cameras on a real broker: whatever happens to it, each number is a frame or told as missing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from streamcount.config import Settings, parse_settings
from streamcount.config.settings import CameraConfig
from streamcount.errors import BrokerError, ConfigurationError, SourceError
from streamcount.service.broker import Broker
from streamcount.service.camera.buffer import FrameBuffer, WaitingFrame
from streamcount.service.camera.metrics import CameraMetrics
from streamcount.service.camera.publisher import Destination, Publisher
from streamcount.service.camera.run import CameraGroup, run_cameras
from streamcount.service.topics import make_topics, topic_specs
from streamcount.types import FrameMetadata
from streamcount.wire.cloudevents import (
    FRAMES_MISSING_TYPE,
    decode_missing,
    frame_headers,
    frame_metadata,
    header_map,
)

pytestmark = pytest.mark.broker

WAIT_S = 60


class Told(NamedTuple):
    """A record of the topic frames: a frame (reason "") or frames told as missing."""

    first: int
    last: int
    reason: str
    value: bytes


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of this module's own, since it is killed and frozen here."""
    with Broker(tmp_path_factory.mktemp("camera-broker")) as broker:
        yield broker


@pytest.fixture
def settings(own_broker: Broker, request: pytest.FixtureRequest) -> Settings:
    """Topics of each test's own."""
    return fresh_settings(own_broker, request.node.name)


def fresh_settings(broker: Broker, name: str, extra: str = "") -> Settings:
    prefix = "".join(c if c.isalnum() else "-" for c in name)
    settings = parse_settings(
        f'kafka.bootstrap_servers = "{broker.bootstrap_servers}"\n'
        f'topics.prefix = "{prefix}"\ntopics.partitions = 2\n{extra}',
        environment={},
    )
    make_topics(topic_specs(settings), replication_factor=1, bootstrap_servers=broker.bootstrap_servers)
    return settings


def pictures(folder: Path, *shapes: tuple[int, ...], dtype: type = np.uint8) -> Path:
    """A folder of noise."""
    folder.mkdir(exist_ok=True)
    chance = np.random.default_rng(7)
    for i, shape in enumerate(shapes):
        image = chance.integers(0, 255, shape, dtype)
        if not cv2.imwrite(str(folder / f"{len(list(folder.iterdir())):03d}-{i}.png"), image):
            raise OSError("OpenCV could not write a test picture")
    return folder


def folder_camera(path: Path, **options: Any) -> CameraConfig:
    source = {"kind": "folder", "path": path, **options.pop("source", {})}
    return CameraConfig.model_validate({"source": source, **options})


def run_to_end(settings: Settings, cameras: dict[str, CameraConfig], **options: Any) -> CameraGroup:
    with CameraGroup(settings, cameras, **options) as group:
        wait_until(lambda: not group.running)
    return group


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail("waited in vain")
        time.sleep(0.02)


def read_frames(settings: Settings, camera_id: str) -> list[Told]:
    """What lies in the topic frames for a camera, in order of offset; its key and headers are checked."""
    from kafka import KafkaConsumer, TopicPartition

    topic = settings.topics.name("frames")
    consumer = KafkaConsumer(bootstrap_servers=settings.kafka.bootstrap_servers, fetch_max_bytes=2**26)
    try:
        partitions = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic))]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        told: list[Told] = []
        while any(consumer.position(partition) < ends[partition] for partition in partitions):
            for records in consumer.poll(timeout_ms=500).values():
                told += [as_told(record) for record in records if record.key == camera_id.encode()]
        return told
    finally:
        consumer.close()


def as_told(record: Any) -> Told:
    headers = header_map(record.headers)
    if headers["ce_type"] == FRAMES_MISSING_TYPE:
        event = decode_missing(record.key, record.value)
        return Told(event.sequence, event.last_sequence, event.reason, b"")
    metadata = frame_metadata(record.key, headers)
    return Told(metadata.sequence, metadata.sequence, "", record.value)


def check_complete(told: list[Told], frames: int) -> None:
    """Each number exactly once, in order: as a frame, or within what is told as missing."""
    assert told[0].first == 0
    assert [(a.last, b.first) for a, b in pairwise(told) if b.first != a.last + 1] == []
    assert told[-1].last == frames - 1


@pytest.mark.parametrize(
    ("trouble", "when_full"), [("kill", "block"), ("kill", "drop-oldest"), ("freeze", "drop-oldest")]
)
def test_no_number_is_lost_while_the_broker_is_away(
    own_broker: Broker, settings: Settings, tmp_path: Path, trouble: str, when_full: str
) -> None:
    frames = 180
    path = pictures(tmp_path / "images", *[(480, 640)] * 5)
    source = {"rate_hz": 30, "loop": True}
    camera = folder_camera(path, source=source, encoding="raw", buffer_bytes=4 * 2**20, when_full=when_full)
    with CameraGroup(settings, {"scope-1": camera}, frames=frames) as group:
        run = group.runs[0]
        wait_until(lambda: run.meter.sent > 30)
        assert group.ready()[0]
        break_broker(own_broker, trouble)
        # Full: 13 frames of 307 kB, a good half second; then what the policy says for a while longer.
        wait_until(lambda: run.buffer.waiting_bytes > 3.5 * 2**20)
        time.sleep(1.5)
        mend_broker(own_broker, trouble)
        wait_until(lambda: not group.running)
        report = run.report()
    told = read_frames(settings, "scope-1")
    check_complete(told, frames)
    missing = [(one.reason, one.last - one.first + 1) for one in told if one.reason]
    assert run.error is None
    assert report.unconfirmed == 0
    assert report.sent == frames - report.dropped == sum(not one.reason for one in told)
    assert report.dropped == sum(count for _, count in missing)
    assert {reason for reason, _ in missing} == (set() if when_full == "block" else {"dropped"})


def break_broker(broker: Broker, trouble: str) -> None:
    if trouble == "kill":
        broker.kill_node(1)
    else:
        os.kill(broker.pids[1], signal.SIGSTOP)


def mend_broker(broker: Broker, trouble: str) -> None:
    if trouble == "kill":
        broker.start_node(1)
    else:
        os.kill(broker.pids[1], signal.SIGCONT)


def test_large_frames_pass_unchanged(settings: Settings, tmp_path: Path) -> None:
    path = pictures(tmp_path / "images", *[(1300, 1300, 3)] * 3)
    group = run_to_end(settings, {"scope-1": folder_camera(path, encoding="raw")})
    told = read_frames(settings, "scope-1")
    check_complete(told, 3)
    assert [len(one.value) for one in told] == [1300 * 1300 * 3 + 14] * 3
    assert group.runs[0].report().sent_bytes == sum(len(one.value) for one in told)


def test_several_cameras_in_one_process(settings: Settings, tmp_path: Path) -> None:
    path = pictures(tmp_path / "images", *[(64, 64)] * 20)
    cameras = {f"scope-{i}": folder_camera(path) for i in range(3)}
    group = run_to_end(settings, cameras)
    for name in cameras:
        check_complete(read_frames(settings, name), 20)
    assert [run.report().sent for run in group.runs] == [20, 20, 20]


def test_a_source_that_fails_ends_the_others_with_all_they_took_sent(
    settings: Settings, tmp_path: Path
) -> None:
    good = pictures(tmp_path / "good", *[(64, 64)] * 3)
    bad = pictures(tmp_path / "bad", *[(64, 64)] * 3)
    (bad / "zzz.png").write_bytes(b"no picture")
    cameras = {
        "live": folder_camera(good, source={"rate_hz": 50, "loop": True}),
        "dying": folder_camera(bad, source={"rate_hz": 2}),
    }
    group = CameraGroup(settings, cameras)
    with pytest.raises(SourceError, match=r"zzz\.png"):
        run_cameras(group, flush_timeout_s=10)
    check_complete(read_frames(settings, "dying"), 3)
    report = group.runs[0].report()
    assert (report.unconfirmed, report.camera_id) == (0, "live")
    check_complete(read_frames(settings, "live"), report.sent)


def test_what_cannot_be_sent_is_told_as_missing(own_broker: Broker, tmp_path: Path) -> None:
    settings = fresh_settings(own_broker, "cannot-be-sent", "limits.frame_bytes = 100_000")
    path = pictures(tmp_path / "images", (64, 64), (64, 64))
    pictures(path, *[(64, 64)] * 2, dtype=np.uint16)
    pictures(path, (64, 64), (1000, 1000), (64, 64))
    group = run_to_end(settings, {"scope-1": folder_camera(path)})
    told = read_frames(settings, "scope-1")
    check_complete(told, 7)
    assert [(one.first, one.last, one.reason) for one in told if one.reason] == [
        (2, 3, "cannot-encode"),
        (5, 5, "too-large"),
    ]
    assert group.runs[0].meter.failed == 3
    failed = {"camera": "scope-1", "outcome": "failed"}
    assert group.registry.get_sample_value("streamcount_camera_frames_total", failed) == 3


def test_only_the_frame_that_kafka_refuses_is_told_as_missing(own_broker: Broker, tmp_path: Path) -> None:
    """The topic's limit was lowered behind our back; what shared the refused frame's way is sent again."""
    from kafka import KafkaAdminClient
    from kafka.admin import ConfigResource, ConfigResourceType

    settings = fresh_settings(own_broker, "refused")
    admin = KafkaAdminClient(bootstrap_servers=own_broker.bootstrap_servers)
    limit = {"max.message.bytes": "600000"}
    topic = settings.topics.name("frames")
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=limit)])
    admin.close()
    shapes = [(100, 100)] * 10
    shapes[3] = shapes[7] = (900, 900)
    path = pictures(tmp_path / "images", *shapes)
    group = run_to_end(settings, {"scope-1": folder_camera(path, encoding="raw")})
    told = read_frames(settings, "scope-1")
    check_complete(told, 10)
    assert [one.first for one in told if one.reason == "too-large"] == [3, 7]
    assert (group.runs[0].meter.sent, group.runs[0].meter.failed) == (8, 2)


def test_a_clock_ahead_of_kafka_s_is_an_error_that_says_so(settings: Settings) -> None:
    buffer = FrameBuffer(2**20, "block")
    ahead = FrameMetadata(camera_id="scope-1", run_id="run-1", sequence=0, acquired_at_ns=0)
    in_two_hours_ms = time.time_ns() // 1_000_000 + 7_200_000
    buffer.put(WaitingFrame(0, 0, in_two_hours_ms, b"image", frame_headers(ahead, "image/png")))
    buffer.close()
    topic, servers = settings.topics.name("frames"), settings.kafka.bootstrap_servers
    destination = Destination(servers, topic, settings.topics.max_message_bytes, "scope-1", "run-1")
    publisher = Publisher(destination, buffer, CameraMetrics(CollectorRegistry()).for_camera("scope-1"))
    with pytest.raises(BrokerError, match="clock is ahead of Kafka's"):
        publisher.run()
    assert publisher.unconfirmed_frames == 1


def test_a_missing_topic_is_an_error_that_says_what_to_do(own_broker: Broker, tmp_path: Path) -> None:
    settings = parse_settings(
        f'kafka.bootstrap_servers = "{own_broker.bootstrap_servers}"\ntopics.prefix = "nowhere"',
        environment={},
    )
    group = run_to_end(settings, {"scope-1": folder_camera(pictures(tmp_path / "images", (64, 64)))})
    error = group.runs[0].error
    assert isinstance(error, BrokerError)
    assert "nowhere.frames does not exist" in str(error)
    assert "streamcount topics" in str(error)
    assert group.runs[0].report().unconfirmed == 1


def test_no_camera_is_an_error(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match=r"add \[cameras\.NAME\]"):
        CameraGroup(settings, {})


def test_the_status_of_a_camera(settings: Settings, tmp_path: Path) -> None:
    path = pictures(tmp_path / "images", (64, 64))
    camera = folder_camera(path, source={"rate_hz": 20, "loop": True})
    with CameraGroup(settings, {"scope-1": camera}, metrics_port=0) as group:
        wait_until(lambda: group.runs[0].meter.sent > 3)
        assert group.status is not None
        for page in ("/livez", "/readyz"):
            with urllib.request.urlopen(group.status.url + page, timeout=5) as answer:
                assert answer.status == 200
        with urllib.request.urlopen(group.status.url + "/metrics", timeout=5) as answer:
            text = answer.read().decode()
    assert 'streamcount_camera_frames_total{camera="scope-1",outcome="dropped"} 0.0' in text
    assert 'streamcount_camera_ack_seconds_count{camera="scope-1"}' in text


def command(settings: Settings, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "streamcount", "camera", "scope-1", "--source", "folder", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "STREAMCOUNT_BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers},
    )


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """Its output until a line has the words; the process is killed if they never come."""
    timer = threading.Timer(WAIT_S, process.kill)
    timer.start()
    text = ""
    for line in process.stdout or ():
        text += line
        if words in line:
            break
    timer.cancel()
    assert words in text, text
    return text


def test_an_interrupt_flushes_and_exits_0(own_broker: Broker, settings: Settings, tmp_path: Path) -> None:
    path = pictures(tmp_path / "images", *[(64, 64)] * 3)
    config = tmp_path / "streamcount.toml"
    config.write_text(f'topics.prefix = "{settings.topics.prefix}"\n')
    with command(settings, "--path", str(path), "--rate-hz", "50", "--loop", "-c", str(config)) as process:
        read_until(process, "begins")
        wait_until(lambda: len(read_frames(settings, "scope-1")) > 10)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, output
    told = read_frames(settings, "scope-1")
    check_complete(told, len(told))
    assert f": {len(told)} frames sent" in output


def test_frames_left_without_a_broker_are_told_and_exit_7(settings: Settings, tmp_path: Path) -> None:
    path = pictures(tmp_path / "images", *[(64, 64)] * 3)
    nobody = settings.model_copy(
        update={"kafka": settings.kafka.model_copy(update={"bootstrap_servers": "127.0.0.1:9"})}
    )
    with command(nobody, "--path", str(path), "--flush-timeout", "1") as process:
        read_until(process, "cannot be reached")
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 7, output
    assert "3 frames were taken but not confirmed" in output
