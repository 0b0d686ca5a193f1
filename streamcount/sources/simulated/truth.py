"""The truth of a frame: which cells are in it, where, whose daughters, and what just happened to them.

Truth ids are for cells as the view shows them: a cell that leaves and comes back is a new one, for nobody who
sees only the view can know better.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamcount.sources.simulated.models import DEATH_MODES
from streamcount.types import Float32Array, Int64Array

if TYPE_CHECKING:
    from streamcount.sources.simulated.render import Footprint
    from streamcount.sources.simulated.world import CellArray, World

TruthKind: TypeAlias = Literal["entered", "divided", "born", "dying", "died", "left"]

# Shares of a cell in view from which it counts as there, and below which it is gone; the two differ so that
# a cell that trembles on the border does not get a new id each time.
ENTERS_AT, LEAVES_AT = 0.25, 0.10
# Nobody can see less than this many pixels.
SMALLEST_PX = 4


class TruthEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """What happened to cell `id` in a frame.

    kind: "entered" (came over the border), "divided" (the first frame in which the mother is gone and her
    daughters are there), "born" (one of them), "dying" (the first sign), "died" (the first frame without it),
    "left" (the first frame in which it is out of view).
    centroid_px: (y, x), the last known for what is gone. daughters: of a division, those in view.
    parent: of a birth. mode: of a death. onset: the frame in which a death began.
    """

    kind: TruthKind
    id: int
    sequence: int
    class_id: int
    centroid_px: tuple[float, float]
    daughters: tuple[int, ...] = ()
    parent: int = 0
    mode: str = ""
    onset: int = -1


class FrameTruth(msgspec.Struct, frozen=True, eq=False):
    """N cells in view, row i of each array being one cell.

    sequence: of the frame. class_names: what the class ids mean.
    ids: (N,) int64 from 1, never used twice in a run. parents: (N,) int64, the mother's id, 0 for none.
    class_ids: (N,) int64. phases: (N,) int64 of world.Phase (living, rounding, spreading, dying).
    centroids_px: (N, 2) float32 (y, x), and boxes_px: (N, 4) float32 half-open (y0, x0, y1, x1), of the mask.
    areas_px: (N,) float32, of the mask.
    labels: (H, W) uint16; cell of row i has the value i + 1, background 0, as in `Detections.labels`.
    world_ids: (N,) int64, the cells' numbers in the world, the same in each modality.
    odd: (N,) int64, 1 + its place in ODDITIES for a cell that is unlike its class, 0 for the others.
    """

    sequence: int
    class_names: tuple[str, ...]
    ids: Int64Array
    parents: Int64Array
    class_ids: Int64Array
    phases: Int64Array
    centroids_px: Float32Array
    boxes_px: Float32Array
    areas_px: Float32Array
    labels: NDArray[np.uint16]
    events: tuple[TruthEvent, ...]
    world_ids: Int64Array
    odd: Int64Array

    def __len__(self) -> int:
        return len(self.ids)

    def counts(self) -> dict[str, int]:
        """Cells in view per class name, zeros included."""
        numbers = np.bincount(self.class_ids, minlength=len(self.class_names))
        return {name: int(number) for name, number in zip(self.class_names, numbers, strict=True)}


class _Known(msgspec.Struct):
    """A cell in view: its id, its mother, and what was last seen of it."""

    id: int
    parent: int
    class_id: int
    centroid_px: tuple[float, float] = (0.0, 0.0)
    onset: int = -1
    mode: str = ""


class Census:
    """Gives ids to the cells in view and tells what happened to them; remembers only those in view."""

    def __init__(self, class_names: tuple[str, ...], shape: tuple[int, int]) -> None:
        self._class_names = class_names
        self._shape = shape
        self._known: dict[int, _Known] = {}
        self._next = 1

    def take(self, sequence: int, world: World, footprints: list[Footprint]) -> FrameTruth:
        """The truth of the frame of these footprints; frames must be taken in order."""
        numbers = world.cells["number"]
        before = self._known
        seen = [
            spot
            for spot in footprints
            if spot.area_px >= SMALLEST_PX
            and spot.share >= (LEAVES_AT if int(numbers[spot.row]) in before else ENTERS_AT)
        ]
        born, mothers = self._births(world, {int(numbers[spot.row]) for spot in seen})
        events: list[TruthEvent] = []
        now: dict[int, _Known] = {}
        for spot in seen:
            cell = world.cells[spot.row]
            number = int(cell["number"])
            now[number] = before.get(number) or self._welcome(int(cell["kind"]), born.get(number, 0))
        labels = _paint(seen, self._shape)
        truth = self._measure(sequence, world.cells, seen, labels, list(now.values()))
        for row, known in enumerate(now.values()):
            y, x = truth.centroids_px[row].tolist()
            known.centroid_px = (y, x)
        events += self._arrivals(sequence, now, before, born, mothers)
        events += self._fates(sequence, world, now, mothers)
        self._known = now
        return msgspec.structs.replace(truth, events=tuple(events))

    def _welcome(self, class_id: int, parent: int) -> _Known:
        known = _Known(self._next, parent, class_id)
        self._next += 1
        return known

    def _births(self, world: World, visible: set[int]) -> tuple[dict[int, int], dict[int, tuple[int, ...]]]:
        """Mother's id by daughter's number, and daughters in view by mother's number, of mothers in view."""
        born: dict[int, int] = {}
        mothers: dict[int, tuple[int, ...]] = {}
        for happening in world.happenings:
            mother = self._known.get(happening.number)
            if happening.what == "divided" and mother is not None:
                mothers[happening.number] = tuple(number for number in happening.others if number in visible)
                born.update(dict.fromkeys(mothers[happening.number], mother.id))
        return born, mothers

    def _arrivals(
        self,
        sequence: int,
        now: dict[int, _Known],
        before: dict[int, _Known],
        born: dict[int, int],
        mothers: dict[int, tuple[int, ...]],
    ) -> list[TruthEvent]:
        events = []
        for number, daughters in mothers.items():
            mother = before[number]
            ids = tuple(now[daughter].id for daughter in daughters)
            events.append(
                TruthEvent("divided", mother.id, sequence, mother.class_id, mother.centroid_px, daughters=ids)
            )
        for number, known in now.items():
            if number in before or (sequence == 0 and number not in born):
                continue
            kind: TruthKind = "born" if number in born else "entered"
            events.append(
                TruthEvent(kind, known.id, sequence, known.class_id, known.centroid_px, parent=known.parent)
            )
        return events

    def _fates(
        self, sequence: int, world: World, now: dict[int, _Known], mothers: dict[int, tuple[int, ...]]
    ) -> list[TruthEvent]:
        """Who began to die, who died, and who left; what happened out of view is not told."""
        events = []
        modes = dict(zip(world.cells["number"].tolist(), world.cells["death_mode"].tolist(), strict=True))
        died = {happening.number for happening in world.happenings if happening.what == "died"}
        for happening in world.happenings:
            known = now.get(happening.number)
            if happening.what == "dying" and known is not None:
                known.onset, known.mode = sequence, DEATH_MODES[modes[happening.number]]
                events.append(_event("dying", known, sequence))
        for number, known in self._known.items():
            if number in now or number in mothers:
                continue
            events.append(_event("died" if number in died else "left", known, sequence))
        return events

    def _measure(
        self,
        sequence: int,
        cells: CellArray,
        seen: list[Footprint],
        labels: NDArray[np.uint16],
        known: list[_Known],
    ) -> FrameTruth:
        rows = np.array([spot.row for spot in seen], np.int64)
        centroids, boxes, areas = measure_labels(labels, len(seen))
        return FrameTruth(
            sequence=sequence,
            class_names=self._class_names,
            ids=np.array([cell.id for cell in known], np.int64),
            parents=np.array([cell.parent for cell in known], np.int64),
            class_ids=cells["kind"][rows].astype(np.int64),
            phases=cells["phase"][rows].astype(np.int64),
            centroids_px=centroids,
            boxes_px=boxes,
            areas_px=areas,
            labels=labels,
            events=(),
            world_ids=cells["number"][rows].astype(np.int64),
            odd=cells["odd"][rows].astype(np.int64),
        )


