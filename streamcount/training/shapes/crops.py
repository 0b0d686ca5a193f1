"""Cells that a first model finds, cut out, with the labels of the points that they hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamcount.detection.base import Detector
from streamcount.detection.prepare import Normalisation, prepare
from streamcount.detection.second import cut_crops
from streamcount.errors import TrainingError
from streamcount.training.data.duplicates import SAME_BITS, fingerprints, near_duplicates
from streamcount.training.data.labelled import Dataset, LabelledImage
from streamcount.training.judge.finds import frame_of

# The median deviation of the log of the usual cell's size between images from which they are of several scales.
SEVERAL_SCALES = 0.2
NEAR = 0.5  # a point is of a cell whose middle lies within this share of the usual diameter
SAME_PLACE = 0.3  # two points are of one cell of two copies of a picture


@dataclass(frozen=True)
class FoundCells:
    """What the first model found of the class to refine, in each image of a set.

    boxes_px: (N, 4) by image. diameters_px: (I,) the usual cell's by image, 0 where no whole cell is found.
    usual_px: over all images. one_scale: these are of one microscope and objective, so that a cell's size tells.
    """

    boxes_px: tuple[NDArray[np.float32], ...]
    diameters_px: NDArray[np.float64]
    usual_px: float
    one_scale: bool = True

    def seen_px(self, image: int) -> float:
        """The usual cell's size in an image by the image alone; the set's where it shows none."""
        return float(self.diameters_px[image]) or self.usual_px

    def told_px(self, image: int) -> float:
        """The usual cell's size in an image whose scale is told: the same in all of one scale."""
        return self.usual_px if self.one_scale else self.seen_px(image)


@dataclass(frozen=True)
class View:
    """How a cell is cut out: the usual cell diameter_px across, in a square of crop_px, `margin` times as large."""

    diameter_px: float
    crop_px: int
    channels: int
    normalise: Normalisation
    margin: float = 1.0


@dataclass(frozen=True)
class Crops:
    """N labelled cells.

    pixels: (N, S, S, channels) uint8, S being margin * crop_px of their view. class_ids (N,). images
    (N,): number of the image. points (N,): number of the label in the image. share_found: of the labels, how many
    lie on a cell that the first model found.
    """

    pixels: NDArray[np.uint8]
    class_ids: NDArray[np.int64]
    images: NDArray[np.int64]
    points: NDArray[np.int64]
    share_found: float

    def take(self, keep: NDArray[np.bool_]) -> Crops:
        """Some of the cells only."""
        return Crops(self.pixels[keep], self.class_ids[keep], self.images[keep], self.points[keep],
                     self.share_found)  # fmt: skip


def find_cells(
    dataset: Dataset, first: Detector, refines: str, tick: Callable[[], None] | None = None
) -> FoundCells:
    """Run the first model over all images. Raises TrainingError where it has no such class or finds none."""
    names = first.model.class_names
    if refines not in names:
        raise TrainingError(
            f"--refines {refines!r} is no class of the first model; it has {', '.join(names)}."
        )
    boxes, diameters = [], []
    for image in dataset.images:
        found = first.detect(frame_of(image))
        own = found.boxes_px[found.class_ids == names.index(refines)]
        boxes.append(own)
        diameters.append(_usual(own, image.shape_px))
        if tick is not None:
            tick()
    known = np.array(diameters)
    if not known.any():
        raise TrainingError(f"The first model finds no {refines} cell in these images: are they of its kind?")
    logs = np.log(known[known > 0])
    middle = float(np.median(logs))
    one_scale = float(np.median(np.abs(logs - middle))) < SEVERAL_SCALES
    return FoundCells(tuple(boxes), known, float(np.exp(middle)), one_scale)


