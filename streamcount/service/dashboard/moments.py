"""One moment of a camera's past: what was counted, the cells, and the picture or why there is none."""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import UTC, datetime

import msgspec

from streamcount.errors import BrokerError
from streamcount.service.dashboard.camera import Picture
from streamcount.service.dashboard.cells import Cells, cells_of
from streamcount.service.dashboard.history import History
from streamcount.service.dashboard.model import LiveModel
from streamcount.service.dashboard.past import MS, FrameKey, Past

KEPT_BYTES = 32 * 2**20


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """A camera at a time. counted_at_ms, total, counts: of the last frame that was counted at or before it, null
    where none is known. shown: that frame's cells as `/cells` tells them. picture: whether its picture is still kept.
    why: why something is not there, "" where nothing is wanting.
    """

    at_ms: int
    counted_at_ms: int | None
    total: int | None
    counts: dict[str, int]
    shown: Cells | None
    picture: bool
    why: str


class Moments:
    """Looks moments up: figures in the history, pictures and cells in memory, else in Kafka. Safe for threads."""

    def __init__(self, model: LiveModel, history: History, past: Past) -> None:
        self._model = model
        self._history = history
        self._past = past
        self._lock = threading.Lock()
        self._kept: OrderedDict[FrameKey, Picture] = OrderedDict()

    def at(self, camera_id: str, time_ns: int) -> Moment:
        """What is known of that moment. Raises SinkError where the store cannot be asked."""
        counted = self._history.counted_at(camera_id, time_ns)
        if counted is None:
            return self._blank(camera_id, time_ns)
        why = ""
        cells: tuple[bytes | None, bytes | None] = (None, None)
        picture = None
        name, time_ms = (camera_id, counted.run_id, counted.sequence), counted.at_ns // MS
        try:
            picture = self.picture(name, time_ms)
            cells = self._cells(name, time_ms)
            if picture is None:
                why = self._gone(camera_id)
        except BrokerError as error:
            why = f"the picture cannot be looked for: {error}"
        return Moment(
            at_ms=time_ns // MS,
            counted_at_ms=time_ms,
            total=counted.total,
            counts=counted.counts,
            shown=cells_of(counted.run_id, counted.sequence, time_ms, cells),
            picture=picture is not None,
            why=why,
        )

    def picture(self, name: FrameKey, time_ms: int) -> Picture | None:
        """The frame, taken at about that time; None where it is no longer kept. Raises BrokerError."""
        camera_id, run_id, sequence = name
        held = self._model.look(camera_id, lambda one: one.picture(run_id, sequence))
        if held is not None:
            return held
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
                return self._kept[name]
        found = self._past.picture(name, time_ms)
        if found is not None:
            with self._lock:
                self._kept[name] = found
                while len(self._kept) > 1 and sum(len(one.data) for one in self._kept.values()) > KEPT_BYTES:
                    self._kept.popitem(last=False)
        return found

    def _cells(self, name: FrameKey, time_ms: int) -> tuple[bytes | None, bytes | None]:
        camera_id, key = name[0], name[1:]
        held = self._model.look(camera_id, lambda one: (one.tracks.get(key), one.detections.get(key)))
        if held is not None and held[0] is not None:
            return held
        return self._past.cells(name, time_ms)

    def _gone(self, camera_id: str) -> str:
        since_ms = self._past.pictures_since_ms(camera_id)
        if since_ms is None:
            return "Kafka keeps no picture of this camera"
        since = datetime.fromtimestamp(since_ms / 1000, UTC)
        return f"Kafka no longer keeps this picture: it has those since {since:%Y-%m-%d %H:%M:%S} UTC"

    def _blank(self, camera_id: str, time_ns: int) -> Moment:
        known = self._history.extent_ns(camera_id)
        why = "nothing is known to have been counted"
        if known is not None:
            first = datetime.fromtimestamp(known[0] / 1e9, UTC)
            why = f"nothing is known from before {first:%Y-%m-%d %H:%M:%S} UTC"
        if not self._history.has_store:
            why += "; a dashboard with --store or --sink goes back as far as the store"
        return nothing(time_ns // MS, why)


def nothing(at_ms: int, why: str) -> Moment:
    """A moment of which nothing is known."""
    return Moment(at_ms=at_ms, counted_at_ms=None, total=None, counts={}, shown=None, picture=False, why=why)
