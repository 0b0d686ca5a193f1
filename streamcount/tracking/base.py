"""What a tracker is: a fold that gives the cells of successive frames an identity."""

from __future__ import annotations

from typing import Protocol

from streamcount.tracking.state import TrackerState
from streamcount.types import Detections, Tracks


class Tracker(Protocol):
    """Links the detections of a frame to the tracks of the frames before.

    A tracker object holds settings only. All that it remembers is in the state that is handed in and out, so
    that a run can be cut at any frame, the state stored, and the run resumed elsewhere with the same result.
    """

    def initial_state(self) -> TrackerState:
        """The state before the first frame of a run."""
        ...

    def update(
        self, state: TrackerState, detections: Detections, missed_frames: int
    ) -> tuple[TrackerState, Tracks]:
        """The tracks after this frame, those that end with it included, in ascending order of track id.

        missed_frames: frames between the last one given and this one that nobody saw, 0 if there is no hole.
        The order of the detections does not matter: a permutation of their rows permutes `detection_rows`
        and changes nothing else (rows equal in every number are interchangeable).
        """
        ...
