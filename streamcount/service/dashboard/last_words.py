"""What was last counted of cameras that are configured and silent: from Kafka, else from the store."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from itertools import islice
from typing import Any

from streamcount.config import Settings
from streamcount.errors import SinkError, StreamcountError
from streamcount.service.dashboard.camera import STALE_S, LastWord
from streamcount.service.dashboard.feed import Feed
from streamcount.service.dashboard.history import History
from streamcount.service.dashboard.model import LiveModel
from streamcount.service.reading import read_backwards
from streamcount.service.watch import CREATE_TIME
from streamcount.types import CountsUpdated
from streamcount.wire import event_or_none

log = logging.getLogger(__name__)

CLIENT = "streamcount-dashboard-last-words"
# Read backwards for one camera; the counts of others lie between its own. Some seconds' work.
MOST_COUNTS = 20_000
AGAIN_AFTER_S = 30.0


class LastWords(threading.Thread):
    """Looks once for the last word of each camera that sends nothing when the page begins; `with` starts and ends it.

    Where Kafka or the store fails it tries again, until all are asked.
    """

    def __init__(self, settings: Settings, feed: Feed, model: LiveModel, history: History) -> None:
        super().__init__(name="dashboard last words", daemon=True)
        self._settings = settings
        self._feed = feed
        self._model = model
        self._history = history
        self._ended = threading.Event()

    def __enter__(self) -> LastWords:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        # It may be in the midst of a long look, which nobody waits for.
        self._ended.set()

    def run(self) -> None:
        while not self._feed.wait_until_following(1.0):
            if self._ended.is_set():
                return
        # Those that send are heard by then.
        pause_s = STALE_S
        while not self._ended.wait(pause_s):
            try:
                for camera_id in self._model.unheard():
                    word = self._counted(camera_id) or self._stored(camera_id)
                    if word is not None:
                        self._model.remember(camera_id, word)
                return
            except StreamcountError as error:
                log.warning("what was last counted of silent cameras cannot be looked up: %s", error)
                pause_s = AGAIN_AFTER_S

    def _counted(self, camera_id: str) -> LastWord | None:
        topic, key = self._settings.topics.name("counts"), camera_id.encode()
        records = read_backwards(self._settings, topic, key, client_id=CLIENT)
        return newest_count(camera_id, islice(records, MOST_COUNTS))

    def _stored(self, camera_id: str) -> LastWord | None:
        if not self._history.has_store:
            return None
        try:
            found = self._history.counted_at(camera_id, time.time_ns())
        except SinkError as error:
            # A store that is not there yet is no reason to ask Kafka again.
            log.warning("%s", error)
            return None
        if found is None:
            return None
        return LastWord(found.run_id, found.sequence, found.at_ns // 10**6, found.total, found.counts)


def newest_count(camera_id: str, records: Iterable[Any]) -> LastWord | None:
    """A camera's last count in kafka-python's records, blocks from the newest back and each in order."""
    key, newest = camera_id.encode(), None
    for record in records:
        if newest is not None and (record.partition, record.offset) < (newest.partition, newest.offset):
            break
        if record.key == key:
            newest = record
    event = None if newest is None else event_or_none(newest.value)
    if newest is None or not isinstance(event, CountsUpdated):
        return None
    at_ms = newest.timestamp if newest.timestamp_type == CREATE_TIME else event.happened_at_ns // 10**6
    return LastWord(event.run_id, event.sequence, at_ms, event.total, dict(event.counts))
