"""A run as two tables, of sightings and of tracks: Parquet, or CSV that needs no further package."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from streamcount.errors import ConfigurationError
from streamcount.lineage.model import Lineage, families
from streamcount.sinks.files import write_whole
from streamcount.sinks.tables import Columns, Kind, check_parquet, csv_bytes, parquet_bytes

SUFFIXES = (".parquet", ".csv")
KINDS: dict[str, Kind] = {
    "daughter_ids": "integers",
    **dict.fromkeys(("y_px", "x_px", "area_px"), "real"),
    **dict.fromkeys(("birth", "fate", "reason", "class"), "text"),
}


def write_tables(lineage: Lineage, path: Path) -> tuple[Path, Path]:
    """Write the sightings to `path` and the tracks beside it, NAME.tracks.SUFFIX; gives both paths.

    Raises ConfigurationError for another suffix than .parquet or .csv, where pyarrow is not installed, and where the
    files cannot be written.
    """
    check_table(path)
    beside = path.with_name(f"{path.stem}.tracks{path.suffix}")
    for place, columns in ((path, point_columns(lineage)), (beside, track_columns(lineage))):
        packed = csv_bytes(columns) if path.suffix.lower() == ".csv" else parquet_bytes(columns, KINDS)
        write_whole(place, packed)
    return path, beside


def check_table(path: Path) -> None:
    """Raises ConfigurationError where the name is of no table, or what it needs is not installed."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigurationError(f"{path}: a table is .parquet or .csv; name it so")
    if suffix == ".parquet":
        check_parquet()


def point_columns(lineage: Lineage) -> Columns:
    """A row a sighting: track_id, root_id (its first ancestor), frame, time_ns, y_px, x_px, area_px, class."""
    points = lineage.points
    roots = _roots(lineage)
    names = [*lineage.class_names, None]
    return {
        "track_id": points.track_ids.tolist(),
        "root_id": [roots[track_id] for track_id in points.track_ids.tolist()],
        "frame": points.sequences.tolist(),
        "time_ns": [None] * len(points) if not lineage.has_times else points.times_ns.tolist(),
        # Three decimals of what float32 has, or 12.3 becomes 12.300000190734863.
        "y_px": np.round(points.centroids_px[:, 0].astype(np.float64), 3).tolist(),
        "x_px": np.round(points.centroids_px[:, 1].astype(np.float64), 3).tolist(),
        "area_px": [
            None if np.isnan(area) else round(area, 1) for area in points.areas_px.astype(np.float64).tolist()
        ],
        "class": [names[number] for number in points.class_ids.tolist()],
    }


def track_columns(lineage: Lineage) -> Columns:
    """A row a track, with what `Track` has, and its root_id."""
    roots = _roots(lineage)
    rows = lineage.tracks
    timed = lineage.has_times
    return {
        "track_id": [track.track_id for track in rows],
        "parent_id": [track.parent_id for track in rows],
        "root_id": [roots[track.track_id] for track in rows],
        "generation": [track.generation for track in rows],
        "daughter_ids": [list(track.daughter_ids) for track in rows],
        "first_frame": [track.first_sequence for track in rows],
        "last_frame": [track.last_sequence for track in rows],
        "first_time_ns": [track.first_seen_ns if timed else None for track in rows],
        "last_time_ns": [track.last_seen_ns if timed else None for track in rows],
        "birth": [track.birth for track in rows],
        "fate": [track.fate for track in rows],
        "fate_frame": [track.fate_sequence for track in rows],
        "reason": [track.reason for track in rows],
        "class": [track.class_name or None for track in rows],
        "sightings": [track.sightings for track in rows],
    }


def _roots(lineage: Lineage) -> dict[int, int]:
    return {track.track_id: family.root.track_id for family in families(lineage) for track in family.tracks}
