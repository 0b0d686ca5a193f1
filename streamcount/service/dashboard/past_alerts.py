"""Past alerts as the store keeps them: older than what the page has heard, with their ends, remarks and figures."""

from __future__ import annotations

import threading
import time

from streamcount.alerts import AlertSpan, spans
from streamcount.errors import FrameError
from streamcount.service.dashboard.camera import KEPT_ALERTS
from streamcount.service.dashboard.history import Database, opened
from streamcount.sinks.store.schema import Value
from streamcount.types import AlertRaised, AnyEvent, WindowClosed
from streamcount.wire import decode_event

# Each may have an end and a remark.
MOST_TOLD = 3 * KEPT_ALERTS
# Of one alert.
MOST_REMARKS = 200
FRESH_S = 10.0

_ALERTS = "alerts a JOIN events e ON e.message_id = a.message_id AND e.happened_at_ns = a.happened_at_ns"
_WINDOWS = "windows w JOIN events e ON e.message_id = w.message_id AND e.happened_at_ns = w.happened_at_ns"


class PastAlerts:
    """Asks the store, which need not be there: then nothing is known. All methods raise SinkError where it fails."""

    def __init__(self, database: Database | None) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._kept: tuple[float, tuple[AlertSpan, ...]] = (float("-inf"), ())

    def newest(self) -> tuple[AlertSpan, ...]:
        """The newest alerts, `KEPT_ALERTS` at most, by time; asked anew no more than every ten seconds."""
        with self._lock:
            if time.monotonic() - self._kept[0] >= FRESH_S:
                told = self._told(
                    f"SELECT e.json FROM {_ALERTS} ORDER BY a.decided_at_ns DESC LIMIT {MOST_TOLD}"
                )
                self._kept = (time.monotonic(), spans(told)[-KEPT_ALERTS:])
            return self._kept[1]

    def alert(self, alert_id: str) -> AlertSpan | None:
        """The alert with this id."""
        found = self._told("SELECT json FROM events WHERE event_id = ? AND kind = 'AlertRaised'", alert_id)
        raised = next((one for one in found if isinstance(one, AlertRaised)), None)
        if raised is None:
            return None
        told = self._told(
            f"SELECT e.json FROM {_ALERTS} WHERE a.camera = ? AND a.rule = ? AND a.raised_at_ns = ? "
            f"ORDER BY a.decided_at_ns LIMIT {MOST_REMARKS}",
            raised.camera_id,
            raised.rule,
            raised.decided_at_ns,
        )
        return next((one for one in spans(told) if one.raised == raised), None)

    def windows_of(self, raised: AlertRaised) -> list[WindowClosed]:
        """Final windows that closed with the alert's frame."""
        told = self._told(
            f"SELECT e.json FROM {_WINDOWS} WHERE w.final = 1 AND w.camera = ? AND w.run = ? AND w.sequence = ? "
            "ORDER BY w.window_end_ns - w.window_start_ns, w.message_id",
            raised.camera_id,
            raised.run_id,
            raised.sequence,
        )
        return [one for one in told if isinstance(one, WindowClosed)]

    def _told(self, query: str, *values: Value) -> list[AnyEvent]:
        if self._database is None:
            return []
        with opened(self._database) as store:
            rows = store.ask(query, values).rows
        events = []
        for (text,) in rows:
            try:
                events.append(decode_event(str(text).encode()))
            except FrameError:
                # A later version's; the page shows what it knows.
                continue
        return events
