"""A run from a folder in the form of the Cell Tracking Challenge: results, or truth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcount.detection.regions import measure
from streamcount.errors import SourceError
from streamcount.lineage.model import Birth, Divisions, Fate, Lineage, Points, Shown, Track, joined
from streamcount.scoring.film import Side, read_mask
from streamcount.scoring.folders import RESULT_TABLE, TRUTH_TABLE, masks_in
from streamcount.scoring.lives import Life, Lives, lives_of
from streamcount.scoring.tables import BEGIN, END, LABEL, read_table

# The masks that belong to a table, by the table's name.
_MASKS = {RESULT_TABLE: "mask", TRUTH_TABLE: "man_track"}
CLASS_NAME = "cell"


def find_table(folder: Path) -> Path | None:
    """The table of tracks in a folder, or in TRA within it; None where there is none."""
    places = (folder / RESULT_TABLE, folder / TRUTH_TABLE, folder / "TRA" / TRUTH_TABLE)
    return next((place for place in places if place.is_file()), None)


def read_folder(
    folder: Path,
    start: Callable[[int], None] = lambda frames: None,
    tick: Callable[[], None] = lambda: None,
) -> Lineage:
    """The run in a folder with res_track.txt or man_track.txt, and masks if there are any.

    A line whose parent has no other child is its parent going on after a gap, as in `streamcount score`. The form
    tells neither times nor classes nor how a track ended: its fate is "ended" unless it divided or the run did end.
    Without masks there are tracks, but no points. start: told how many masks there are. tick: called after each.
    Raises SourceError.
    """
    place = find_table(folder)
    if place is None:
        raise SourceError(
            f"{folder}: holds neither {RESULT_TABLE} nor {TRUTH_TABLE}; name a folder that "
            "`streamcount count --track --ctc` wrote, or a truth such as 01_GT"
        )
    table = read_table(place)
    masks = masks_in(place.parent, _MASKS[place.name])
    # Which cells touch the edge says nothing certain of where they went, so it is not looked at.
    lives = lives_of(Side(table, [frozenset()] * (int(table[:, END].max()) + 1)))
    start(len(masks))
    shape: tuple[int, int] | None = None
    blocks = []
    for sequence, path in sorted(masks.items()):
        mask = read_mask(path)
        shape = (mask.shape[0], mask.shape[1])
        blocks.append(_points(path, mask, sequence, lives))
        tick()
    sequences = sorted(masks) or list(range(int(table[:, BEGIN].min()), int(table[:, END].max()) + 1))
    return Lineage(
        name=folder.resolve().name,
        tracks=tuple(_tracks(lives, table, sequences)),
        points=joined(blocks),
        class_names=(CLASS_NAME,),
        frames=tuple(Shown(sequence, 0, mask=masks.get(sequence)) for sequence in sequences),
        divisions=Divisions(confirmed=len(lives.divisions())),
        image_shape=shape,
        has_times=False,
    )


def _points(path: Path, mask: NDArray[np.integer[Any]], sequence: int, lives: Lives) -> Points:
    regions = measure(mask.astype(np.uint16), min_area=1, max_area=float(mask.size))
    labels = np.flatnonzero(np.bincount(mask.ravel()))
    labels = labels[labels > 0]
    number = len(labels)
    for label in labels.tolist():
        if label not in lives.by_label:
            raise SourceError(f"{path}: shows label {label}, which the table of tracks does not have")
    ids = [lives.lives[lives.by_label[label]].label for label in labels.tolist()]
    return Points(
        track_ids=np.array(ids, np.int64),
        sequences=np.full(number, sequence, np.int64),
        times_ns=np.zeros(number, np.int64),
        centroids_px=regions.centroids.astype(np.float32),
        areas_px=regions.areas.astype(np.float32),
        class_ids=np.zeros(number, np.int64),
        rows=labels.astype(np.int64) - 1,
    )


def _tracks(lives: Lives, table: NDArray[np.int64], sequences: list[int]) -> list[Track]:
    sightings = np.zeros(len(lives.lives), np.int64)
    for row in table.tolist():
        sightings[lives.by_label[row[LABEL]]] += row[END] - row[BEGIN] + 1
    generations: dict[int, int] = {}
    tracks = []
    # Mothers come before daughters: lives are in order of their beginnings.
    for number, life in enumerate(lives.lives):
        generations[number] = 0 if life.parent is None else generations[life.parent] + 1
        fate, fate_sequence = _fate(life, sequences[-1])
        tracks.append(
            Track(
                track_id=life.label,
                parent_id=0 if life.parent is None else lives.lives[life.parent].label,
                generation=generations[number],
                daughter_ids=tuple(sorted(lives.lives[one].label for one in life.daughters)),
                first_sequence=life.begin,
                last_sequence=life.end,
                first_seen_ns=0,
                last_seen_ns=0,
                birth=_birth(life, sequences[0]),
                fate=fate,
                fate_sequence=fate_sequence,
                reason="",
                class_name=CLASS_NAME,
                sightings=int(sightings[number]),
            )
        )
    return sorted(tracks, key=lambda track: track.track_id)


def _birth(life: Life, first: int) -> Birth:
    if life.parent is not None:
        return "divided"
    return "at-start" if life.begin <= first else "appeared"


def _fate(life: Life, last: int) -> tuple[Fate, int]:
    if life.daughters:
        return "divided", life.end + 1
    return ("at-end" if life.end >= last else "ended"), life.end
