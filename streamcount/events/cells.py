"""From tracks to events about cells: a pure function of this frame's tracks and of what was told before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamcount.events.abnormal import snapshot_name, unlike
from streamcount.events.borders import touched_edges
from streamcount.events.config import EventsConfig
from streamcount.events.fates import LEFT, LOST, fates
from streamcount.events.lifecycle import Meaning, meanings
from streamcount.events.memory import (
    NO_CLASS,
    CellMemory,
    aligned,
    keep_places,
    kept,
    settle_looks,
    with_classes,
)
from streamcount.events.population import Population
from streamcount.events.scene import Scene
from streamcount.types import (
    CellAbnormal,
    CellAppeared,
    CellDied,
    CellDivided,
    CellLeft,
    CellLost,
    Certainty,
    ClassChanged,
    Detections,
    ModelIdentity,
    Stage,
    Tracks,
    TrackStatus,
)

CellStory: TypeAlias = (
    CellAppeared | CellDivided | ClassChanged | CellAbnormal | CellDied | CellLeft | CellLost
)
CERTAINTIES: dict[int, Certainty] = {
    Stage.PROVISIONAL: "provisional",
    Stage.CONFIRMED: "confirmed",
    Stage.RETRACTED: "retracted",
}


@dataclass(frozen=True)
class _Scene(Scene):
    """What the makers of the single events need. `memory` is the frame's own copy and is written to."""

    config: EventsConfig

    def told_among(self, chosen: tuple[str, ...]) -> NDArray[np.bool_]:
        """(N,) whether the class last told of each cell is one of these."""
        # The last entry is what NO_CLASS looks up.
        wanted = np.array([name in chosen for name in self.model.class_names] + [False])
        return np.asarray(wanted[self.memory.told_classes])


def cell_events(
    memory: CellMemory,
    tracks: Tracks,
    model: ModelIdentity,
    first_sequence: int,
    config: EventsConfig,
    detections: Detections | None = None,
) -> tuple[CellMemory, tuple[CellStory, ...]]:
    """What happened to the cells in this frame, and what to remember of it.

    Only confirmed cells are told of. Events come in the order appeared, divided, turned, abnormal, dead, gone, each
    by track id. first_sequence: the first frame of the run that was looked at; cells that it shows did not
    enter. detections: those that the tracks were made of, with all that is wrong with the picture; where anything
    is, or without them, no cell is judged by its looks. Raises StreamcountError where a track changes its status in
    a way that the lifecycle does not have.
    """
    what = meanings(tracks.previous_status, tracks.status)
    copy, known = aligned(with_classes(memory, model.class_names), tracks.track_ids)
    scene = _Scene(tracks, copy, model, config)
    new = np.flatnonzero(~known)
    keep_places(copy, tracks, new)

    appearing = np.flatnonzero(what == Meaning.APPEARS)
    events: list[CellStory] = _appeared(scene, appearing, first_sequence) if len(appearing) else []
    events += _divided(scene)
    seen = tracks.seen
    events += _turned(scene, seen)
    events += _abnormal(scene, seen, detections)
    population = copy.population
    looked_at = config.abnormal_deviations or config.unsure_below
    if detections is not None and not detections.quality and looked_at:
        population, unusual = _unlike(scene, seen, detections)
        events += unusual
    events += _told_dead(scene, seen)
    going = what == Meaning.GOES
    # A division that was none, of a mother who ended with it: there is no one left to divide.
    undone = tracks.divisions.mother_ids[tracks.divisions.stages == Stage.RETRACTED]
    if len(undone):
        going |= (what == Meaning.DIVIDES) & np.isin(tracks.track_ids, undone)
    events += _gone(scene, np.flatnonzero(going)) if going.any() else []

    keep_places(copy, tracks, np.flatnonzero(seen))
    settle_looks(copy)
    copy = msgspec.structs.replace(copy, population=population)
    return kept(copy, np.flatnonzero(tracks.status != TrackStatus.ENDED)), tuple(events)


def _appeared(scene: _Scene, rows: NDArray[np.intp], first_sequence: int) -> list[CellStory]:
    tracks, memory = scene.tracks, scene.memory
    memory.told_classes[rows] = tracks.class_ids[rows]
    at_edge = touched_edges(memory.boxes_px[rows], tracks.image_shape, scene.config.border_margin_px).any(
        axis=1
    )
    entered = at_edge & (tracks.first_sequences[rows] != first_sequence)
    return [
        CellAppeared(entered=bool(came), **scene.said(row, int(tracks.class_ids[row]), first=True))
        for row, came in zip(rows.tolist(), entered, strict=True)
    ]


