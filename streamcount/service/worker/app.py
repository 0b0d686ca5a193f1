"""The Faust application: two agents, and the order in which outputs, state and offsets become lasting.

frames --> detect --> detections --> track --> tracks, events, counts, alerts
             |                          |
             +--> dead-letters          +--> state (table with changelog)
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import faust
from aiokafka import TopicPartition
from faust.streams import _CStreamIterator

from streamcount.config import Settings, TopicName
from streamcount.errors import ConfigurationError
from streamcount.service.worker.consumer import SteadyConsumer
from streamcount.service.worker.detecting import Detecting
from streamcount.service.worker.metrics import WorkerMetrics
from streamcount.service.worker.offsets import HoleError, OffsetGuard, first_existing_offset
from streamcount.service.worker.ordered import OrderedStage
from streamcount.service.worker.pipelines import Pipelines
from streamcount.service.worker.records import Output, Record
from streamcount.service.worker.state import pack_state, unpack_state
from streamcount.service.worker.tracking import Tracked, Tracking
from streamcount.wire import encode_state
from streamcount.wire.deadletters import ROOM_BYTES

log = logging.getLogger(__name__)

TABLE = "state"
FETCH_WAIT_MS = 25
RAW = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}


def create_app(settings: Settings, fail: Callable[[BaseException], None]) -> CountingApp:
    """A Faust app that counts the cells of all cameras.

    fail: called on a fault of the infrastructure; it must end the process, which resumes from what is committed.
    Raises ModelError where the model of any configured camera cannot be loaded, ConfigurationError where the data
    folder cannot be made or Faust came without its compiled part.
    """
    if _CStreamIterator is None:
        # Its Python twin acknowledges what it skips in a rebalance, even where acknowledging is left to us.
        raise ConfigurationError(
            "Faust was installed without its compiled part; install its wheel for this machine"
        )
    try:
        settings.worker.data_folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"worker.data_folder {settings.worker.data_folder}: {error.strerror}"
        ) from error
    return CountingApp(settings, fail)


class CountingApp:
    """The Faust app with all that belongs to it; `faust_app` is what a Faust worker runs."""

    def __init__(self, settings: Settings, fail: Callable[[BaseException], None]) -> None:
        self.settings = settings
        self.metrics = WorkerMetrics()
        self.guard = OffsetGuard()
        self.faust_app = faust.App(settings.app_id, **_faust_settings(settings))
        self.faust_app.transport.Consumer = SteadyConsumer
        self._fail = fail
        pipelines = Pipelines(settings)
        self.metrics.set_model(pipelines.load_all().model)
        self._table = self.faust_app.Table(
            TABLE,
            partitions=settings.topics.partitions,
            # The schema decodes and the types choose how keys and values are written: raw bytes want both.
            schema=faust.Schema(**RAW),
            key_type=bytes,
            value_type=bytes,
            store="streamcount://",
        )
        self._detecting = Detecting(settings, pipelines, self.metrics)
        self.tracking = Tracking(
            pipelines, self.metrics, lambda camera: self._table.data.get(camera.encode())
        )
        self._threads = ThreadPoolExecutor(settings.worker.threads, thread_name_prefix="detect")
        self._topics: dict[str, Any] = {}
        self._wire()

    def topic(self, name: TopicName) -> Any:
        """One of streamcount's topics, with keys and values as bytes."""
        if name not in self._topics:
            self._topics[name] = self.faust_app.topic(self.settings.topics.name(name), **RAW)
        return self._topics[name]

    def _wire(self) -> None:
        app = self.faust_app

        @app.agent(self.topic("frames"), name="detect")
        async def detect(stream: Any) -> None:
            async with _Running(self._detect_stage(), self._fail) as stage:
                async for event in stream.noack().events():
                    record = await self._received(event)
                    self.metrics.in_flight_bytes.inc(len(record.value or b""))
                    await stage.take(event, lambda record=record: self._on_thread(record))  # type: ignore[misc]

        @app.agent(self.topic("detections"), name="track")
        async def track(stream: Any) -> None:
            async with _Running(self._track_stage(), self._fail) as stage:
                async for event in stream.noack().events():
                    record = await self._received(event)
                    tracked = self.tracking.handle(record)
                    await stage.take(event, lambda tracked=tracked: _ready(tracked))  # type: ignore[misc]

        @app.on_rebalance_complete.connect
        async def assigned(sender: Any, *_: Any, **__: Any) -> None:
            self.metrics.rebalances.inc()

        @app.on_partitions_revoked.connect
        async def start_over(sender: Any, *_: Any, **__: Any) -> None:
            # Sent when all records in work are acknowledged. The signal of the assignment would come too late: it
            # follows the first records, whose states would be forgotten while their offsets go on.
            self.guard.forget_all()
            self.tracking.forget_all()

        @app.on_partitions_assigned.connect
        async def resume(sender: Any, *_: Any, **__: Any) -> None:
            self._shorten_fetches()

    def _shorten_fetches(self) -> None:
        """Bounds how long detections can wait behind a fetch that was sent for frames alone.

        One fetch a broker is under way at a time, and Faust lets it wait 1.5 s for data without a setting for it; a
        partition whose records were still being handled when it was sent would not be asked for until it returns.
        """
        fetcher = self.faust_app.consumer._thread._consumer._fetcher
        fetcher._fetch_max_wait_ms = FETCH_WAIT_MS

    def _detect_stage(self) -> OrderedStage[Sequence[Output]]:
        async def send(event: Any, outputs: Sequence[Output]) -> Sequence[Awaitable[Any]]:
            return [await self._send(event, output) for output in outputs]

        async def store(done: Sequence[tuple[Any, Sequence[Output]]]) -> None:
            for event, _ in done:
                self.metrics.in_flight_bytes.dec(len(event.message.value or b""))

        return OrderedStage(send, store, self._fail, width=self.settings.worker.in_work)

    def _track_stage(self) -> OrderedStage[Tracked]:
        async def send(event: Any, tracked: Tracked) -> Sequence[Awaitable[Any]]:
            return [await self._send(event, output) for output in tracked.outputs]

        return OrderedStage(send, self._store_states, self._fail, width=self.settings.worker.in_work)

    async def _store_states(self, done: Sequence[tuple[Any, Tracked]]) -> None:
        """Stores the newest state of each camera of a batch, once for the batch: fewer states are written under load.

        Between a state and its offset nothing is lost: a crash repeats the frames after the last stored state, which
        gives the same events under the same ids.
        """
        newest = {tracked.camera_id: (event, tracked.state) for event, tracked in done if tracked.state}
        confirmations = []
        for camera_id, (event, state) in newest.items():
            key, value = camera_id.encode(), pack_state(state.order, encode_state(state))
            known = self._table.data.get(key)
            if known is not None and unpack_state(known)[0] > state.order:
                # A late one, from before a rebalance whose records have since been read again.
                continue
            self._table.data[key] = value
            confirmations.append(self._table.send_changelog(event.message.partition, key, value))
        for confirmation in confirmations:
            await confirmation
        now_s = time.time()
        for event, tracked in done:
            self.tracking.confirmed(tracked, event.message.timestamp or now_s, now_s)

    async def _received(self, event: Any) -> Record:
        message = event.message
        topic, partition, offset = message.topic, message.partition, message.offset
        if self.guard.due(topic, partition) is None:
            self.guard.resume(topic, partition, await self._committed(topic, partition))
        await self._check_place(topic, partition, offset)
        headers = message.headers
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers or ())
        return Record(topic, partition, offset, message.key, message.value, pairs)

    async def _check_place(self, topic: str, partition: int, offset: int) -> None:
        due = self.guard.due(topic, partition) or 0
        existing = None
        if offset > due:
            servers = self.settings.kafka.bootstrap_servers
            existing = await asyncio.to_thread(first_existing_offset, servers, topic, partition, due)
            log.warning("%s[%d]: %d came, %d was due, %s is there", topic, partition, offset, due, existing)
        try:
            self.guard.take(topic, partition, offset, existing)
        except HoleError as error:
            self.metrics.holes.labels("passed-over").inc()
            self._fail(error)
            raise
        if offset > due:
            self.metrics.holes.labels("absent").inc()

    async def _committed(self, topic: str, partition: int) -> int:
        """Where a partition resumes. Faust has no public way to ask; its own note of it can come after the record."""
        thread = self.faust_app.consumer._thread
        offset = await thread.call_thread(thread._consumer.committed, TopicPartition(topic, partition))
        return offset or 0

    async def _on_thread(self, record: Record) -> Sequence[Output]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._detecting.outputs, record)

    async def _send(self, event: Any, output: Output) -> Awaitable[Any]:
        # The capture's time travels with every record, so that latency is measured from the camera's shutter.
        sent: Awaitable[Any] = await self.topic(output.topic).send(
            key=event.message.key,
            value=output.value,
            partition=event.message.partition,
            timestamp=event.message.timestamp,
            headers=output.headers,
        )
        return sent