def _usual(boxes_px: NDArray[np.float32], shape_px: tuple[int, int]) -> float:
    limits = np.array(shape_px, np.float32) - 2
    whole = (boxes_px[:, :2] > 2).all(axis=1) & (boxes_px[:, 2:] < limits).all(axis=1)
    sides = np.sqrt((boxes_px[:, 2:] - boxes_px[:, :2]).prod(axis=1))[whole]
    return float(np.median(sides)) if len(sides) else 0.0


def cut_labelled(dataset: Dataset, found: FoundCells, view: View, *, told: bool = True) -> Crops:
    """Cut out each found cell that holds a labelled point.

    told: a user tells the images' scale; else each image's own usual cell is its scale, as it also is in a set of
    several scales.
    Raises TrainingError where no point lies on a found cell.
    """
    side = round(view.margin * view.crop_px)
    pixels, ids, images, points, labels = [], [], [], [], 0
    for number, (image, boxes) in enumerate(zip(dataset.images, found.boxes_px, strict=True)):
        labels += len(image.class_ids)
        usual = found.told_px(number) if told else found.seen_px(number)
        cells, own = match_points(image, boxes, found.told_px(number))
        if not len(cells):
            continue
        prepared = prepare(image.read(), view.channels, view.normalise)
        scale = view.margin * view.diameter_px / usual
        pixels.append(cut_crops(prepared, boxes[cells], scale, side))
        ids.append(image.class_ids[own])
        images.append(np.full(len(cells), number))
        points.append(own)
    if not ids:
        raise TrainingError(
            "No labelled point lies on a cell that the first model finds; is --refines right?"
        )
    share = sum(map(len, ids)) / labels
    return Crops(np.concatenate(pixels), np.concatenate(ids), np.concatenate(images), np.concatenate(points),
                 share)  # fmt: skip


def match_points(
    image: LabelledImage, boxes_px: NDArray[np.float32], usual_px: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(M,) found cells and (M,) the labels that are theirs: each the other's nearest, and near enough."""
    if not len(boxes_px) or not len(image.boxes_px):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    distance = np.linalg.norm(_middles(boxes_px)[:, None] - _middles(image.boxes_px)[None], axis=2)
    nearest = distance.argmin(axis=0)
    points = np.arange(len(image.boxes_px))
    mutual = (distance.argmin(axis=1)[nearest] == points) & (distance[nearest, points] < NEAR * usual_px)
    return nearest[mutual], points[mutual]


def _middles(boxes_px: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((boxes_px[:, :2] + boxes_px[:, 2:]) / 2, np.float32)


@dataclass(frozen=True)
class TwiceLabelled:
    """What pictures that are in the set twice tell of the labels: contradicted is (N,) bool by image, cells: how
    many have two labels, and agreed: how many of them the same."""

    contradicted: tuple[NDArray[np.bool_], ...]
    cells: int
    agreed: int


def twice_labelled(dataset: Dataset, found: FoundCells) -> TwiceLabelled:
    """Compare the labels of each picture that is in the set twice."""
    wrong = [np.zeros(len(image.class_ids), np.bool_) for image in dataset.images]
    cells = agreed = 0
    for pair in near_duplicates(fingerprints([image.path for image in dataset.images])):
        one, other = dataset.images[pair.first], dataset.images[pair.second]
        if pair.turned or pair.bits > SAME_BITS or one.shape_px != other.shape_px:
            continue
        usual = found.told_px(pair.first)
        mine, theirs = match_points(one, other.boxes_px, usual * SAME_PLACE / NEAR)[::-1]
        differ = one.class_ids[mine] != other.class_ids[theirs]
        wrong[pair.first][mine[differ]] = True
        wrong[pair.second][theirs[differ]] = True
        cells, agreed = cells + len(mine), agreed + int((~differ).sum())
    return TwiceLabelled(tuple(wrong), cells, agreed)


def contradicted(crops: Crops, twice: TwiceLabelled) -> NDArray[np.bool_]:
    """(N,) whether the cell has another label in another copy of its picture."""
    return np.array(
        [twice.contradicted[i][p] for i, p in zip(crops.images, crops.points, strict=True)], np.bool_
    )
