"""All cameras as the page knows them, fed record by record; pure but for its lock."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from streamcount.config.settings import TopicName
from streamcount.errors import FrameError
from streamcount.service.dashboard.camera import (
    KEPT_ALERTS,
    KEPT_PICTURES,
    CameraLive,
    DeadLetterNote,
    LastWord,
    Memory,
    Picture,
    Place,
    newest,
)
from streamcount.service.dashboard.cells import peek
from streamcount.service.watch_view import WatchState
from streamcount.types import GROUP_RUN, AlertRaised, AnyEvent
from streamcount.types.frame import IDENTIFIER
from streamcount.wire import decode_event
from streamcount.wire.cloudevents import (
    FRAMES_MISSING_TYPE,
    Headers,
    decode_missing,
    frame_metadata,
    header_map,
    record_key,
)
from streamcount.wire.deadletters import PREFIX, REASON

MOST_CAMERAS = 512
# Dead letters whose key names no camera are shown under this.
NAMELESS = "?"
KEPT_MESSAGES = 2000
# Which topics fill what a camera remembers over time.
FILLED_BY: dict[Memory, tuple[TopicName, ...]] = {
    "counts": ("counts",),
    "events": ("events", "alerts"),
    "windows": ("windows",),
}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Taken:
    """A record of one of streamcount's topics.

    captured_at_ms: its timestamp, None where the broker set it. live: written while we were reading; False for what
    lay there before, whose coming now says nothing about how fast the service is.
    """

    topic: TopicName
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    captured_at_ms: int | None
    live: bool = True


class LiveModel:
    """The newest of every camera and a bounded past, safe to read from any thread with `reading`.

    A record that cannot be read is counted in `unreadable` and changes nothing else.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._watch = WatchState()
        self._cameras: dict[str, CameraLive] = {}
        # Of a group there are windows and alerts only.
        self._groups: dict[str, CameraLive] = {}
        self._messages: deque[tuple[int, AnyEvent]] = deque(maxlen=KEPT_MESSAGES)
        self._number = 0
        self._read_since_ns: dict[TopicName, int] = {}
        self.unreadable = 0
        # Another one after each record: who waits for news need not look for it.
        self.version = 0

    @contextmanager
    def reading(self) -> Iterator[dict[str, CameraLive]]:
        """The cameras by name, held still for as long as the block lasts: make it short, and keep nothing of it."""
        with self._lock:
            yield dict(sorted(self._cameras.items()))

    @contextmanager
    def reading_all(self) -> Iterator[dict[str, CameraLive]]:
        """As `reading`, with the groups behind the cameras."""
        with self._lock:
            yield dict([*sorted(self._cameras.items()), *sorted(self._groups.items())])

    def group_names(self) -> list[str]:
        """The groups that something was told of."""
        with self._lock:
            return list(self._groups)

    def look_group(self, group: str, what: Callable[[CameraLive], T]) -> T | None:
        """What a function makes of one group of cameras; None where nothing was told of it."""
        with self._lock:
            found = self._groups.get(group)
            return None if found is None else what(found)

    def look_any(self, name: str, what: Callable[[CameraLive], T]) -> T | None:
        """What a function makes of a camera, or else of a group of that name."""
        with self._lock:
            found = self._cameras.get(name) or self._groups.get(name)
            return None if found is None else what(found)

    def look(self, camera_id: str, what: Callable[[CameraLive], T]) -> T | None:
        """What a function makes of one camera; None where there is no such camera."""
        with self._lock:
            camera = self._cameras.get(camera_id)
            return None if camera is None else what(camera)

    def messages_after(self, number: int) -> list[tuple[int, AnyEvent]]:
        """Events and alerts after the message of that number, oldest first, as far as they are kept."""
        with self._lock:
            return [one for one in self._messages if one[0] > number]

    def is_read_since(self, topic: TopicName, since_ns: int | None) -> None:
        """Of what happened since a time, all that a topic tells was taken in; None where something may be wanting."""
        with self._lock:
            if since_ns is None:
                self._read_since_ns.pop(topic, None)
            else:
                self._read_since_ns[topic] = since_ns

    def remembers_since_ns(self, name: str, memory: Memory) -> int | None:
        """Since when nothing is wanting of what a camera or group remembers; None where that is not known."""
        with self._lock:
            read = [self._read_since_ns.get(topic) for topic in FILLED_BY[memory]]
            dropped_ns = self.look_any(name, lambda one: one.dropped_ns.get(memory, -1))
            known = [one for one in read if one is not None]
            if dropped_ns is None or len(known) < len(read):
                return None
            return max(*known, dropped_ns + 1)

    def expect(self, camera_ids: Iterable[str], now_s: float) -> None:
        """Cameras that are configured: they are shown though nothing was heard of them. now_s: as of `take`."""
        with self._lock:
            for camera_id in camera_ids:
                known = self._cameras.get(camera_id) or self._added(CameraLive(camera_id))
                known.expected_s = now_s

    def unheard(self) -> list[str]:
        """Cameras that are expected, and of whose frames nothing is known."""
        with self._lock:
            return [
                name
                for name, one in self._cameras.items()
                if one.expected_s is not None and one.heard_s() is None and one.last_word is None
            ]

    def remember(self, camera_id: str, word: LastWord) -> None:
        """What was last counted of a camera, where nothing newer was heard."""
        with self._lock:
            self._camera(camera_id).last_word = word
            self.version += 1

    @property
    def last_message(self) -> int:
        """The number of the newest message."""
        return self._number

    def take(self, record: Taken, now_s: float, now_ns: int) -> None:
        """Takes in a record. now_s: of the feed's monotonic clock; now_ns: wall time, for latencies."""
        if not record.live and record.captured_at_ms is not None:
            now_s -= max(0.0, now_ns / 1e9 - record.captured_at_ms / 1e3)
        with self._lock:
            self.version += 1
            try:
                if record.topic == "frames":
                    self._frame(record, now_s)
                elif record.topic in ("tracks", "detections"):
                    self._cells(record)
                elif record.topic == "dead-letters":
                    self._dead_letter(record, now_s)
                else:
                    self._event(record, now_s, now_ns)
            except FrameError:
                self.unreadable += 1

    def _camera(self, camera_id: str) -> CameraLive:
        return self._cameras.get(camera_id) or self._added(_made(camera_id, self._cameras))

    def _added(self, camera: CameraLive) -> CameraLive:
        self._cameras[camera.camera_id] = camera
        self._watch.cameras[camera.camera_id] = camera.view
        return camera

    def _group(self, name: str) -> CameraLive:
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = _made(name, self._groups)
        return group

    def _frame(self, record: Taken, now_s: float) -> None:
        headers = header_map(record.headers)
        if headers.get("ce_type") == FRAMES_MISSING_TYPE:
            missing = decode_missing(record.key, record.value)
            self._camera(missing.camera_id).published(
                missing.run_id, missing.sequence, missing.last_sequence, live=record.live
            )
            return
        metadata = frame_metadata(record.key, headers)
        captured_at_ms = record.captured_at_ms or metadata.acquired_at_ns // 10**6
        self._camera(metadata.camera_id).add_picture(
            Picture(
                run_id=metadata.run_id,
                sequence=metadata.sequence,
                acquired_at_ns=metadata.acquired_at_ns,
                captured_at_ms=captured_at_ms,
                content_type=headers["content-type"],
                data=record.value or b"",
                heard_s=now_s,
                pixel_size_um=metadata.pixel_size_um,
            ),
            live=record.live,
        )

    def _cells(self, record: Taken) -> None:
        frame = peek(record.value or b"")
        if frame is None:
            return
        camera = self._camera(record_key(record.key))
        kept = camera.tracks if record.topic == "tracks" else camera.detections
        kept[frame] = record.value or b""
        while len(kept) > KEPT_PICTURES:
            del kept[next(iter(kept))]

    def _dead_letter(self, record: Taken, now_s: float) -> None:
        # Its key and headers may be what was wrong with it.
        camera_id = (record.key or b"").decode("utf-8", "replace")
        if not IDENTIFIER.fullmatch(camera_id):
            camera_id = NAMELESS
        try:
            headers = header_map(record.headers)
        except FrameError:
            headers = {REASON: "bad-headers"}
        reason = headers.get(REASON, "")
        camera = self._camera(camera_id)
        self._watch.dead_letter(camera_id, reason, now_s)
        camera.dead_letters_seen += 1
        note = DeadLetterNote(
            partition=record.partition,
            offset=record.offset,
            at_ms=record.captured_at_ms or 0,
            reason=reason,
            message=headers.get(f"{PREFIX}exception.message", ""),
            stage=headers.get(f"{PREFIX}stage", ""),
            sequence=headers.get("ce_sequence", ""),
        )
        camera.dead_letters.append(note)

    def _event(self, record: Taken, now_s: float, now_ns: int) -> None:
        event = decode_event(record.value or b"")
        # A group is no camera, and has no frames that could be shown or missed.
        of_group = event.run_id == GROUP_RUN
        camera = self._group(event.camera_id) if of_group else self._camera(event.camera_id)
        if not camera.add_event(event, now_s):
            return
        if isinstance(event, AlertRaised):
            place = Place(record.partition, record.captured_at_ms or event.decided_at_ns // 10**6)
            newest(camera.alert_places, event.event_id, place, KEPT_ALERTS)
        if of_group:
            pass
        elif record.live:
            self._watch.apply(event, record.captured_at_ms, now_s, now_ns)
        else:
            self._watch.apply(event, None, now_s, 0)
        if record.topic in ("events", "alerts"):
            self._number += 1
            self._messages.append((self._number, event))


def _made(name: str, known: dict[str, CameraLive]) -> CameraLive:
    """A new camera or group. Raises FrameError ("bad-record")."""
    if name != NAMELESS and not IDENTIFIER.fullmatch(name):
        raise FrameError("bad-record", "the key is no camera's name")
    # Cameras are few; names without end are a fault of a producer, and must not fill the memory.
    if len(known) >= MOST_CAMERAS:
        raise FrameError("bad-record", f"more than {MOST_CAMERAS} cameras")
    return CameraLive(name)
