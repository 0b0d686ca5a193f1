"""Dead letters on a real broker: read one by one, replayed in order and once, and no wait without an end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamcount.config import Settings, parse_settings
from streamcount.errors import BrokerError, ExitCode, FrameError
from streamcount.service.broker import Broker
from streamcount.service.dead_letters import Replay, read_dead_letters
from streamcount.service.topics import make_topics, topic_specs
from streamcount.types import FrameMetadata
from streamcount.wire.cloudevents import Headers, frame_headers, frame_metadata, header_map
from streamcount.wire.deadletters import dead_letter_headers

pytestmark = pytest.mark.broker

COMMAND = [sys.executable, "-m", "streamcount", "dead-letters"]
NOW_NS = 1_790_000_000 * 10**9
ERROR = FrameError("too-many-pixels", "too [bold]large[/]")


@pytest.fixture
def settings(broker: Broker, request: pytest.FixtureRequest) -> Settings:
    prefix = "".join(c if c.isalnum() else "-" for c in request.node.name)
    settings = parse_settings(
        f'kafka.bootstrap_servers = "{broker.bootstrap_servers}"\n'
        f'topics.prefix = "{prefix}"\ntopics.partitions = 2',
        environment={},
    )
    make_topics(topic_specs(settings), replication_factor=1, bootstrap_servers=broker.bootstrap_servers)
    return settings


def original(camera: str, run: str, sequence: int) -> Headers:
    metadata = FrameMetadata(
        camera_id=camera, run_id=run, sequence=sequence, acquired_at_ns=10**18 + sequence, pixel_size_um=0.5
    )
    return [*frame_headers(metadata, "image/png"), ("site", b"here")]


def put_aside(settings: Settings, *letters: tuple[str, bytes, Headers], stage: str = "detect") -> None:
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers, max_request_size=2**24)
    try:
        for offset, (camera, value, headers) in enumerate(letters):
            topic = settings.topics.name("dead-letters")
            told = dead_letter_headers(headers, ERROR, topic="f", partition=0, offset=offset, stage=stage)
            producer.send(topic, value, camera.encode(), told).get(10)
    finally:
        producer.close(timeout=5)


def frames_of(settings: Settings) -> Iterator[Any]:
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(bootstrap_servers=settings.kafka.bootstrap_servers)
    try:
        partitions = [TopicPartition(settings.topics.name("frames"), number) for number in range(2)]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        consumer.seek_to_beginning(*partitions)
        while any(consumer.position(one) < ends[one] for one in partitions):
            for records in consumer.poll(timeout_ms=500).values():
                yield from records
    finally:
        consumer.close()


def test_a_replay_numbers_anew_and_sends_each_frame_once(settings: Settings) -> None:
    long_name = "x" * 60
    put_aside(
        settings,
        *[("scope-1", b"%d" % number, original("scope-1", "run-1", number)) for number in (4, 7, 7, 9)],
        ("scope-1", b"", [("ce_sequence", b"no number")]),
        (long_name, b"1", original(long_name, "run-1", 1)),
    )
    put_aside(settings, ("scope-1", b"detections", original("scope-1", "run-1", 5)), stage="track")
    with Replay(settings, NOW_NS) as replay:
        for letter in read_dead_letters(settings):
            replay.send(letter)
    assert replay.sent == 3
    assert replay.passed_over == {
        "headers that cannot be read": 1,
        "the same frame twice": 1,
        "detections, whose frame was read well": 1,
        f"a camera's name of more than 57 characters ({long_name})": 1,
    }
    records = list(frames_of(settings))
    told = [frame_metadata(record.key, header_map(record.headers)) for record in records]
    assert [record.value for record in records] == [b"4", b"7", b"9"]
    assert [one.sequence for one in told] == [0, 1, 2]
    assert {(one.camera_id, one.run_id) for one in told} == {
        ("scope-1.replay", "run-1-r20260921T141320000000"),
    }
    assert [one.acquired_at_ns - 10**18 for one in told] == [4, 7, 9]
    headers = header_map(records[0].headers)
    assert (headers["ce_replayof"], headers["site"]) == ("scope-1/run-1/4", "here")
    assert headers["ce_pixelsizeum"] == "0.5"


def test_what_fails_again_keeps_its_name_and_is_not_doubled(settings: Settings) -> None:
    put_aside(settings, ("scope-1", b"4", original("scope-1", "r" * 64, 4)))
    with Replay(settings, NOW_NS) as replay:
        for letter in read_dead_letters(settings):
            replay.send(letter)
    (record,) = frames_of(settings)
    put_aside(settings, (record.key.decode(), record.value, list(record.headers)))
    with Replay(settings, NOW_NS + 1000) as replay:
        for letter in read_dead_letters(settings):
            replay.send(letter)
    assert (replay.sent, dict(replay.passed_over)) == (1, {"the same frame twice": 1})
    runs = [frame_metadata(one.key, header_map(one.headers)).run_id for one in frames_of(settings)]
    assert runs == ["r" * 41 + "-r20260921T141320000000", "r" * 41 + "-r20260921T141320000001"]


def test_letters_can_be_chosen(settings: Settings) -> None:
    for camera in ("scope-1", "scope-2"):
        put_aside(settings, (camera, b"1", original(camera, "run-1", 1)))
    assert [one.camera for one in read_dead_letters(settings, camera="scope-2")] == ["scope-2"]
    assert list(read_dead_letters(settings, reason="undecodable")) == []
    assert len(list(read_dead_letters(settings, reason="too-many-pixels"))) == 2


def test_large_letters_come_through(settings: Settings) -> None:
    large = b"x" * 5_000_000
    letters = [("scope-1", large, original("scope-1", "run-1", number)) for number in range(4)]
    put_aside(settings, *letters)
    with Replay(settings) as replay:
        assert sum(replay.send(letter) for letter in read_dead_letters(settings)) == 4
    assert [len(record.value) for record in frames_of(settings)] == [len(large)] * 4


def command(settings: Settings, tmp_path: Path, *options: object) -> subprocess.CompletedProcess[str]:
    config = tmp_path / "streamcount.toml"
    config.write_text(
        f'kafka.bootstrap_servers = "{settings.kafka.bootstrap_servers}"\n'
        f'topics.prefix = "{settings.topics.prefix}"\ntopics.partitions = 2\n'
    )
    return subprocess.run(
        [*COMMAND, "--config", config, *map(str, options)],
        capture_output=True,
        text=True,
        timeout=60,
        env={"COLUMNS": "160", "PATH": ""},
    )


def test_the_command_lists_saves_and_replays(settings: Settings, tmp_path: Path) -> None:
    put_aside(settings, *[("scope-1", b"%d" % n, original("scope-1", "run-1", n)) for n in range(3)])
    ran = command(settings, tmp_path, "--save", tmp_path / "kept", "--replay")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("too [bold]large[/]") == 3
    assert "3 values written" in ran.stdout
    assert "3 sent again" in ran.stdout
    kept = sorted((tmp_path / "kept").iterdir())
    assert [file.read_bytes() for file in kept] == [b"0", b"1", b"2"]
    assert {file.suffix for file in kept} == {".png"}
    assert len(list(frames_of(settings))) == 3


def test_what_was_left_out_is_told_where_nothing_is_left(settings: Settings, tmp_path: Path) -> None:
    wrong = command(settings, tmp_path, "--reason", "undecodeable")
    assert wrong.returncode == ExitCode.USAGE
    assert "did you mean 'undecodable'?" in wrong.stderr
    put_aside(settings, *[("scope-1", b"1", original("scope-1", "run-1", n)) for n in range(2)])
    told = "There are some of the cameras scope-1 (2); for the reasons too-many-pixels (2)."
    for option in (("--camera", "bad-9"), ("--reason", "undecodable")):
        ran = command(settings, tmp_path, *option)
        assert (ran.returncode, ran.stdout.strip()) == (0, f"No dead letters of these. {told}")


def test_a_broker_that_goes_ends_the_reading_in_time(tmp_path: Path) -> None:
    with Broker(tmp_path / "broker") as broker:
        settings = parse_settings(
            f'kafka.bootstrap_servers = "{broker.bootstrap_servers}"\ntopics.partitions = 1', environment={}
        )
        make_topics(topic_specs(settings), replication_factor=1, bootstrap_servers=broker.bootstrap_servers)
        large = b"x" * 3_000_000
        put_aside(settings, *[("scope-1", large, original("scope-1", "run-1", n)) for n in range(8)])
        letters = read_dead_letters(settings, silent_s=2)
        next(letters)
        broker.kill_node(1)
        with pytest.raises(BrokerError, match="is it running"):
            list(letters)
        with pytest.raises(BrokerError, match="is it running"):
            Replay(settings)
