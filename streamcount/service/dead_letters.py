"""Reading what could not be counted, and sending it again once the cause is mended."""

from __future__ import annotations

import re
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from streamcount.config import Settings
from streamcount.config.settings import REPLAY_SUFFIX
from streamcount.errors import FrameError
from streamcount.service.reading import CONNECT_S, SILENT_S, kafka_errors, read_record, read_topic
from streamcount.types import IDENTIFIER, FrameMetadata, Image
from streamcount.wire import decode_image
from streamcount.wire.cloudevents import Headers, frame_metadata, header_map
from streamcount.wire.deadletters import PREFIX, REASON, original_headers
from streamcount.wire.images import BEGINNINGS, CONTENT_TYPES

# Says, beside the new number, which frame it was: CAMERA/RUN/SEQUENCE, however often it is replayed.
REPLAY_OF = "ce_replayof"

ENDINGS = {CONTENT_TYPES["jpeg"]: ".jpg", CONTENT_TYPES["png"]: ".png", CONTENT_TYPES["raw"]: ".raw"}
IN_FLIGHT_BYTES = 16 * 2**20
NAME_LENGTH = 64
_REPLAYED_RUN = re.compile(r"-r\d{8}T\d{6}(\d{6})?$")


@dataclass(frozen=True)
class DeadLetter:
    """One record of the dead-letter topic, with where it came from and why it lies there."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    reason: str
    message: str
    origin: str
    stage: str = ""

    @property
    def camera(self) -> str:
        """The camera that the key names, as far as it can be read."""
        return (self.key or b"").decode("utf-8", "replace")

    @property
    def ending(self) -> str:
        """The ending of a file with its value: as the bytes begin, else as the camera said, else .bin."""
        value = self.value or b""
        told = next((kind for begin, kind in BEGINNINGS.items() if value.startswith(begin)), None)
        if told is None:
            said = dict(self.headers).get("content-type") or b""
            told = said.decode("utf-8", "replace").partition(";")[0].strip().lower()
        return ENDINGS.get(told, ".bin")

    def is_of(self, reason: str | None, camera: str | None) -> bool:
        """Whether it lies there for this reason and is of this camera; None for any."""
        return reason in (None, self.reason) and camera in (None, self.camera)

    def metadata(self) -> FrameMetadata:
        """The frame's metadata. Raises FrameError where the headers are what was wrong."""
        return frame_metadata(self.key, header_map(original_headers(self.headers)))


def read_dead_letters(
    settings: Settings, reason: str | None = None, camera: str | None = None, silent_s: float = SILENT_S
) -> Iterator[DeadLetter]:
    """All dead letters that lie on the topic now, partition by partition, one in memory at a time.

    silent_s: how long Kafka may say nothing before it is given up.
    Raises BrokerError where Kafka cannot be reached, goes away, or has no such topic.
    """
    topic = settings.topics.name("dead-letters")
    for record in read_topic(settings, topic, client_id="streamcount-dead-letters", silent_s=silent_s):
        letter = _letter(record)
        if letter.is_of(reason, camera):
            yield letter


def dead_letter_at(settings: Settings, partition: int, offset: int) -> DeadLetter | None:
    """The dead letter at a place of its topic; None where there is none, or no longer. Raises BrokerError."""
    topic = settings.topics.name("dead-letters")
    record = read_record(settings, topic, partition, offset, client_id="streamcount-dead-letters")
    return None if record is None else _letter(record)


def letter_image(letter: DeadLetter, max_pixels: int) -> Image:
    """The picture in a dead letter, (H, W) or (H, W, 3) RGB, whatever its headers say of its form.

    Raises FrameError where it is none, or has more pixels.
    """
    data = letter.value or b""
    for begin, kind in BEGINNINGS.items():
        if data.startswith(begin):
            return decode_image(data, kind, max_pixels)
    raise FrameError("undecodable", f"{len(data)} bytes that begin as no picture does")


