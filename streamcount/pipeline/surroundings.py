"""What windows are told of zones and lines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamcount.events.places import PlacesMap
from streamcount.types import AnyEvent, CellEvent, Detections
from streamcount.windows import BoolArray, Surroundings


def surroundings(
    places: PlacesMap,
    detections: Detections,
    found: BoolArray,
    inside: BoolArray,
    events: Sequence[AnyEvent],
) -> Surroundings | None:
    """Which detections, tracks and events lie in which zone; None without zones and lines.

    found: (N, Z), the detections, of whatever class. inside: (M, Z), the tracks. An event lies where its cell was, if
    the zone is for its class.
    """
    if not places.zones and not places.lines:
        return None
    names = detections.model.class_names
    of_cells = [row for row, event in enumerate(events) if isinstance(event, CellEvent)]
    told = [event for event in events if isinstance(event, CellEvent)]
    rows = np.zeros((len(events), len(places.zones)), np.bool_)
    if told:
        there = places.zones_of(
            np.array([event.centroid_px for event in told], np.float32),
            np.array([event.box_px for event in told], np.float32),
        )
        classes = np.array([names.index(event.class_name) for event in told])
        rows[of_cells] = places.of_classes(there, classes, names)
    return Surroundings(
        zones=places.zone_names,
        lines=places.line_names,
        drawn=places.fingerprint,
        zone_areas_px=places.areas_px(detections.image_shape),
        detections=places.of_classes(found, detections.class_ids, names),
        tracks=inside,
        events=rows,
    )
