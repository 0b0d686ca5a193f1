"""Single images as a row of frames: in the order of their numbers, and with the frames told that lack among these."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import TypeVar

_T = TypeVar("_T")
_TOLD_GAPS = 3


def by_numbers(paths: Sequence[Path]) -> list[Path]:
    """The images, with t2 before t10 where they come as a shell sorts names, t10 before t2; else as given.

    So in each folder, and so the folders. An order that no shell makes is somebody's own and is kept.
    """
    folders = [
        _numbered(list(group), lambda path: path.name)
        for _, group in groupby(paths, lambda path: path.parent)
    ]
    return [path for row in _numbered(folders, lambda row: str(row[0].parent)) for path in row]


def frame_numbers(paths: Sequence[Path]) -> list[int]:
    """Of each image the frame of its run, from 0: by the numbers in their names where these tell, else one by one.

    They tell where names differ by one ascending number, whose usual step is more than half of all steps and divides
    the others, and more of the frames are there than lack.
    """
    one_by_one = list(range(len(paths)))
    pieces = [re.split(r"(\d+)", path.stem) for path in paths]
    varying = {
        at
        for one, other in pairwise(pieces)
        for at in range(min(len(one), len(other)))
        if one[at] != other[at]
    }
    same_form = len(
        {(path.parent, path.suffix, len(piece)) for path, piece in zip(paths, pieces, strict=True)}
    )
    if same_form != 1 or len(varying) != 1 or not (at := varying.pop()) % 2:
        return one_by_one
    numbers = [int(piece[at]) for piece in pieces]
    steps = Counter(after - before for before, after in pairwise(numbers))
    usual, often = steps.most_common(1)[0]
    if usual < 1 or 2 * often <= steps.total() or any(step < 1 or step % usual for step in steps):
        return one_by_one
    frames = [(number - numbers[0]) // usual for number in numbers]
    return frames if frames[-1] < 2 * len(paths) else one_by_one


def order_remark(given: Sequence[Path], taken: Sequence[Path]) -> str:
    """What to tell of images that were given in another order than they are taken in."""
    at = next(i for i, (one, other) in enumerate(zip(given, taken, strict=True)) if one != other)
    begin = max(0, at - 1)
    names = [", ".join(_name(path) for path in row[begin : begin + 3]) for row in (given, taken)]
    return (
        f"{given[0].parent}: images given as {names[0]} are taken by their numbers, {names[1]}; "
        "--keep-order leaves them as given"
    )


def gap_remark(paths: Sequence[Path], frames: Sequence[int]) -> str | None:
    """What to tell of frames that lack between the images, by their numbers; None where all are there."""
    gaps = [
        (before, after, frames[i + 1] - frames[i] - 1)
        for i, (before, after) in enumerate(pairwise(paths))
        if frames[i + 1] - frames[i] > 1
    ]
    if not gaps:
        return None
    told = "; ".join(
        f"{many} between {before.name} and {after.name}" for before, after, many in gaps[:_TOLD_GAPS]
    )
    more = f"; and {len(gaps) - _TOLD_GAPS} more gaps" if len(gaps) > _TOLD_GAPS else ""
    return f"{paths[0].parent}: frames lack by their numbers: {told}{more}; cells are followed over them as missing"


def _numbered(items: list[_T], name: Callable[[_T], str]) -> list[_T]:
    for collate in (str, _signs_first, _signs_passed_over):
        keys = [collate(name(item)) for item in items]
        if keys == sorted(keys):
            return sorted(items, key=lambda item: collate(_padded(name(item))))
    return items


def _signs_first(name: str) -> str:
    """As newer shells sort in most languages."""
    return re.sub(r"[\W_]", "\0", name.casefold())


def _signs_passed_over(name: str) -> str:
    """As older ones do."""
    return re.sub(r"[\W_]", "", name.casefold())


def _padded(name: str) -> str:
    return re.sub(r"\d+", lambda digits: digits[0].zfill(20), name)


def _name(path: Path) -> str:
    return path.name.encode("utf-8", "backslashreplace").decode()
