"""Zones and lines of a camera in pixels, ready to be asked which cells are where."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamcount.errors import ConfigurationError
from streamcount.events.places.config import (
    DEFAULT_HYSTERESIS_DIAMETERS,
    LineConfig,
    PlacesConfig,
    ZoneConfig,
)
from streamcount.events.places.geometry import (
    BoolArray,
    Float64Array,
    changing_sides,
    clipped_area,
    closed_edges,
    distances,
    open_segments,
    signed_crossings,
    upward,
    within,
)
from streamcount.types import Detections, Float32Array, Int64Array

# Centroids are often whole or half pixels. A line a hair beside what is drawn never has one in its very bend.
OFF_GRID_PX = (1.41421e-6, 1.73205e-6)


@dataclass(frozen=True)
class Place:
    """A zone or line in pixels. outline: (S, 2, 2), its segments. classes: whom it is for, () for all."""

    name: str
    points_px: Float64Array
    outline: Float64Array
    classes: tuple[str, ...]
    hysteresis_px: float | None
    hysteresis_diameters: float

    def wanted(self, class_names: tuple[str, ...]) -> BoolArray:
        """(C + 1,) whether the place is for cells of each class; the last is for those of none."""
        return np.array([not self.classes or name in self.classes for name in (*class_names, "")])


class Outlines:
    """The outlines of K places, all with as many segments: shorter ones have their last one again and again."""

    def __init__(self, places: Sequence[Place]) -> None:
        longest = max((len(place.outline) for place in places), default=0)
        self._segments = np.zeros((len(places), longest, 2, 2))
        for row, place in zip(self._segments, places, strict=True):
            row[: len(place.outline)] = place.outline
            row[len(place.outline) :] = place.outline[-1]
        self._told_px = np.array([place.hysteresis_px or 0.0 for place in places], np.float64)
        self._diameters = np.array(
            [0.0 if place.hysteresis_px is not None else place.hysteresis_diameters for place in places]
        )

    def passed(self, places: NDArray[np.intp], points_px: Float64Array, areas_px: Float32Array) -> BoolArray:
        """(N,) whether points (N, 2) are farther from their places' (N,) outlines than the hysteresis.

        areas_px: (N,), the cells'.
        """
        diameters = np.sqrt(4 / np.pi * np.maximum(areas_px.astype(np.float64), 0.0))
        limits = self._told_px[places] + self._diameters[places] * diameters
        return np.asarray(distances(points_px, self._segments[places]) > limits)


class PlacesMap:
    """Z zones and L lines, in the order of their names. Made by `places_map`; never changed.

    fingerprint: another one wherever anything of them is otherwise.
    """

    def __init__(self, config: PlacesConfig, pixel_size_um: float | None) -> None:
        self._um = pixel_size_um
        zones, lines = sorted(config.zones.items()), sorted(config.lines.items())
        self.zones = tuple(_place(name, zone, self._px(f"zones.{name}", zone)) for name, zone in zones)
        self.lines = tuple(_place(name, line, self._px(f"lines.{name}", line)) for name, line in lines)
        self.zone_outlines, self.line_outlines = Outlines(self.zones), Outlines(self.lines)
        self._bent = [line.points_px + OFF_GRID_PX for line in self.lines]
        segments = [open_segments(points) for points in self._bent]
        self._segments: Float64Array = np.concatenate(segments) if segments else np.empty((0, 2, 2))
        self._by_corner = np.array([zone.edges == "haemocytometer" for _, zone in zones], np.bool_)
        lengths = [len(zone.outline) for zone in self.zones]
        self._starts = np.cumsum([0, *lengths[:-1]]) if lengths else np.empty(0, np.intp)
        outlines = [upward(zone.outline) for zone in self.zones]
        self._edges: Float64Array = np.concatenate(outlines) if outlines else np.empty((0, 2, 2))
        # Each frame asks, and the shape hardly ever changes.
        self._areas_px = lru_cache(maxsize=4)(self._clipped_areas)
        self.fingerprint = _fingerprint(self)

    @property
    def zone_names(self) -> tuple[str, ...]:
        """(Z,), the columns of what tells of zones."""
        return tuple(zone.name for zone in self.zones)

    @property
    def line_names(self) -> tuple[str, ...]:
        """(L,)."""
        return tuple(line.name for line in self.lines)

    def points_of(
        self, zones: NDArray[np.intp], centroids_px: Float32Array, boxes_px: Float32Array
    ) -> Float64Array:
        """(N, 2), the point of each cell that must be in its zone (N,): its centroid, or its box's lower right."""
        by_corner = self._by_corner[zones][:, None]
        return np.where(by_corner, boxes_px[:, 2:], centroids_px).astype(np.float64)

    def zones_of(self, centroids_px: Float32Array, boxes_px: Float32Array) -> BoolArray:
        """(N, Z) whether cells are in the zones now, of whatever class. centroids_px: (N, 2). boxes_px: (N, 4)."""
        inside = within(centroids_px.astype(np.float64), self._edges, self._starts)
        if self._by_corner.any():
            by_corner = within(boxes_px[:, 2:].astype(np.float64), self._edges, self._starts)
            inside = np.where(self._by_corner, by_corner, inside)
        return inside

    def of_classes(self, inside: BoolArray, class_ids: Int64Array, class_names: tuple[str, ...]) -> BoolArray:
        """(N, Z) which of the cells that lie in zones (N, Z) are of a class that the zone is for. class_ids: (N,)."""
        wanted = inside.copy()
        for column, zone in enumerate(self.zones):
            if zone.classes:
                wanted[:, column] &= zone.wanted(class_names)[class_ids]
        return wanted

    def detected(self, detections: Detections) -> BoolArray:
        """(N, Z) whether each detection is in each zone and of a class that the zone is for."""
        inside = self.zones_of(detections.centroids_px, detections.boxes_px)
        return self.of_classes(inside, detections.class_ids, detections.model.class_names)

    def crossings(self, befores_px: Float32Array, afters_px: Float32Array) -> NDArray[np.int64]:
        """(N, L) how often straight ways (N, 2) to (N, 2) cross each line forward, less backward."""
        befores, afters = befores_px.astype(np.float64), afters_px.astype(np.float64)
        found = np.zeros((len(befores), len(self.lines)), np.int64)
        rows = changing_sides(befores, afters, self._segments)
        if len(rows):
            for column, points in enumerate(self._bent):
                found[rows, column] = signed_crossings(befores[rows], afters[rows], points)
        return found

    def areas_px(self, image_shape: tuple[int, int]) -> Float64Array:
        """(Z,) area of each zone within an image of (height, width), square pixels; 0 outside it."""
        return self._areas_px(image_shape)

    def _clipped_areas(self, image_shape: tuple[int, int]) -> Float64Array:
        return np.array([clipped_area(zone.points_px, image_shape) for zone in self.zones], np.float64)

    def _px(self, key: str, config: ZoneConfig | LineConfig) -> Float64Array:
        points: Float64Array = np.array(config.points, np.float64)
        if config.points_um is None:
            return points
        if self._um is None:
            raise ConfigurationError(
                f"{key}.points_um is drawn in µm, but the size of a pixel is not known; "
                "set the camera's pixel_size_um, or draw it as points_px"
            )
        return points / self._um


def places_map(config: PlacesConfig, pixel_size_um: float | None = None) -> PlacesMap:
    """The places in pixels. To be made once for a camera, and again where the size of its pixels changes.

    pixel_size_um: edge of a pixel in the specimen, µm; None if unknown. Raises ConfigurationError where it is needed.
    """
    return PlacesMap(config, pixel_size_um)


def _place(name: str, config: ZoneConfig | LineConfig, points_px: Float64Array) -> Place:
    segments = closed_edges if isinstance(config, ZoneConfig) else open_segments
    diameters = config.hysteresis_diameters
    return Place(
        name=name,
        points_px=points_px,
        outline=segments(points_px),
        classes=config.classes,
        hysteresis_px=config.hysteresis_px,
        hysteresis_diameters=DEFAULT_HYSTERESIS_DIAMETERS if diameters is None else diameters,
    )


def _fingerprint(places: PlacesMap) -> str:
    parts = [
        [(p.name, p.points_px.tolist(), p.classes, p.hysteresis_px, p.hysteresis_diameters) for p in every]
        for every in (places.zones, places.lines)
    ]
    told = msgspec.json.encode([*parts, places._by_corner.tolist()])
    return hashlib.sha256(told).hexdigest()[:16]
