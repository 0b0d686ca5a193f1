"""Which find is which label: by the overlap of outlines where both have them, else of boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamcount.detection.postprocess import iou_matrix
from streamcount.training.data.labelled import Dataset, LabelledImage
from streamcount.training.judge.finds import Found

MATCH_IOU = 0.5
BORDER_PX = 3.0  # a box within so much of the image's edge is of a cell cut by it


def match(image: LabelledImage, found: Found) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Match greedily by score at IoU >= 0.5, whatever the class.

    Returns (N,) the label matched by each find, -1 where there is none, and (M,) the labels missed.
    """
    overlap = overlaps(image, found).copy()
    hit = np.full(len(found.boxes_px), -1, np.int64)
    for i in np.argsort(-found.scores, kind="stable"):
        if overlap.shape[1] and overlap[i].max() >= MATCH_IOU:
            hit[i] = int(overlap[i].argmax())
            overlap[:, hit[i]] = 0
    missed = np.ones(len(image.boxes_px), bool)
    missed[hit[hit >= 0]] = False
    return hit, missed


def overlaps(image: LabelledImage, found: Found) -> NDArray[np.float32]:
    """(N, M) intersection over union of finds and labels."""
    if found.masks is None or image.masks is None:
        return iou_matrix(found.boxes_px, image.boxes_px)
    finds, labels = len(found.boxes_px) + 1, len(image.boxes_px) + 1
    joint = found.masks.astype(np.int64) * labels + image.masks()
    shared = np.bincount(joint.ravel(), minlength=finds * labels).reshape(finds, labels).astype(np.float32)
    union = shared.sum(axis=1)[1:, None] + shared.sum(axis=0)[None, 1:] - shared[1:, 1:]
    return np.asarray(shared[1:, 1:] / np.maximum(union, 1), np.float32)


def at_border(boxes_px: NDArray[np.float32], shape_px: tuple[int, int]) -> NDArray[np.bool_]:
    """(N,) which boxes touch the image's edge."""
    limits = np.array(shape_px, np.float32) - BORDER_PX
    touches = (boxes_px[:, :2] < BORDER_PX).any(axis=1) | (boxes_px[:, 2:] > limits).any(axis=1)
    return np.asarray(touches, np.bool_)


def whole_only(dataset: Dataset, finds: list[Found]) -> tuple[Dataset, list[Found]]:
    """The labels of whole cells, and the finds without those of cells cut by the image's edge.

    Labels of cut cells are inconsistent in most sets: some slivers are labelled, others not. So a cut cell is
    neither asked for nor held against the detector: its label is left out, and with it what matches it; a find at the
    edge is left out too, unless it matches the label of a whole cell.
    """
    from dataclasses import replace

    images, kept = [], []
    for image, found in zip(dataset.images, finds, strict=True):
        cut = at_border(image.boxes_px, image.shape_px)
        hit, _ = match(image, found)
        of_whole = (hit >= 0) & ~np.append(cut, True)[hit]
        drop = (~of_whole & at_border(found.boxes_px, image.shape_px)) | ((hit >= 0) & ~of_whole)
        images.append(image.take(~cut))
        kept.append(found.take(~drop))
    return replace(dataset, images=tuple(images)), kept