class Replay:
    """Sends dead letters to the workers again, one by one as they are read; `with` confirms the last.

    Each is counted under the camera's name with `.replay` behind it. Each replay makes runs of its own, the run's
    name with `-r` and the time behind it, numbered from 0 without holes: what lies between was counted before, and is
    not to be told as missing. The extension `replayof` keeps which frame it was; one that lies on the topic twice,
    since a worker was killed or a replay failed, is sent once.
    """

    def __init__(self, settings: Settings, now_ns: int | None = None) -> None:
        """Opens the connection. now_ns: names the replay; the clock's if not given. Raises BrokerError."""
        from kafka import KafkaProducer

        self._settings = settings
        self._topic = settings.topics.name("frames")
        seconds, rest_ns = divmod(time.time_ns() if now_ns is None else now_ns, 10**9)
        # Down to the microsecond, so that no two replays make one run.
        self._stamp = f"-r{datetime.fromtimestamp(seconds, UTC):%Y%m%dT%H%M%S}{rest_ns // 1000:06d}"
        self._seen: set[str] = set()
        self._next: Counter[tuple[str, str]] = Counter()
        self._unconfirmed: deque[tuple[Any, int]] = deque()
        self._unconfirmed_bytes = 0
        self.sent = 0
        # What was not sent, and how often: no replay can mend it.
        self.passed_over: Counter[str] = Counter()
        with kafka_errors(settings):
            self._producer = KafkaProducer(
                bootstrap_servers=settings.kafka.bootstrap_servers.split(","),
                acks="all",
                enable_idempotence=True,
                max_request_size=settings.topics.max_message_bytes,
                delivery_timeout_ms=60_000,
                bootstrap_timeout_ms=int(CONNECT_S * 1000),
                max_block_ms=int(CONNECT_S * 1000),
                metrics_enabled=False,
            )

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            while self._unconfirmed and kind is None:
                self._confirm_oldest()
        finally:
            self._producer.close(timeout=5)

    def send(self, letter: DeadLetter) -> bool:
        """Sends it, or passes it over (False). Raises BrokerError where Kafka does not take it."""
        if letter.stage == "track":
            self.passed_over["detections, whose frame was read well"] += 1
            return False
        try:
            metadata = letter.metadata()
        except FrameError:
            self.passed_over["headers that cannot be read"] += 1
            return False
        camera = metadata.camera_id.removesuffix(REPLAY_SUFFIX) + REPLAY_SUFFIX
        if not IDENTIFIER.fullmatch(camera):
            longest = NAME_LENGTH - len(REPLAY_SUFFIX)
            self.passed_over[f"a camera's name of more than {longest} characters ({metadata.camera_id})"] += 1
            return False
        original = header_map(letter.headers).get(REPLAY_OF) or _identity(metadata)
        if original in self._seen:
            self.passed_over["the same frame twice"] += 1
            return False
        self._seen.add(original)
        run = _REPLAYED_RUN.sub("", metadata.run_id)[: NAME_LENGTH - len(self._stamp)] + self._stamp
        sequence = self._next[camera, run]
        self._next[camera, run] += 1
        self._hand_over(letter, camera, _headers_again(letter.headers, camera, run, sequence, original))
        self.sent += 1
        return True

    def _hand_over(self, letter: DeadLetter, camera: str, headers: Headers) -> None:
        size = len(letter.value or b"")
        while self._unconfirmed and self._unconfirmed_bytes + size > IN_FLIGHT_BYTES:
            self._confirm_oldest()
        with kafka_errors(self._settings):
            future = self._producer.send(self._topic, letter.value, camera.encode(), headers)
        self._unconfirmed.append((future, size))
        self._unconfirmed_bytes += size

    def _confirm_oldest(self) -> None:
        future, size = self._unconfirmed.popleft()
        self._unconfirmed_bytes -= size
        with kafka_errors(self._settings):
            future.get(timeout=60)


def _identity(metadata: FrameMetadata) -> str:
    return f"{metadata.camera_id}/{metadata.run_id}/{metadata.sequence}"


def _headers_again(headers: Headers, camera: str, run: str, sequence: int, original: str) -> Headers:
    """The camera's headers with another name, run and number, the rest as it was."""
    new = {
        "ce_id": f"{camera}/{run}/{sequence}",
        "ce_source": f"/cameras/{camera}",
        "ce_sequence": str(sequence),
        "ce_runid": run,
        REPLAY_OF: original,
    }
    kept = [(name, value) for name, value in original_headers(headers) if name not in new]
    return kept + [(name, value.encode()) for name, value in new.items()]


def _letter(record: Any) -> DeadLetter:
    headers = list(record.headers or ())
    known = {name: (value or b"").decode("utf-8", "replace") for name, value in headers}
    return DeadLetter(
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp,
        key=record.key,
        value=record.value,
        headers=headers,
        reason=known.get(REASON, "unknown"),
        message=known.get(f"{PREFIX}exception.message", ""),
        origin="{}[{}]@{}".format(
            *(known.get(PREFIX + name, "?") for name in ("topic", "partition", "offset"))
        ),
        stage=known.get(f"{PREFIX}stage", ""),
    )
