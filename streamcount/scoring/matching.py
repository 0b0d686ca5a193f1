"""Which cells are the same: the Challenge's rule (Matula et al. 2015, doi 10.1371/journal.pone.0144959)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SHIFT = 32


@dataclass(frozen=True)
class Match:
    """One frame. true_labels (T,), found_labels (F,): the cells of each side. pairs (M, 2): labels of the cells
    that are the same, true and found. ious (M,): their intersection over union."""

    true_labels: NDArray[np.int64]
    found_labels: NDArray[np.int64]
    pairs: NDArray[np.int64]
    ious: NDArray[np.float64]

    def one_to_one(self) -> dict[int, int]:
        """Found label by true label, without found cells that cover several true ones."""
        found, times = np.unique(self.pairs[:, 1], return_counts=True)
        single = np.isin(self.pairs[:, 1], found[times == 1])
        return dict(self.pairs[single].tolist())


def match_masks(truth: NDArray[np.integer], found: NDArray[np.integer]) -> Match:
    """Match two label images (H, W): a found cell is a true one if it covers more than half of it.

    So a true cell has one found cell at most, but a found cell may have several true ones.
    """
    true_labels, true_areas = _areas(truth)
    found_labels, found_areas = _areas(found)
    both = (truth > 0) & (found > 0)
    codes = (truth[both].astype(np.int64) << _SHIFT) | found[both].astype(np.int64)
    shared, overlaps = np.unique(codes, return_counts=True)
    pairs = np.stack([shared >> _SHIFT, shared & ((1 << _SHIFT) - 1)], axis=1)
    true_sizes = true_areas[np.searchsorted(true_labels, pairs[:, 0])]
    found_sizes = found_areas[np.searchsorted(found_labels, pairs[:, 1])]
    covered = 2 * overlaps > true_sizes
    ious = overlaps / (true_sizes + found_sizes - overlaps)
    return Match(true_labels, found_labels, pairs[covered], ious[covered])


def _areas(mask: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    labels, areas = np.unique(mask[mask > 0], return_counts=True)
    return labels.astype(np.int64), areas.astype(np.int64)