def _event(kind: TruthKind, known: _Known, sequence: int) -> TruthEvent:
    mode, onset = (known.mode, known.onset) if kind in ("dying", "died") else ("", -1)
    return TruthEvent(kind, known.id, sequence, known.class_id, known.centroid_px, mode=mode, onset=onset)


def _paint(seen: list[Footprint], shape: tuple[int, int]) -> NDArray[np.uint16]:
    """Label image, small cells over large ones; a cell that others hide whole keeps its middle."""
    labels = np.zeros(shape, np.uint16)
    order = sorted(range(len(seen)), key=lambda index: (-seen[index].area_px, index))
    for index in order:
        _part(labels, seen[index])[seen[index].mask] = index + 1
    shown = np.bincount(labels.ravel(), minlength=len(seen) + 1)[1:]
    for index in np.flatnonzero(shown == 0).tolist():
        spot = seen[index]
        ys, xs = np.nonzero(spot.mask)
        middle = np.argsort(np.hypot(ys - ys.mean(), xs - xs.mean()), kind="stable")[:SMALLEST_PX]
        _part(labels, spot)[ys[middle], xs[middle]] = index + 1
    return labels


def _part(labels: NDArray[np.uint16], spot: Footprint) -> NDArray[np.uint16]:
    height, width = spot.mask.shape
    return labels[spot.y0 : spot.y0 + height, spot.x0 : spot.x0 + width]


def measure_labels(labels: NDArray[np.uint16], count: int) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Centroids (N, 2), half-open boxes (N, 4), areas (N,) of labels 1..count, float32, in pixels."""
    ys, xs = np.nonzero(labels)
    index = labels[ys, xs].astype(np.intp) - 1
    areas = np.bincount(index, minlength=count).astype(np.float64)
    safe = np.maximum(areas, 1)
    # A pixel covers half a pixel on either side of its index; its centre is at index + 0.5.
    middle_y = np.bincount(index, ys + 0.5, count) / safe
    middle_x = np.bincount(index, xs + 0.5, count) / safe
    low = np.full((2, count), max(labels.shape), np.int64)
    high = np.zeros((2, count), np.int64)
    for axis, values in enumerate((ys, xs)):
        np.minimum.at(low[axis], index, values)
        np.maximum.at(high[axis], index, values + 1)
    boxes = np.stack([low[0], low[1], high[0], high[1]], axis=1).astype(np.float32)
    return np.stack([middle_y, middle_x], axis=1).astype(np.float32), boxes, areas.astype(np.float32)
