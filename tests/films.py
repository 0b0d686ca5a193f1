"""Made-up films for tests: frames of discs drawn in code, and detections without any pixels."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.types import Detections, Frame, FrameMetadata, FramesMissing, ModelIdentity

MODEL = ModelIdentity("made-up", "0" * 64, ("round", "odd"), ("odd",))
SECOND_NS = 1_000_000_000


def metadata(sequence: int, run_id: str = "run-1", start_ns: int = 10 * SECOND_NS) -> FrameMetadata:
    return FrameMetadata(
        camera_id="cam", run_id=run_id, sequence=sequence, acquired_at_ns=start_ns + sequence * SECOND_NS
    )


def seen(
    sequence: int,
    centroids: Sequence[Sequence[float]] | NDArray[np.floating],
    *,
    diameter: Sequence[float] | NDArray[np.floating] | float = 20.0,
    odd: Sequence[float] | float = 0.1,
    shape: tuple[int, int] = (400, 400),
    run_id: str = "run-1",
    start_ns: int = 10 * SECOND_NS,
    model: ModelIdentity = MODEL,
) -> Detections:
    """Discs at these centroids; `odd` is the probability of the second class."""
    points = np.asarray(centroids, np.float32).reshape(-1, 2)
    diameters = np.broadcast_to(np.asarray(diameter, np.float32), (len(points),))
    half = diameters[:, None] / 2
    limits = np.array([*shape, *shape], np.float32)
    boxes = np.clip(np.concatenate([points - half, points + half], axis=1), 0, limits)
    share = np.broadcast_to(np.asarray(odd, np.float32), (len(points),))
    columns = [1 - share, share] + [np.zeros_like(share)] * (len(model.class_names) - 2)
    return Detections(
        metadata=metadata(sequence, run_id, start_ns),
        image_shape=shape,
        model=model,
        centroids_px=points,
        boxes_px=boxes.astype(np.float32),
        areas_px=(np.pi / 4 * diameters**2).astype(np.float32),
        class_probabilities=np.stack(columns[: len(model.class_names)], axis=1).astype(np.float32),
    )


def missing(first: int, last: int, reason: str = "dropped", run_id: str = "run-1") -> FramesMissing:
    meta = metadata(first, run_id)
    return FramesMissing(
        camera_id="cam",
        run_id=run_id,
        sequence=first,
        happened_at_ns=meta.acquired_at_ns,
        decided_at_ns=meta.acquired_at_ns,
        last_sequence=last,
        reason=reason,
    )


def wandering(frames: int, cells: int, seed: int, *, size: int = 400, miss: float = 0.05) -> list[Detections]:
    """Cells that wander, turn odd, leave, and are now and then not seen."""
    rng = np.random.default_rng(seed)
    places, speeds = rng.uniform(0, size, (cells, 2)), rng.normal(0, 2, (cells, 2))
    turning = rng.integers(0, 2 * frames, cells)
    film = []
    for sequence in range(frames):
        speeds = 0.9 * speeds + rng.normal(0, 0.8, (cells, 2))
        places = places + speeds
        there = ((places > 0) & (places < size)).all(axis=1) & (rng.random(cells) >= miss)
        odd = np.where(turning < sequence, 0.9, 0.1)[there]
        film.append(
            seen(sequence, places[there] + rng.normal(0, 0.3, (there.sum(), 2)), odd=odd, shape=(size, size))
        )
    return film


def living(frames: int, cells: int, seed: int, *, size: int = 600, miss: float = 0.02) -> list[Detections]:
    """Cells that creep, grow, divide, and shrink and die, and are now and then not seen."""
    rng = np.random.default_rng(seed)
    places, areas = rng.uniform(0, size, (cells, 2)), rng.uniform(300, 600, cells)
    due = rng.integers(4, 2 * frames, cells)
    dies = rng.random(cells) < 0.3
    film = []
    for sequence in range(frames):
        places = places + rng.normal(0, 0.5, places.shape)
        splits, shrinks = (due == sequence) & ~dies, (due <= sequence) & dies
        axes = rng.normal(size=(int(splits.sum()), 2))
        axes /= np.hypot(*axes.T)[:, None]
        arms = axes * 0.4 * np.sqrt(areas[splits] * 4 / np.pi)[:, None]
        born = np.concatenate([places[splits] + arms, places[splits] - arms])
        kept = ~splits & ~((due <= sequence - 5) & dies)
        areas = np.where(shrinks, areas * 0.8, areas * 1.01)
        places = np.concatenate([places[kept], born])
        areas = np.concatenate([areas[kept], np.tile(areas[splits] / 2, 2)])
        due = np.concatenate([due[kept], rng.integers(sequence + 12, 3 * frames, len(born))])
        dies = np.concatenate([dies[kept], rng.random(len(born)) < 0.3])
        there = ((places > 0) & (places < size)).all(axis=1) & (rng.random(len(places)) >= miss)
        diameters = np.sqrt(areas[there] * 4 / np.pi)
        film.append(seen(sequence, places[there], diameter=diameters, shape=(size, size)))
    return film


def discs(
    sequence: int,
    centres: Sequence[tuple[float, float]],
    *,
    radius: float = 12.0,
    shape: tuple[int, int] = (160, 200),
    grey: tuple[int, int] = (200, 90),
    noise: float = 3.0,
    dtype: type[np.uint8] | type[np.uint16] = np.uint8,
    colour: bool = False,
) -> Frame:
    """A frame with a disc at each centre (y, x), sub-pixel placed, with noise that depends on the frame only.

    grey: of the ground and of the discs.
    """
    background, ink = grey
    image = np.full(shape, background, np.uint8)
    for y, x in centres:
        # OpenCV takes fixed-point (x, y): four fractional bits.
        cv2.circle(image, (round(x * 16), round(y * 16)), round(radius * 16), ink, -1, cv2.LINE_AA, 4)
    noisy = image + np.random.default_rng(sequence).normal(0, noise, shape)
    pixels = np.clip(np.rint(noisy), 0, 255).astype(dtype)
    if dtype is np.uint16:
        pixels = (pixels * np.uint16(257)).astype(np.uint16)
    return Frame(np.repeat(pixels[..., None], 3, axis=2) if colour else pixels, metadata(sequence))
