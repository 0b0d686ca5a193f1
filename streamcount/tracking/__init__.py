"""Trackers: identity over time."""

from __future__ import annotations

from typing import TypeAlias

from streamcount.tracking.base import Tracker
from streamcount.tracking.config import KalmanConfig
from streamcount.tracking.kalman import KalmanTracker
from streamcount.tracking.state import TrackerState

TrackerConfig: TypeAlias = KalmanConfig

__all__ = ["KalmanConfig", "KalmanTracker", "Tracker", "TrackerConfig", "TrackerState"]
