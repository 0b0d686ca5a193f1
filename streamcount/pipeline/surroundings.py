"""What windows are told of zones and lines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamcount.events.places import PlacesMap
from streamcount.types import AnyEvent, CellEvent, Detections
from streamcount.windows import BoolArray, Surroundings


def surroundings(
    places: PlacesMap, detections: Detections, inside: BoolArray, events: Sequence[AnyEvent]
) -> Surroundings | None:
    """Which detections, tracks and events lie in which zone; None without zones and lines.

    inside: (M, Z), the tracks. An event lies where its cell was, if the zone is for its class.
    """
    if not places.zones and not places.lines:
        return None
    of_cells = [row for row, event in enumerate(events) if isinstance(event, CellEvent)]
    told = [event for event in events if isinstance(event, CellEvent)]
    rows = np.zeros((len(events), len(places.zones)), np.bool_)
    if told:
        rows[of_cells] = places.zones_of(
            np.array([event.centroid_px for event in told], np.float32),
            np.array([event.box_px for event in told], np.float32),
        )
        names = detections.model.class_names
        classes = [names.index(event.class_name) for event in told]
        for column, zone in enumerate(places.zones):
            rows[of_cells, column] &= zone.wanted(names)[classes]
    return Surroundings(
        zones=places.zone_names,
        lines=places.line_names,
        drawn=places.fingerprint,
        zone_areas_px=places.areas_px(detections.image_shape),
        detections=places.detected(detections),
        tracks=inside,
        events=rows,
    )
