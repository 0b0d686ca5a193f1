"""The two parts of a set: folders train/ and val/, or one folder and a split file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from streamcount.errors import TrainingError
from streamcount.training.data.duplicates import fingerprints, near_duplicates
from streamcount.training.data.labelled import Dataset, NoteKind, with_diameters
from streamcount.training.data.read import (
    PARTS,
    ReadOptions,
    common_names,
    read_data,
    read_unmeasured,
    with_sources,
)

SPLIT_NAME = "split.json"


class SplitFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `streamcount data split` writes: the images of each part, as paths within the data folder.

    source: the rule by which sources are told, see ReadOptions; None for the format's own. left_out: images in
    neither part, as a near-duplicate of each is in the other part.
    """

    command: str
    seed: int
    source: str | None
    train: list[str]
    val: list[str]
    left_out: list[str] = []


def folders_of(data: Path) -> tuple[Path, ...]:
    """DATA/train and DATA/val where both are there, else the folder itself."""
    folders = tuple(data / name for name in PARTS)
    return folders if all(folder.is_dir() for folder in folders) else (data,)


def find_split(data: Path, split: Path | None = None) -> SplitFile | None:
    """What tells the parts: the split file given, None where they are folders, else DATA/split.json.

    Raises TrainingError that says to split where nothing tells them.
    """
    if split is None and len(folders_of(data)) > 1:
        return None
    path = split or data / SPLIT_NAME
    if not path.is_file():
        raise TrainingError(
            f"{data} has neither train/ and val/ nor {path.name}; run `streamcount data split {data}`."
        )
    return read_split(path)


def read_split(path: Path) -> SplitFile:
    """Read a split file. Raises TrainingError where it is damaged or an image is in both parts."""
    try:
        told = msgspec.json.decode(path.read_bytes(), type=SplitFile)
    except (OSError, msgspec.DecodeError) as error:
        raise TrainingError(
            f"{path} is no split file ({error}); make it again by `streamcount data split`."
        ) from error
    both = sorted(set(told.train) & set(told.val))
    if both:
        raise TrainingError(f"{path} has {both[0]} in both parts; make it again by `streamcount data split`.")
    return told


def read_parts(
    data: Path,
    *,
    split: Path | None = None,
    format: str | None = None,
    class_names: tuple[str, ...] | None = None,
    reference_class: int | None = None,
    options: ReadOptions | None = None,
) -> dict[str, Dataset]:
    """Read the parts "train" and "val", with the same classes and the same reference class.

    split: a file of `streamcount data split`; else DATA/train and DATA/val, else DATA/split.json. options: see
    read_data. Raises TrainingError; where there are no parts, it says how to make them.
    """
    chosen = options or ReadOptions()
    chosen = replace(
        chosen,
        format=format or chosen.format,
        class_names=class_names or chosen.class_names,
        reference_class=chosen.reference_class if reference_class is None else reference_class,
    )
    parts = read_parts_unmeasured(data, split, chosen)
    reference = chosen.reference_class
    if reference is None:
        # The commonest over all, so that the parts have one scale.
        reference = int(np.sum([part.class_counts() for part in parts.values()], axis=0).argmax())
    return {name: with_diameters(part, reference) for name, part in parts.items()}


def apart(parts: dict[str, Dataset]) -> tuple[dict[str, Dataset], int]:
    """The parts without those images of "val" that are near-duplicates of one of "train", and how many they were.

    Parts that others made hold some: figures on them would be flattered.
    """
    train, val = parts["train"], parts["val"]
    prints = fingerprints([image.path for image in (*train.images, *val.images)])
    first = len(train.images)
    seen = {pair.second - first for pair in near_duplicates(prints) if pair.first < first <= pair.second}
    if not seen:
        return parts, 0
    kept = tuple(image for index, image in enumerate(val.images) if index not in seen)
    return {**parts, "val": replace(val, images=kept)}, len(seen)


def read_part(data: Path, part: str, split: Path | None = None, format: str | None = None) -> Dataset:
    """One part of a set, "val" without what "train" holds too; or the whole folder, where part is "".

    Raises TrainingError where there is no such part.
    """
    if not part:
        return read_data(data, format=format)
    parts, _ = apart(read_parts(data, split=split, format=format))
    if part not in parts:
        raise TrainingError(f"--part {part!r} is none of {', '.join(parts)}.")
    return parts[part]


def read_parts_unmeasured(data: Path, split: Path | None, options: ReadOptions) -> dict[str, Dataset]:
    """`read_parts` without the reference cell's diameters."""
    told = find_split(data, split)
    if told is not None and options.source is None:
        options = replace(options, source=told.source)
    read = read_folders(data, options)
    if told is None:
        parts = dict(zip(PARTS, read, strict=True))
    else:
        _check_known(data, told, read)
        parts = {name: _joined(data, read, frozenset(getattr(told, name))) for name in PARTS}
    for name, part in parts.items():
        if not part.images:
            raise TrainingError(f"{data}: the part {name!r} holds no image.")
    return parts


def read_folders(data: Path, options: ReadOptions) -> list[Dataset]:
    """Every folder of a set, see folders_of, with the same classes. Raises TrainingError."""
    folders = folders_of(data)
    options = replace(options, class_names=common_names(folders, options))
    read = [read_unmeasured(folder, options) for folder in folders]
    if len(read) == 1:
        return read
    # Told together, since the commonest shape of one folder may not be that of the other.
    named = iter(with_sources([i for part in read for i in part.images], data, options.source))
    return [replace(part, images=tuple(next(named) for _ in part.images)) for part in read]


def _joined(data: Path, read: Sequence[Dataset], names: frozenset[str]) -> Dataset:
    """The named images of all folders as one part."""
    images = tuple(i for part in read for i in part.images if relative(i.path, data) in names)
    notes = tuple(n for part in read for n in part.notes if relative(n.path, data) in names)
    doubled = sum(note.count for note in notes if note.kind is NoteKind.DOUBLED)
    return Dataset(images, read[0].class_names, doubled, notes=notes)


def relative(path: Path, folder: Path) -> str:
    """The path within the folder, with slashes, as split files have it."""
    return path.relative_to(folder).as_posix()


def _check_known(data: Path, split: SplitFile, read: Sequence[Dataset]) -> None:
    """Raises TrainingError for images of the split file that are gone, and for new ones that are in no part."""
    usable = {relative(image.path, data) for part in read for image in part.images}
    noted = {relative(note.path, data) for part in read for note in part.notes}
    listed = {*split.train, *split.val, *split.left_out}
    gone, new = sorted(listed - usable - noted), sorted(usable - listed)
    if gone or new:
        told = f"{gone[0]} is in the split file but gone" if gone else f"{new[0]} is not in the split file"
        raise TrainingError(
            f"{data}: {told} ({len(gone) + len(new)} such); run `streamcount data split {data}` again."
        )
