"""Near-duplicates: the same picture at another brightness, size, turn or compression, told by perceptual hashes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.training.data.labelled import read_image

# The hash has this squared bits. With 8, cells on an even ground of a lab's camera all look alike.
HASH_SIZE = 16
# Bits that differ, of 256. Measured on real sets (docs/training-data.md): pairs up to 44 were the same picture
# and nothing else began before 46; between, and up to 64, were crops of one picture a few pixels apart.
SAME_BITS = 44
SHIFTED_BITS = 64
# Least correlation of two such crops once laid over each other.
SHIFTED_LIKENESS = 0.75
THUMB_PX = 64
# Rows of the table of distances computed at once.
ROWS = 256


@dataclass(frozen=True)
class Print:
    """hashes: (8, 256) of the picture's flips and quarter turns, -1 or 1. thumb: (64, 64) float32, high-passed."""

    hashes: NDArray[np.float32]
    thumb: NDArray[np.float32]


@dataclass(frozen=True)
class Pair:
    """Two near-duplicates, as positions in a list. turned: one is a flip or turn of the other."""

    first: int
    second: int
    bits: int
    turned: bool


def fingerprint(path: Path) -> Print:
    """Read and hash one image by `imagehash.phash` (Zauner 2010). Raises TrainingError."""
    import imagehash
    from PIL import Image as Pillow

    small = _thumbnail(read_image(path))
    hashes = [imagehash.phash(Pillow.fromarray(v), hash_size=HASH_SIZE).hash.ravel() for v in _views(small)]
    fine = small.astype(np.float32)
    fine -= np.asarray(cv2.GaussianBlur(fine, (0, 0), THUMB_PX / 16))
    fine -= fine.mean()
    return Print(np.array(hashes, np.float32) * 2 - 1, fine / (np.linalg.norm(fine) + 1e-6))


def _thumbnail(image: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.uint8]:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    # Reduced to hash size at once, so that noise of the compression is gone before the hash.
    small = cv2.resize(grey, (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.normalize(small, None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U))  # type: ignore[call-overload]


def _views(image: NDArray[Any]) -> list[NDArray[Any]]:
    flips = (image, image[:, ::-1])
    return [np.ascontiguousarray(np.rot90(flip, turns)) for flip in flips for turns in range(4)]


def fingerprints(paths: Sequence[Path], progress: Callable[[int, int], None] | None = None) -> list[Print]:
    """The prints of images, on two threads."""
    prints = []
    with ThreadPoolExecutor(2) as pool:
        for done, one in enumerate(pool.map(fingerprint, paths), 1):
            prints.append(one)
            if progress is not None:
                progress(done, len(paths))
    return prints


def near_duplicates(prints: Sequence[Print]) -> list[Pair]:
    """All pairs of near-duplicates, in order."""
    if len(prints) < 2:
        return []
    hashes = np.stack([p.hashes for p in prints])
    bits = hashes.shape[2]
    views = hashes.transpose(1, 2, 0)
    pairs = []
    for top in range(0, len(prints), ROWS):
        rows = hashes[top : top + ROWS, 0]
        distances = np.stack([(bits - rows @ view) / 2 for view in views])
        best, view = distances.min(axis=0), distances.argmin(axis=0)
        for row, second in np.argwhere(best <= SHIFTED_BITS):
            first, apart, turn = top + int(row), int(best[row, second]), int(view[row, second])
            if first < second and (
                apart <= SAME_BITS or _shifted(prints[first].thumb, _views(prints[second].thumb)[turn])
            ):
                pairs.append(Pair(first, int(second), apart, turn != 0))
    return pairs


def _shifted(first: NDArray[np.float32], second: NDArray[np.float32]) -> bool:
    """Whether two thumbs fit each other when moved by up to an eighth."""
    room = THUMB_PX // 8
    inner = np.ascontiguousarray(second[room:-room, room:-room])
    return bool(cv2.matchTemplate(first, inner, cv2.TM_CCOEFF_NORMED).max() >= SHIFTED_LIKENESS)


def groups_of(number: int, pairs: Sequence[Pair]) -> list[list[int]]:
    """The positions 0 to number - 1 as groups, near-duplicates of near-duplicates being in one (union-find)."""
    parents = list(range(number))

    def root(i: int) -> int:
        while parents[i] != i:
            parents[i] = parents[parents[i]]
            i = parents[i]
        return i

    for pair in pairs:
        a, b = sorted((root(pair.first), root(pair.second)))
        parents[b] = a
    groups: dict[int, list[int]] = {}
    for i in range(number):
        groups.setdefault(root(i), []).append(i)
    return list(groups.values())