class _Running:
    """A stage that works as long as its agent; an agent that fails takes the process with it.

    Faust would start the agent again behind the record that it had in hand, and so pass it over.
    """

    def __init__(self, stage: OrderedStage[Any], fail: Callable[[BaseException], None]) -> None:
        self._stage = stage
        self._fail = fail

    async def __aenter__(self) -> OrderedStage[Any]:
        self._stage.start()
        return self._stage

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        if isinstance(error, Exception):
            self._fail(error)
        await self._stage.stop()


async def _ready(tracked: Tracked) -> Tracked:
    return tracked


def _faust_settings(settings: Settings) -> dict[str, Any]:
    servers = settings.kafka.bootstrap_servers.split(",")
    message_bytes = settings.topics.max_message_bytes
    # A dead letter is a record as large as any, and its headers more.
    sent_bytes = message_bytes + ROOM_BYTES
    return {
        "broker": ";".join(f"kafka://{server.strip()}" for server in servers),
        "datadir": str(settings.worker.data_folder),
        "store": "memory://",
        "web_enabled": False,
        # Topics exist before a worker starts; Faust must not make them with settings of its own.
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "topic_partitions": settings.topics.partitions,
        "processing_guarantee": "at_least_once",
        # Counts messages, not bytes: 16 images are all that may wait in memory for an agent.
        "stream_buffer_maxsize": 16,
        "broker_max_poll_records": 16,
        # A killed worker's cameras are counted again after the session's time and a rebalance: Faust's default is a
        # minute, and brokers allow 6 s at the least.
        "broker_session_timeout": 7.0,
        "broker_heartbeat_interval": 2.0,
        "broker_commit_interval": 1.0,
        "consumer_auto_offset_reset": "earliest",
        "consumer_max_fetch_size": message_bytes,
        "producer_max_request_size": sent_bytes,
        "producer_linger": 0.0,
        "stream_wait_empty": True,
        "worker_redirect_stdouts": False,
        "logging_config": None,
    }
