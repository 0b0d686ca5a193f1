"""Where the files lie: truth and results in the form of the Cell Tracking Challenge (celltrackingchallenge.net)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from streamcount.errors import SourceError

TRUTH_TABLE = "man_track.txt"
RESULT_TABLE = "res_track.txt"
# More frames than this are not named one by one.
MOST_NAMED = 5


@dataclass(frozen=True)
class Folder:
    """One side: its table of tracks, its masks by frame, and the masks of whole cells (SEG) where there are any."""

    table: Path
    masks: Mapping[int, Path]
    whole: Mapping[int, Path] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The folder with the table."""
        return self.table.parent


def find_truth(folder: Path) -> Folder:
    """The truth in NN_GT, in a folder with TRA, or in TRA itself. Raises SourceError where there is none."""
    _must_be_folder(folder, "truth")
    for place in (folder / "TRA", folder):
        if (place / TRUTH_TABLE).is_file():
            whole = masks_in(folder / "SEG", "man_seg") if (folder / "SEG").is_dir() else {}
            return Folder(place / TRUTH_TABLE, _some_masks(place, "man_track"), whole)
    inside = sorted(path.parent.parent.name for path in folder.glob(f"*/TRA/{TRUTH_TABLE}"))
    remedy = f"name one of {', '.join(inside)} in it" if inside else "name a folder such as 01_GT"
    raise SourceError(f"{folder}: holds neither TRA/{TRUTH_TABLE} nor {TRUTH_TABLE}; {remedy}")


def find_results(folder: Path) -> Folder:
    """The results of a run. Raises SourceError where there are none."""
    _must_be_folder(folder, "results")
    if not (folder / RESULT_TABLE).is_file():
        raise SourceError(
            f"{folder}: holds no {RESULT_TABLE}; it is written last, when "
            "`streamcount count ... --track --ctc FOLDER` has counted all frames"
        )
    return Folder(folder / RESULT_TABLE, _some_masks(folder, "mask"))


def same_frames(truth: Folder, results: Folder) -> list[int]:
    """The frames, ascending. Raises SourceError unless both sides have the same, without holes, two or more."""
    true, found = set(truth.masks), set(results.masks)
    for one, other, frames in ((results, truth, true - found), (truth, results, found - true)):
        if frames:
            raise SourceError(
                f"{one.path}: no mask of {_named(frames)}, which {other.path} has; count the frames of the truth, "
                "all of them, and begin at the same number"
            )
    first, last = min(true), max(true)
    if holes := set(range(first, last + 1)) - true:
        raise SourceError(f"{truth.path}: no mask of {_named(holes)}; tracks are scored over whole films")
    if first == last:
        raise SourceError(f"{truth.path}: one frame only; there is nothing to follow in it")
    if strange := set(truth.whole) - true:
        raise SourceError(
            f"{truth.path}: SEG has masks of {_named(strange)}, which the film has not; remove them"
        )
    return sorted(true)


def _must_be_folder(folder: Path, what: str) -> None:
    if not folder.is_dir():
        told = "is no folder" if folder.exists() else "there is no such folder"
        raise SourceError(f"{folder}: {told}; name the folder with the {what}")


def _some_masks(folder: Path, stem: str) -> dict[int, Path]:
    masks = masks_in(folder, stem)
    if not masks:
        raise SourceError(f"{folder}: no {stem}0000.tif or the like beside the table; add the masks")
    return masks


def masks_in(folder: Path, stem: str) -> dict[int, Path]:
    """The masks STEM0000.tif and so on in a folder, by frame. Raises SourceError where two are one frame."""
    masks: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if match := re.fullmatch(rf"{stem}(\d+)\.tiff?", path.name):
            number = int(match[1])
            if number in masks:
                raise SourceError(f"{folder}: {masks[number].name} and {path.name} are one frame; remove one")
            masks[number] = path
    return masks


def _named(frames: set[int]) -> str:
    named = ", ".join(map(str, sorted(frames)[:MOST_NAMED]))
    more = f" and {len(frames) - MOST_NAMED} more" if len(frames) > MOST_NAMED else ""
    return f"frame{'s' if len(frames) > 1 else ''} {named}{more}"
