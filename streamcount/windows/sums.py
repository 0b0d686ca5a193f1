"""What one frame adds to the windows that it lies in."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from streamcount.statistics import counted_in_image, stand_for
from streamcount.types import Detections, Float32Array
from streamcount.windows.config import Edges
from streamcount.windows.seen import Surroundings
from streamcount.windows.state import THIRDS, Float64Array, Layout, OpenWindow


class FrameSums(NamedTuple):
    """Fields as of OpenWindow, of one frame. scaled: whether its pixel size is known."""

    cells: Float64Array
    counted: Float64Array
    cell_areas_um2: Float64Array
    cell_area_squares_um4: Float64Array
    field_um2: Float64Array
    areas: Float64Array
    blocks: Float64Array
    field_px: float
    covered: float | None
    scaled: bool
    flagged: bool


def sums_of(
    detections: Detections, surroundings: Surroundings | None, layout: Layout, edges: Edges, *, flagged: bool
) -> FrameSums:
    """What a frame adds: P places of `layout`, C classes."""
    classes, number = detections.class_ids, len(layout.model.class_names)
    height, width = detections.image_shape
    areas_px = detections.areas_px.astype(np.float64)
    cells = np.zeros((len(layout.places), number))
    cells[0] = np.bincount(classes, minlength=number)
    place_areas_px = np.array([height * width], np.float64)
    if surroundings is not None and surroundings.zones:
        one_hot = classes[:, None] == np.arange(number)
        cells[1:] = surroundings.detections.T.astype(np.float64) @ one_hot
        place_areas_px = np.concatenate([place_areas_px, surroundings.zone_areas_px])
    weight = stand_for if edges == "whole-cells" else counted_in_image
    weights = weight(detections.boxes_px, detections.image_shape)
    size_um = detections.metadata.pixel_size_um
    um2 = 0.0 if size_um is None else size_um**2
    return FrameSums(
        cells=cells,
        counted=np.bincount(classes, weights, number).astype(np.float64),
        cell_areas_um2=np.bincount(classes, areas_px * um2, number).astype(np.float64),
        cell_area_squares_um4=np.bincount(classes, np.square(areas_px * um2), number).astype(np.float64),
        field_um2=place_areas_px * um2,
        areas=np.array([areas_px.sum(), areas_px @ areas_px]),
        blocks=in_ninths(detections.centroids_px, areas_px, detections.image_shape),
        field_px=float(height * width),
        covered=detections.foreground_fraction,
        scaled=size_um is not None,
        flagged=flagged,
    )


def in_ninths(
    centroids_px: Float32Array, areas_px: Float64Array, image_shape: tuple[int, int]
) -> Float64Array:
    """(9,) areas (N,) summed by the ninth of the image in which the cell at each place (N, 2) lies, row by row."""
    thirds = (centroids_px * (THIRDS / np.array(image_shape, np.float32))).astype(np.int64)
    rows, columns = np.clip(thirds, 0, THIRDS - 1).T
    return np.bincount(rows * THIRDS + columns, areas_px, THIRDS * THIRDS).astype(np.float64)


def with_frame(window: OpenWindow, frame: FrameSums) -> OpenWindow:
    """The window after a frame that lies in it."""
    known = frame.covered is not None
    return msgspec.structs.replace(
        window,
        frames=window.frames + 1,
        frames_flagged=window.frames_flagged + frame.flagged,
        cells=window.cells + frame.cells,
        cells_now=frame.cells,
        counted=window.counted + frame.counted,
        cell_areas_um2=window.cell_areas_um2 + frame.cell_areas_um2,
        cell_area_squares_um4=window.cell_area_squares_um4 + frame.cell_area_squares_um4,
        sized=window.sized + frame.cells[0] if frame.scaled else window.sized,
        field_um2=window.field_um2 + frame.field_um2,
        scaled_frames=window.scaled_frames + frame.scaled,
        areas=window.areas + frame.areas,
        blocks=window.blocks + frame.blocks,
        field_px=window.field_px + frame.field_px if known else window.field_px,
        covered=window.covered + (frame.covered or 0.0),
        covered_frames=window.covered_frames + known,
    )
