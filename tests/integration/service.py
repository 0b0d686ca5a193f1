"""A whole service under test: its own topics on the suite's broker, its parts as real processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from streamcount.config import Settings, TopicName, parse_settings
from streamcount.config.explain import to_toml
from streamcount.service.topics import make_topics, topic_specs
from streamcount.sources.base import Run
from streamcount.types import AnyEvent, Frame
from streamcount.wire import decode_event, decode_image, encode_image
from streamcount.wire.images import CONTENT_TYPES

STARTED_S = 90.0


def worker_text(app_id: str, folder: Path) -> str:
    """Settings of a worker that finds cells by watershed and keeps what is its own in the folder."""
    lines = {"app_id": app_id, "port": 0, "threads": 1, "data_folder": (folder / "worker").as_posix()}
    return f'[worker]\n{_lines(lines)}\n[detector]\nkind = "watershed"\n'


def camera_text(name: str, **source: object) -> str:
    """Settings of a simulated camera: 320 by 240 px, two frames a second, or what `source` says."""
    usual = {"kind": "simulated", "modality": "fluorescence", "width_px": 320, "height_px": 240, "rate_hz": 2}
    return f"\n[cameras.{name}.source]\n{_lines({**usual, **source})}"


def _lines(fields: Mapping[str, object]) -> str:
    return "".join(f"{name} = {to_toml(value)}\n" for name, value in fields.items())


class Service:
    """Topics of its own, a configuration, and processes that end with it."""

    def __init__(self, bootstrap_servers: str, folder: Path, text: str, name: str) -> None:
        self.folder = folder
        self.file = folder / "streamcount.toml"
        self.file.write_text(
            f'[kafka]\nbootstrap_servers = "{bootstrap_servers}"\n'
            f'[topics]\nprefix = "{name}"\npartitions = 4\nframes_retention_bytes = 268435456\n{text}'
        )
        self.settings: Settings = parse_settings(self.file.read_text(), environment={})
        self.processes: list[subprocess.Popen[bytes]] = []
        make_topics(topic_specs(self.settings), replication_factor=1, bootstrap_servers=bootstrap_servers)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """`streamcount ARGUMENTS --config ...` as a process, its words in a log."""
        log = (self.folder / f"{arguments[0]}-{len(self.processes)}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", "streamcount", *arguments, "--config", str(self.file)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # A group of its own, so that a worker can be killed with its children.
            start_new_session=True,
        )
        log.close()
        self.processes.append(process)
        return process

    def close(self) -> None:
        """Ends all processes that were started, by their own ids, and their children."""
        for process in self.processes:
            kill_group(process)
            process.wait()

    def logs(self) -> str:
        """What all processes said, for the message of a failing test."""
        return "\n".join(
            f"== {file.name}\n{file.read_text()[-3000:]}" for file in sorted(self.folder.glob("*.log"))
        )

    @property
    def servers(self) -> str:
        """The broker's address."""
        return self.settings.kafka.bootstrap_servers

    @contextlib.contextmanager
    def reader(self, *topics: TopicName) -> Iterator[KafkaConsumer]:
        """A consumer of all that the topics hold, from their beginning."""
        consumer = KafkaConsumer(
            bootstrap_servers=self.servers, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        names = [self.settings.topics.name(topic) for topic in topics]
        consumer.assign(
            [TopicPartition(name, n) for name in names for n in consumer.partitions_for_topic(name)]
        )
        try:
            yield consumer
        finally:
            consumer.close()

    @contextlib.contextmanager
    def producer(self) -> Iterator[KafkaProducer]:
        """A plain Kafka client, as a camera in another program would be."""
        producer = KafkaProducer(
            bootstrap_servers=self.servers,
            acks="all",
            max_request_size=self.settings.topics.max_message_bytes,
        )
        try:
            yield producer
        finally:
            producer.close()

    def records_until(
        self, topics: tuple[TopicName, ...], enough: Callable[[list], bool], timeout_s: float = STARTED_S
    ) -> list:
        """Records of the topics, read until they are enough; fails with the logs when they never are."""
        records: list = []
        deadline = time.monotonic() + timeout_s
        with self.reader(*topics) as consumer:
            while not enough(records):
                assert time.monotonic() < deadline, f"{len(records)} records are not enough\n{self.logs()}"
                for batch in consumer.poll(timeout_ms=200).values():
                    records.extend(batch)
        return records

    def events_until(
        self, enough: Callable[[list[AnyEvent]], bool], timeout_s: float = STARTED_S
    ) -> list[AnyEvent]:
        """All events (topics events, counts, windows, alerts) until they are enough."""
        records = self.records_until(
            ("events", "counts", "windows", "alerts"),
            lambda found: enough([decode_event(record.value) for record in found]),
            timeout_s,
        )
        return [decode_event(record.value) for record in records]

    def as_received(self, camera: str, run_id: str) -> Iterator[Frame]:
        """The frames of a configured camera as a worker decodes them, without a broker."""
        config = self.settings.cameras[camera]
        for frame in config.source.build().frames(Run(camera, run_id, time.time_ns)):
            data = encode_image(frame.image, config.encoding, config.jpeg_quality)
            image = decode_image(data, CONTENT_TYPES[config.encoding], self.settings.limits.frame_pixels)
            yield Frame(image, frame.metadata)

    def by_library(self, camera: str, run_id: str) -> list[AnyEvent]:
        """The events of a camera's run as the library gives them."""
        pipeline = self.settings.pipeline(camera)
        state = pipeline.initial_state(camera)
        events: list[AnyEvent] = []
        for frame in self.as_received(camera, run_id):
            state, result = pipeline.step(state, frame)
            events.extend(result.events)
        return events


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to a process and its children at once; nothing if they are gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def counted(events: list[AnyEvent], camera: str) -> set[int]:
    """The sequences of a camera that have a count."""
    return {event.sequence for event in events if event.kind == "CountsUpdated" and event.camera_id == camera}


def without_repeats(events: list[AnyEvent]) -> dict[str, AnyEvent]:
    """Events by what repeats share; equal messages must be equal events."""
    found: dict[str, AnyEvent] = {}
    for event in events:
        known = found.setdefault(event.message_id, event)
        assert known == event, f"two different events are message {event.message_id}: {known} and {event}"
    return found
