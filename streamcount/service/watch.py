"""A live view of all cameras: reads counts, events, alerts and dead letters as they come."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from streamcount.config import Settings
from streamcount.config.settings import TopicName
from streamcount.errors import BrokerError, FrameError
from streamcount.service.lag import CONNECT_S, LagProbe, fault
from streamcount.service.watch_groups import GroupView, group_lines, groups_table
from streamcount.service.watch_view import CameraView, WatchState, as_line, as_table
from streamcount.wire import decode_event
from streamcount.wire.cloudevents import header_map
from streamcount.wire.deadletters import REASON

if TYPE_CHECKING:
    from kafka import KafkaConsumer
    from rich.console import Console, RenderableType

log = logging.getLogger(__name__)

WATCHED: tuple[TopicName, ...] = ("counts", "events", "windows", "alerts", "dead-letters")
CREATE_TIME = 0
REFRESH_S = 0.25
ONCE_S = 3.0


class Watcher:
    """Follows the topics of results from their end, and how far the workers lag, each on a thread of its own.

    It belongs to no consumer group and so moves nothing. While Kafka is away, `trouble` says so; it goes on
    by itself.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._state = WatchState()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._following = threading.Event()
        self._reading_trouble = ""
        self._probe = LagProbe(settings, "streamcount-watch")
        self._thread = threading.Thread(target=self._follow, name="watch", daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        self._probe.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._probe.end()
        self._thread.join(CONNECT_S + 2)
        self._probe.join(CONNECT_S + 2)

    @property
    def trouble(self) -> str:
        """What is wrong with Kafka, or ""."""
        return self._reading_trouble or self._probe.trouble

    @property
    def lag(self) -> int | None:
        """Frames in Kafka that the workers have not committed yet; None while nobody knows."""
        return self._probe.lag

    def wait_until_following(self, timeout_s: float) -> bool:
        """Whether, within a time, the end of all topics is known: what is written from then on is seen."""
        return self._following.wait(timeout_s)

    def require_following(self, timeout_s: float) -> None:
        """Waits as `wait_until_following`, but no longer than till it is known to be in vain. Raises BrokerError."""
        give_up_s = time.monotonic() + timeout_s
        while not self._following.wait(0.05):
            if self._reading_trouble or time.monotonic() > give_up_s:
                raise BrokerError(self.trouble or f"Kafka at {self.address} does not answer; is it running?")

    def cameras(self) -> list[CameraView]:
        """All cameras heard of, by name; a copy of what is known now."""
        from copy import deepcopy

        with self._lock:
            return [deepcopy(view) for _, view in sorted(self._state.cameras.items())]

    def groups(self) -> list[GroupView]:
        """All groups of cameras heard of, by name; a copy of what is known now."""
        from copy import deepcopy

        with self._lock:
            return [deepcopy(view) for _, view in sorted(self._state.groups.items())]

    def _follow(self) -> None:
        from kafka.errors import KafkaError

        while not self._ended.is_set():
            try:
                consumer = self._consumer()
                try:
                    self._read(consumer)
                finally:
                    consumer.close(autocommit=False, timeout_ms=1000)
            except (KafkaError, OSError) as error:
                self._reading_trouble = f"Kafka at {self.address} cannot be read: {error}; is it running?"
                self._ended.wait(1.0)
            except Exception as error:
                # A fault: the view must not stay up and stale, as if nothing were counted.
                self._reading_trouble = fault(error)
                self._ended.wait(1.0)

    def _consumer(self) -> KafkaConsumer:
        from kafka import KafkaConsumer

        return KafkaConsumer(
            bootstrap_servers=self.address.split(","),
            client_id="streamcount-watch",
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            allow_auto_create_topics=False,
            fetch_max_wait_ms=100,
            request_timeout_ms=10_000,
            reconnect_backoff_max_ms=1_000,
            bootstrap_timeout_ms=int(CONNECT_S * 1000),
            metrics_enabled=False,
        )

    def _read(self, consumer: KafkaConsumer) -> None:
        from kafka import TopicPartition

        homes = {self._settings.topics.name(topic): topic for topic in WATCHED}
        known = {name: consumer.partitions_for_topic(name) for name in homes}
        absent = sorted(name for name, partitions in known.items() if not partitions)
        if absent:
            self._reading_trouble = f"no topic {', '.join(absent)}: make them with streamcount topics"
            self._ended.wait(1.0)
            return
        partitions = [
            TopicPartition(name, number) for name, numbers in known.items() for number in numbers or ()
        ]
        consumer.assign(partitions)
        for partition, end in consumer.end_offsets(partitions).items():
            consumer.seek(partition, end)
        self._reading_trouble = ""
        self._following.set()
        while not self._ended.is_set():
            for partition, records in consumer.poll(timeout_ms=200).items():
                for record in records:
                    self._take(homes[partition.topic], record)

    def _take(self, topic: TopicName, record: Any) -> None:
        now_s, now_ns = time.monotonic(), time.time_ns()
        with self._lock:
            if topic == "dead-letters":
                camera_id = (record.key or b"?").decode("utf-8", "replace")
                self._state.dead_letter(camera_id, _reason(record), now_s)
                return
            try:
                event = decode_event(record.value or b"")
            except FrameError as error:
                log.warning("%s offset %d: %s", record.topic, record.offset, error)
                return
            captured_at_ms = record.timestamp if record.timestamp_type == CREATE_TIME else None
            self._state.apply(event, captured_at_ms, now_s, now_ns)

    @property
    def address(self) -> str:
        """Which Kafka is watched."""
        return self._settings.kafka.bootstrap_servers


def run_watch(
    settings: Settings,
    *,
    seconds: float | None = None,
    once: bool = False,
    interval_s: float = 2.0,
    console: Console | None = None,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Shows the cameras until Ctrl-C, or for `seconds`; a live table on a terminal, lines elsewhere.

    once: one look at some seconds of what comes, and the end; raises BrokerError where Kafka is away or has not the
    topics, which a script would take for "nothing is counted". interval_s: between lines.
    check: called now and then; what it raises ends the view and is raised here.
    """
    from rich.console import Console

    console = console or Console()
    with Watcher(settings) as watcher:
        try:
            if once:
                _show_once(watcher, console, seconds or ONCE_S)
            elif console.is_terminal:
                _show_table(watcher, console, seconds, check)
            else:
                _show_lines(watcher, console, seconds, interval_s, check)
        except KeyboardInterrupt:
            # How one leaves a watch; nothing is lost by it.
            return


def caption_of(watcher: Watcher) -> str:
    """The line below the table."""
    if watcher.trouble:
        return watcher.trouble
    lag = "no worker has committed yet" if watcher.lag is None else f"workers lag {watcher.lag} frames"
    return (
        f"Kafka {watcher.address}; {lag}; latency is the median from capture to here over 5 s. Ctrl-C ends."
    )


def _show_table(watcher: Watcher, console: Console, seconds: float | None, check: Callable[[], None]) -> None:
    from rich.live import Live

    started_s = time.monotonic()
    with Live(console=console, auto_refresh=False) as live:
        while seconds is None or time.monotonic() - started_s < seconds:
            live.update(_tables(watcher), refresh=True)
            check()
            time.sleep(REFRESH_S)


def _show_lines(
    watcher: Watcher, console: Console, seconds: float | None, interval_s: float, check: Callable[[], None]
) -> None:
    started_s = time.monotonic()
    trouble = ""
    while seconds is None or time.monotonic() - started_s < seconds:
        left_s = interval_s if seconds is None else started_s + seconds - time.monotonic()
        time.sleep(max(0.0, min(interval_s, left_s)))
        check()
        if watcher.trouble != trouble:
            trouble = watcher.trouble
            _line(console, trouble or "Kafka answers again")
        for view in watcher.cameras():
            _line(console, as_line(view, time.monotonic(), watcher.lag))
        for group in watcher.groups():
            for line in group_lines(group):
                _line(console, line)


def _show_once(watcher: Watcher, console: Console, seconds: float) -> None:
    watcher.require_following(CONNECT_S + seconds)
    time.sleep(seconds)
    console.print(_tables(watcher))
    if watcher.trouble:
        raise BrokerError(watcher.trouble)


def _tables(watcher: Watcher) -> RenderableType:
    from rich.console import Group

    table = as_table(watcher.cameras(), time.monotonic(), caption_of(watcher))
    groups = watcher.groups()
    return Group(groups_table(groups), table) if groups else table


def _line(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _reason(record: Any) -> str:
    try:
        return header_map(record.headers).get(REASON, "")
    except FrameError:
        return "bad-headers"
