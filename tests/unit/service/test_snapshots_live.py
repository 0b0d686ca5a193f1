"""What /livez of the snapshots says."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry

from streamcount.config import Settings
from streamcount.service.snapshots.run import STUCK_S, Snapshooter, SnapshotMetrics


def test_one_that_has_not_moved_for_long_is_not_alive():
    worker = Snapshooter(Settings(), SnapshotMetrics(CollectorRegistry()))
    assert worker.live()[0]
    worker.moved_s = time.monotonic() - STUCK_S - 1
    alive, details = worker.live()
    assert not alive
    assert details["seconds_without_progress"] > STUCK_S
