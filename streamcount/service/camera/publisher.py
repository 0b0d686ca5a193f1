"""From a camera's buffer to Kafka: in order, each record confirmed, and patient while the broker is away."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from streamcount.errors import BrokerError
from streamcount.service.camera.buffer import Entry, FrameBuffer, Gap, WaitingFrame, gap_for
from streamcount.service.camera.metrics import CameraMeter
from streamcount.types import FramesMissing
from streamcount.wire.cloudevents import missing_headers

if TYPE_CHECKING:
    from kafka import KafkaProducer

log = logging.getLogger(__name__)

# What the client may hold beyond our reach: enough to keep its connection busy, little to lose control of.
IN_FLIGHT_BYTES = 4 * 2**20
# Small frames that pile up during a round trip travel together; the topic's limit of a record is for a batch.
BATCH_BYTES = 512 * 1024
TOLD_EVERY_S = 5.0
BOOTSTRAP_S = 3.0
RETRY_S = 0.5
# How often Kafka must refuse a frame that was sent alone, for a reason that no retry mends, to be believed.
REFUSALS = 3
POLL_S = 0.2


def open_producer(bootstrap_servers: str, max_message_bytes: int) -> KafkaProducer:
    """A producer that never doubles, reorders or gives up a record.

    Raises kafka.errors.KafkaError where no broker answers within a few seconds.
    """
    from kafka import KafkaProducer

    return KafkaProducer(
        bootstrap_servers=[address.strip() for address in bootstrap_servers.split(",")],
        client_id="streamcount-camera",
        acks="all",
        enable_idempotence=True,
        compression_type=None,
        linger_ms=0,
        batch_size=BATCH_BYTES,
        max_request_size=max_message_bytes,
        max_in_flight_requests_per_connection=5,
        # The frames' patience is that of the buffer before it, so the client is to have no end of it.
        delivery_timeout_ms=2**31 - 1,
        request_timeout_ms=10_000,
        reconnect_backoff_max_ms=1_000,
        allow_auto_create_topics=False,
        bootstrap_timeout_ms=int(BOOTSTRAP_S * 1000),
        max_block_ms=int(BOOTSTRAP_S * 1000),
        metrics_enabled=False,
    )


@dataclass(frozen=True)
class Destination:
    """Where one camera's run goes."""

    bootstrap_servers: str
    topic: str
    max_message_bytes: int
    camera_id: str
    run_id: str


