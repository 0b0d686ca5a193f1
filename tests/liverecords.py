"""Records and events as the live page hears them, of one camera."""

from __future__ import annotations

from typing import Any

import numpy as np

from streamcount.config.settings import TopicName
from streamcount.service.dashboard.camera import CameraLive
from streamcount.service.dashboard.model import Taken
from streamcount.types import AnyEvent, CountsUpdated, Detections, FrameMetadata, ModelIdentity, Tracks
from streamcount.wire.cloudevents import frame_headers

NOW_NS = 1_800_000_000_000_000_000
SECOND_NS = 1_000_000_000


def common(sequence: int, run_id: str = "a", camera_id: str = "scope-1") -> dict[str, Any]:
    at_ns = NOW_NS + sequence * SECOND_NS // 5
    return {
        "camera_id": camera_id,
        "run_id": run_id,
        "sequence": sequence,
        "happened_at_ns": at_ns,
        "decided_at_ns": at_ns,
    }


def counted(sequence: int, run_id: str = "a", quality: tuple[str, ...] = ()) -> CountsUpdated:
    return CountsUpdated(
        **common(sequence, run_id),
        counts={"red": 3},
        total=3,
        confirmed_tracks=1,
        cells_seen=9,
        quality=quality,
    )


def metadata(sequence: int, run_id: str = "a") -> FrameMetadata:
    at_ns = NOW_NS + sequence * SECOND_NS // 5
    return FrameMetadata(camera_id="scope-1", run_id=run_id, sequence=sequence, acquired_at_ns=at_ns)


def frame(sequence: int, run_id: str = "a", data: bytes = b"jpeg") -> Taken:
    headers = frame_headers(metadata(sequence, run_id), "image/jpeg")
    return Taken("frames", 0, sequence, b"scope-1", data, headers, NOW_NS // 10**6)


def record(topic: TopicName, value: bytes, key: bytes = b"scope-1", live: bool = True) -> Taken:
    return Taken(topic, 0, 0, key, value, [], NOW_NS // 10**6, live)


def tracks(sequence: int, status: tuple[int, ...] = (1, 1)) -> Tracks:
    n = len(status)
    return Tracks(
        metadata=metadata(sequence),
        image_shape=(48, 64),
        track_ids=np.arange(1, n + 1),
        parent_ids=np.zeros(n, np.int64),
        generations=np.zeros(n, np.int32),
        centroids_px=np.full((n, 2), 5, np.float32),
        velocities_px=np.zeros((n, 2), np.float32),
        boxes_px=np.tile(np.array([1, 2, 11, 22.26], np.float32), (n, 1)),
        class_ids=np.zeros(n, np.int64),
        status=np.array(status, np.uint8),
        previous_status=np.array(status, np.uint8),
        detection_rows=np.arange(n),
        sightings=np.ones(n, np.int32),
        first_sequences=np.zeros(n, np.int64),
        last_sequences=np.full(n, sequence, np.int64),
        first_seen_ns=np.full(n, NOW_NS),
        last_seen_ns=np.full(n, NOW_NS),
        areas_px=np.full(n, 80, np.float32),
        relative_areas=np.ones(n, np.float32),
    )


def detections(sequence: int, n: int = 2) -> Detections:
    return Detections(
        metadata=metadata(sequence),
        image_shape=(48, 64),
        model=ModelIdentity("blood-smear", "abc", ("red", "white"), ("white",)),
        centroids_px=np.zeros((n, 2), np.float32),
        boxes_px=np.zeros((n, 4), np.float32),
        areas_px=np.zeros(n, np.float32),
        class_probabilities=np.tile(np.array([0.75, 0.25], np.float32), (n, 1)),
        foreground_fraction=0.5,
    )


def fed(*events: AnyEvent) -> CameraLive:
    camera = CameraLive("scope-1")
    for event in events:
        camera.add_event(event, 0.0)
    return camera