def _divided(scene: _Scene) -> list[CellStory]:
    tracks, divisions = scene.tracks, scene.tracks.divisions
    events: list[CellStory] = []
    mothers = np.searchsorted(tracks.track_ids, divisions.mother_ids)
    daughters = np.searchsorted(tracks.track_ids, divisions.daughter_ids)
    for row, (first, second), stage in zip(
        mothers.tolist(), daughters.tolist(), divisions.stages.tolist(), strict=True
    ):
        said = scene.said(row, scene.told_class(row), last=True)
        said["sequence"], said["happened_at_ns"] = (
            int(tracks.first_sequences[first]),
            int(tracks.first_seen_ns[first]),
        )
        ids = (int(tracks.track_ids[first]), int(tracks.track_ids[second]))
        events.append(CellDivided(daughter_ids=ids, certainty=CERTAINTIES[stage], **said))
    return events


def _turned(scene: _Scene, seen: NDArray[np.bool_]) -> list[CellStory]:
    """Cells whose class is another one, and has been so for some sightings: flicker is not told."""
    memory, now = scene.memory, scene.tracks.class_ids.astype(np.int32)
    # After a change of model the told class may be unknown; the cell itself did not turn.
    untold = seen & (memory.told_classes == NO_CLASS)
    memory.told_classes[untold] = now[untold]
    other = seen & (now != memory.told_classes)
    same_other = other & (now == memory.other_classes)
    memory.other_frames[seen] = np.where(other, np.where(same_other, memory.other_frames + 1, 1), 0)[seen]
    memory.other_classes[seen] = np.where(other, now, NO_CLASS)[seen]
    rows = np.flatnonzero(other & (memory.other_frames >= scene.config.class_hold_frames))
    names = scene.model.class_names
    events: list[CellStory] = [
        ClassChanged(previous_class_name=names[memory.told_classes[row]], **scene.said(row, int(now[row])))
        for row in rows.tolist()
    ]
    memory.told_classes[rows] = now[rows]
    memory.other_classes[rows] = NO_CLASS
    memory.other_frames[rows] = 0
    return events


def _abnormal(scene: _Scene, seen: NDArray[np.bool_], detections: Detections | None) -> list[CellStory]:
    """Cells told to be of an abnormal class; each is told of once."""
    memory = scene.memory
    rows = np.flatnonzero(seen & scene.told_among(scene.model.abnormal) & ~memory.abnormal_told)
    memory.abnormal_told[rows] = True
    scores = np.zeros(len(rows))
    if detections is not None:
        found = scene.tracks.detection_rows[rows]
        scores = detections.class_probabilities[found, memory.told_classes[rows]].astype(np.float64)
    return [
        _told_abnormal(scene, row, "class", score)
        for row, score in zip(rows.tolist(), scores.tolist(), strict=True)
    ]


def _unlike(
    scene: _Scene, seen: NDArray[np.bool_], detections: Detections
) -> tuple[Population, list[CellStory]]:
    """What is usual from now on, and cells that are not, or that the model cannot name. The dead are not judged."""
    judged = seen & ~scene.told_among(scene.model.dead)
    population, findings = unlike(scene.memory, scene.tracks, detections, judged, scene.config)
    return population, [
        _told_abnormal(scene, one.row, one.reason, score=one.score, explanation=one.explanation)
        for one in findings
    ]


def _told_abnormal(
    scene: _Scene, row: int, reason: str, score: float = 0.0, explanation: str = ""
) -> CellAbnormal:
    snapshot = snapshot_name(scene.tracks.metadata, int(scene.tracks.track_ids[row]), reason)
    return CellAbnormal(
        reason=reason,
        score=score,
        explanation=explanation,
        snapshot=snapshot,
        **scene.said(row, int(scene.memory.told_classes[row])),
    )


def _told_dead(scene: _Scene, seen: NDArray[np.bool_]) -> list[CellStory]:
    """Cells whose class has turned to one of the dead. One that was dead when it appeared did not die in view."""
    memory, dead = scene.memory, scene.told_among(scene.model.dead)
    rows = np.flatnonzero(seen & dead & ~memory.dead_told)
    memory.dead_told[rows] = True
    died = rows[memory.alive_told[rows]]
    memory.alive_told[seen & ~dead] = True
    return [
        CellDied(reason="class", **scene.said(row, int(memory.told_classes[row]))) for row in died.tolist()
    ]


def _gone(scene: _Scene, rows: NDArray[np.intp]) -> list[CellStory]:
    """Confirmed cells whose track is over: left where the edge explains it, dead where they showed it, else lost."""
    told = fates(scene.tracks, scene.memory.boxes_px, rows, scene.config)
    events: list[CellStory] = []
    for row, fate in zip(rows.tolist(), told, strict=True):
        said = scene.said(row, scene.told_class(row), last=True)
        if fate == LEFT:
            events.append(CellLeft(**said))
        elif fate == LOST or scene.memory.dead_told[row]:
            events.append(CellLost(**said))
        else:
            events.append(CellDied(reason=fate, **said))
    return events