class Publisher:
    """Empties one camera's buffer into Kafka, from a thread that calls `run`.

    A record is handed to the client only while little is in flight, so that frames wait in the buffer, where
    its policy governs them. Kafka's refusal of a record for good becomes a `Gap` in its place; any other
    failure is tried again with a new producer, after all before it is settled. A frame may then lie in Kafka
    twice, never not at all: readers pass over a sequence number that they have had. What refuses all frames
    alike (no rights, a wrong clock) ends `run`.
    """

    def __init__(self, destination: Destination, buffer: FrameBuffer, meter: CameraMeter) -> None:
        self._to = destination
        self._buffer = buffer
        self._meter = meter
        self._key = destination.camera_id.encode()
        self._changed = threading.Condition()
        self._in_flight: dict[int, Entry] = {}
        self._in_flight_bytes = 0
        self._failed: list[tuple[Entry, Exception]] = []
        # True once a failure is to be traced to its record: the next one goes only when nothing is in flight.
        self._alone = False
        self._alone_until = -1
        self._refused: tuple[int, int] = (-1, 0)
        self._aborted = threading.Event()
        self._heard_at = time.monotonic()
        self._told_at = 0.0
        self._away = False
        self.connected = False
        meter.watch(lambda: buffer.waiting_bytes, lambda: self._in_flight_bytes)

    @property
    def away(self) -> bool:
        """Frames wait for a broker that has said nothing for some seconds."""
        return self._away

    @property
    def unconfirmed_frames(self) -> int:
        """Frames of which Kafka has neither confirmed that it has them nor that it knows them missing."""
        with self._changed:
            sent = sum(entry.frames for entry in self._in_flight.values())
            sent += sum(entry.frames for entry, _ in self._failed)
        return sent + self._buffer.untold_frames

    def abort(self) -> None:
        """Ends `run` soon, whatever is unconfirmed."""
        self._aborted.set()
        self._buffer.abort()
        with self._changed:
            self._changed.notify_all()

    def run(self) -> None:
        """Sends until the buffer is drained and all of it confirmed, or until `abort`.

        Raises BrokerError where no waiting can help: the topic does not exist, writing to it is forbidden, or
        this computer's clock is ahead of Kafka's by more than the topic allows.
        """
        while not self._aborted.is_set():
            producer = self._connect()
            if producer is None:
                return
            try:
                if self._send_all(producer):
                    return
                self._settle()
            finally:
                self.connected = False
                self._close(producer)

    def _connect(self) -> KafkaProducer | None:
        from kafka.errors import KafkaError

        while not self._aborted.is_set():
            try:
                producer = open_producer(self._to.bootstrap_servers, self._to.max_message_bytes)
            except (KafkaError, OSError) as error:
                self._tell_away(f"Kafka at {self._to.bootstrap_servers} cannot be reached ({error})")
                self._aborted.wait(RETRY_S)
                continue
            try:
                # Known before the first send, which then never waits for metadata with a frame in its hand.
                producer.partitions_for(self._to.topic)
            except KafkaError as error:
                self._close(producer)
                self._explain_missing_topic(error)
                continue
            self.connected = True
            if not self._alone:
                # Else something waits to be sent again, and only its confirmation says that all is well.
                self._heard()
            return producer
        return None

    def _explain_missing_topic(self, error: Exception) -> None:
        from kafka import KafkaAdminClient
        from kafka.errors import KafkaError

        try:
            admin = KafkaAdminClient(
                bootstrap_servers=self._to.bootstrap_servers, bootstrap_timeout_ms=int(BOOTSTRAP_S * 1000)
            )
            try:
                topics = set(admin.list_topics())
            finally:
                admin.close()
        except (KafkaError, OSError):
            self._tell_away(f"Kafka at {self._to.bootstrap_servers} does not answer ({error})")
            return
        if self._to.topic not in topics:
            raise BrokerError(
                f"topic {self._to.topic} does not exist at {self._to.bootstrap_servers}; "
                "make it with: streamcount topics"
            )
        self._tell_away(f"topic {self._to.topic} cannot be written to yet ({error})")

    def _send_all(self, producer: KafkaProducer) -> bool:
        """True when all is confirmed, or aborted; False once a record has failed and nothing is in flight."""
        while not self._aborted.is_set():
            self._tell_if_silent()
            drained = self._buffer.drained
            with self._changed:
                # After a failure nothing new goes out, or it would overtake what is to be sent again.
                if self._failed or drained or not self._has_room():
                    if not self._in_flight:
                        return not self._failed
                    self._changed.wait(POLL_S)
                    continue
            entry = self._buffer.take(POLL_S)
            if entry is not None:
                self._alone = entry.sequence <= self._alone_until
                self._send(producer, entry)
        return True

    def _has_room(self) -> bool:
        if self._alone:
            return not self._in_flight
        return len(self._in_flight) < 2 or self._in_flight_bytes < IN_FLIGHT_BYTES

    def _send(self, producer: KafkaProducer, entry: Entry) -> None:
        from kafka.errors import KafkaError

        value, headers, timestamp_ms = self._record(entry)
        started = time.monotonic()
        with self._changed:
            if not self._in_flight:
                self._heard_at = started
            self._in_flight[entry.sequence] = entry
            self._in_flight_bytes += entry.size_bytes
        try:
            future = producer.send(self._to.topic, value, self._key, headers, timestamp_ms=timestamp_ms)
        except KafkaError as error:
            self._on_failure(entry, error)
            return
        future.add_callback(lambda _: self._on_success(entry, time.monotonic() - started))
        future.add_errback(lambda error: self._on_failure(entry, error))

    def _record(self, entry: Entry) -> tuple[bytes, list[tuple[str, bytes]], int]:
        if isinstance(entry, WaitingFrame):
            return entry.value, entry.headers, entry.captured_at_ms
        event = FramesMissing(
            camera_id=self._to.camera_id,
            run_id=self._to.run_id,
            sequence=entry.sequence,
            last_sequence=entry.last_sequence,
            happened_at_ns=entry.first_ns,
            decided_at_ns=entry.last_ns,
            reason=entry.reason,
        )
        return msgspec.json.encode(event), missing_headers(event), time.time_ns() // 1_000_000

    def _on_success(self, entry: Entry, seconds: float) -> None:
        with self._changed:
            self._landed(entry)
            self._changed.notify_all()
        self._heard()
        if isinstance(entry, WaitingFrame):
            self._meter.frame_sent(entry.size_bytes, entry.captured_at_ms, seconds)

    def _on_failure(self, entry: Entry, error: Exception) -> None:
        with self._changed:
            self._landed(entry)
            self._failed.append((entry, error))
            self._changed.notify_all()

    def _landed(self, entry: Entry) -> None:
        if self._in_flight.pop(entry.sequence, None) is not None:
            self._in_flight_bytes -= entry.size_bytes

    def _settle(self) -> None:
        """Puts what failed back before all that waits, as a gap where Kafka refuses it for good.

        After a refused record, the client lets all others in its hands fail for the same reason. So only a
        record that failed alone is believed to be at fault; several are sent again one by one.
        """
        with self._changed:
            failed, self._failed = self._failed, []
        hopeless = next((error for _, error in failed if _refuses_all(error)), None)
        if hopeless is not None:
            self._buffer.put_back(entry for entry, _ in failed)
            raise BrokerError(_why_hopeless(self._to.topic, hopeless)) from hopeless
        again: list[Entry] = []
        for entry, error in failed:
            reason = self._refusal(entry, error) if len(failed) == 1 else ""
            if reason:
                again += self._given_up(entry, reason, error)
                continue
            log.info("camera %s: %s is sent again: %s", self._to.camera_id, _name(entry), error)
            again.append(entry)
            if not _is_too_large(error):
                self._tell_away(f"Kafka does not take {_name(entry)} ({error})")
        self._alone = True
        self._alone_until = max([self._alone_until, *(entry.sequence for entry in again)])
        self._buffer.put_back(again)
        self._aborted.wait(RETRY_S if any(isinstance(entry, WaitingFrame) for entry in again) else 0)

    def _refusal(self, entry: Entry, error: Exception) -> str:
        """Why a record that failed alone will never be taken, as in `FramesMissing`; "" where it yet may be."""
        from kafka.errors import BrokerResponseError, InvalidRecordError, UnknownError

        if _is_too_large(error):
            return "too-large"
        if isinstance(error, InvalidRecordError):
            return "refused"
        # UnknownError is a broker in trouble, which waiting may mend; so may it what the client says by itself.
        if not isinstance(error, BrokerResponseError) or error.retriable or isinstance(error, UnknownError):
            return ""
        # A new producer mends some (a fenced or unknown one), hence not at once.
        times = self._refused[1] + 1 if self._refused[0] == entry.sequence else 1
        self._refused = entry.sequence, times
        return "refused" if times >= REFUSALS else ""

    def _given_up(self, entry: Entry, reason: str, error: Exception) -> list[Entry]:
        if isinstance(entry, Gap):
            log.error(
                "camera %s: Kafka refuses even to be told of %s: %s", self._to.camera_id, _name(entry), error
            )
            return []
        log.error("camera %s: Kafka refuses %s: %s", self._to.camera_id, _name(entry), error)
        self._meter.frames_failed(1)
        return [gap_for(entry, reason)]

    def _heard(self) -> None:
        self._heard_at = time.monotonic()
        if self._away:
            self._away = False
            log.info("camera %s: Kafka answers again", self._to.camera_id)

    def _tell_if_silent(self) -> None:
        silent_s = time.monotonic() - self._heard_at
        if self._in_flight and silent_s > TOLD_EVERY_S:
            self._tell_away(f"Kafka has confirmed nothing for {silent_s:.0f} s")

    def _tell_away(self, what: str) -> None:
        self._away = True
        now = time.monotonic()
        if now - self._told_at < TOLD_EVERY_S:
            return
        self._told_at = now
        log.warning(
            "camera %s: %s; %d frames (%.1f MiB) wait",
            self._to.camera_id,
            what,
            self._buffer.waiting_frames + len(self._in_flight),
            (self._buffer.waiting_bytes + self._in_flight_bytes) / 2**20,
        )

    def _close(self, producer: Any) -> None:
        """Frees the connection; what is in flight by now is counted as unconfirmed."""
        if self._in_flight:
            # close() would wait for them, and again when it is collected; there is no public way to give up.
            producer._sender.force_close()
            producer._sender.join(5)
        producer.close(timeout=2)


def _refuses_all(error: Exception) -> bool:
    """Whether any other frame would be refused like this one."""
    from kafka import errors

    return isinstance(
        error,
        (
            errors.AuthorizationError,
            errors.SaslAuthenticationFailedError,
            errors.InvalidTopicError,
            errors.InvalidTimestampError,
        ),
    )


def _why_hopeless(topic: str, error: Exception) -> str:
    from kafka.errors import InvalidTimestampError

    if not isinstance(error, InvalidTimestampError):
        return f"Kafka refuses records for {topic}: {error}"
    return (
        f"Kafka refuses records for {topic} by their time: this computer's clock is ahead of Kafka's by more than "
        "the topic's message.timestamp.after.max.ms (1 h by default); set both clocks (NTP) and start again"
    )


def _is_too_large(error: Exception) -> bool:
    from kafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

    return isinstance(error, (MessageSizeTooLargeError, RecordListTooLargeError))


def _name(entry: Entry) -> str:
    if isinstance(entry, Gap):
        return f"the gap {entry.sequence}-{entry.last_sequence}"
    return f"frame {entry.sequence} ({entry.size_bytes:,} bytes)"
