"""Whether what a net gives at a cell tells better that the cell is none of its kind than its probability does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from streamcount.detection.postprocess import STRIDE_PX
from streamcount.detection.scale import Look
from streamcount.detection.tflite import TfliteConfig, TfliteDetector
from streamcount.sources.images import read_image
from streamcount.types import Frame, FrameMetadata

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
MODEL = "blood-smear"
# What the net learned from, what it was made for and did not learn from, another lab's, and what it is not for; with
# every so many-th image.
KINDS = {
    "learned": ("txl_pbc/train/**/*.[jp][pn]g", 5),
    "usual": ("txl_pbc/val/**/*.[jp][pn]g", 1),
    "another lab's smears": ("chula_rbc12/images/*.jpg", 5),
    "haemocytometer": ("ldc_live_dead/**/*.[jp][pn]g", 12),
    "nuclei": ("dsb2018_fluo/images/*", 6),
    "adherent cells": ("usiigaci/*_raw8.png", 2),
}
FALSE_ALARMS = 1e-3  # of usual cells
MARGIN_PX = 8
LOOKS = 8


@dataclass(frozen=True)
class Looks:
    """N whole cells: what the maps say of each (N, 8), its class and its calibrated probability."""

    maps: NDArray[np.float64]
    class_ids: NDArray[np.int64]
    chances: NDArray[np.float64]


def run(console: Console) -> None:
    """Prints how well scores of novelty set strange cells apart, beside the calibrated probability."""
    found = {kind: _looks(*where) for kind, where in KINDS.items()}
    if not len(found["learned"].maps) or not len(found["usual"].maps):
        console.print(f"no smears in {DATA}: nothing is told of novelty")
        return
    scores = {kind: _scores(found["learned"], cells) for kind, cells in found.items()}
    usual = scores["usual"]
    title = (
        f"{MODEL}, {len(found['usual'].maps)} usual cells: AUC, and the share told at 1 false alarm in 1,000"
    )
    table = Table("cells that it finds in", "found", *usual, title=title)
    for kind in list(KINDS)[2:]:
        mine = scores[kind]
        cells = [
            f"{_auc(usual[name], mine[name]):.2f}, {_told(usual[name], mine[name]):.3f}" for name in usual
        ]
        table.add_row(kind, str(len(found[kind].maps)), *cells)
    console.print(table)


class _Watched(TfliteDetector):
    """Keeps the look that was believed."""

    last: Look

    @property
    def limits(self) -> NDArray[np.float32]:
        """(C,) the thresholds."""
        return self._thresholds

    def _found(self, frame: Frame, seen: Look, *, labels: bool):  # type: ignore[no-untyped-def]
        self.last = seen
        return super()._found(frame, seen, labels=labels)


def _looks(pattern: str, every: int) -> Looks:
    detector = _Watched(TfliteConfig(model=MODEL))
    maps, class_ids, chances = [np.empty((0, LOOKS))], [np.empty(0, np.int64)], [np.empty(0)]
    for image in _images(pattern, every):
        detector.detect(
            Frame(image, FrameMetadata(camera_id="bench", run_id="r", sequence=0, acquired_at_ns=0))
        )
        seen = detector.last
        boxes, limits = seen.cells.boxes_px, np.array(seen.shape_px) - MARGIN_PX
        whole = (boxes[:, :2] > MARGIN_PX).all(axis=1) & (boxes[:, 2:] < limits).all(axis=1)
        cells = seen.cells.take(whole & (seen.cells.scores >= detector.limits[seen.cells.class_ids]))
        rows = zip(cells.boxes_px, cells.centres_px, cells.class_ids.tolist(), strict=True)
        maps.append(np.array([_look_at(seen, *row) for row in rows]).reshape(-1, LOOKS))
        class_ids.append(cells.class_ids)
        chances.append(cells.scores.astype(np.float64))
    return Looks(np.concatenate(maps), np.concatenate(class_ids), np.concatenate(chances))


def _images(pattern: str, every: int) -> Iterator[NDArray[np.uint8]]:
    for path in sorted(DATA.glob(pattern))[::every]:
        image = np.asarray(read_image(path), np.uint8)
        yield np.ascontiguousarray(image[..., :3] if image.ndim == 3 and image.shape[2] > 2 else image)


def _look_at(seen: Look, box: NDArray[np.float32], centre: NDArray[np.float32], class_id: int) -> list[float]:
    """What the maps say of one cell.

    Log odds of its class, of the next one and of being cell in its middle; how much of its box is cell; logs of its
    sides in px; how far its votes miss, in map cells; how far the peak stands out, in log odds.
    """
    maps = seen.maps
    (top, left), (bottom, right) = np.floor(box[:2] / STRIDE_PX), np.ceil(box[2:] / STRIDE_PX)
    rows, columns = (axis.ravel() for axis in np.mgrid[int(top) : int(bottom), int(left) : int(right)])
    places = rows * maps.centre.raw.shape[1] + columns
    odds = _log_odds(maps.centre.of_cells(places))
    best = odds.max(axis=0)
    solid = maps.foreground.of_cells(places)[:, 0].astype(np.float64)
    away = np.stack([rows, columns], axis=1) - centre / STRIDE_PX
    middle = solid[np.hypot(*(away + 0.5).T).argmin()]
    miss = np.hypot(*(away + maps.offset.of_cells(places)).T)
    height, width = np.log(np.maximum(box[2:] - box[:2], 1)).tolist()
    return [
        float(best[class_id]),
        float(np.delete(best, class_id).max()),
        float(_log_odds(middle)),
        float(solid.mean()),
        height,
        width,
        float(np.average(miss, weights=solid + 1e-3)),
        float(best[class_id] - odds[:, class_id].mean()),
    ]


def _log_odds(chances: NDArray[np.floating]) -> NDArray[np.float64]:
    chances = np.clip(np.asarray(chances, np.float64), 1e-3, 1 - 1e-3)
    return np.asarray(np.log(chances / (1 - chances)))


def _scores(learned: Looks, cells: Looks) -> dict[str, NDArray[np.float64]]:
    """(N,) of each score, higher for stranger cells: the energy of Liu et al. (arXiv 2010.03759) as the sum over
    classes, and the distance of Lee et al. (arXiv 1807.03888) from what the net's own cells of that class gave."""
    away = np.zeros(len(cells.maps))
    for class_id in np.unique(cells.class_ids):
        own, mine = learned.maps[learned.class_ids == class_id], cells.class_ids == class_id
        centred = cells.maps[mine] - np.median(own, axis=0)
        away[mine] = np.einsum("ij,jk,ik->i", centred, np.linalg.pinv(np.cov(own.T)), centred)
    return {
        "1 - probability": 1 - cells.chances,
        "energy": -np.logaddexp(0, cells.maps[:, :2]).sum(axis=1),
        "ground in the box": -cells.maps[:, 3],
        "votes that miss": cells.maps[:, 6],
        "Mahalanobis": away,
    }


def _auc(usual: NDArray[np.float64], strange: NDArray[np.float64]) -> float:
    ranked = np.sort(usual)
    below = np.searchsorted(ranked, strange, "left") + np.searchsorted(ranked, strange, "right")
    return float(below.mean() / 2 / len(usual)) if len(strange) else float("nan")


def _told(usual: NDArray[np.float64], strange: NDArray[np.float64]) -> float:
    return float((strange > np.quantile(usual, 1 - FALSE_ALARMS)).mean()) if len(strange) else float("nan")
