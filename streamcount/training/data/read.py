"""Labelled images of any known format, checked and cleaned: what `streamcount train` and all others read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from streamcount.errors import TrainingError
from streamcount.training.data.labelled import (
    Dataset,
    LabelledImage,
    Note,
    NoteKind,
    undoubled,
    with_diameters,
)
from streamcount.training.data.labelled import read_image as decode
from streamcount.training.data.readers import READERS, Reader
from streamcount.training.data.readers.base import Cells, Entry
from streamcount.training.data.readers.points import PointsReader
from streamcount.types import Image

# Grey levels; a picture of anything varies by more.
BLANK_DEVIATION = 0.5
# A box may be rounded up to this far beyond the image's border, px.
ROUNDED_PX = 1.5
# Crops of one camera differ this much in size.
SAME_SHAPE = 0.03
PARTS = ("train", "val")


@dataclass(frozen=True)
class ReadOptions:
    """How a folder is read.

    format: a reader's name; recognised if None. class_names: in place of what the labels tell.
    reference_class: whose size is the images' scale; the commonest if None. source: "shape", or a regular
    expression whose first group (or all of it) in the path tells the source; the format's own, else shape, if
    None. nominal_diameter_px: the size of cells that are labelled by points. lenient: files that cannot be
    read become notes instead of an error. progress: told (done, of how many).
    """

    format: str | None = None
    class_names: tuple[str, ...] | None = None
    reference_class: int | None = None
    source: str | None = None
    nominal_diameter_px: float | None = None
    lenient: bool = False
    progress: Callable[[int, int], None] | None = None


def read_data(
    root: Path,
    *,
    format: str | None = None,
    class_names: tuple[str, ...] | None = None,
    reference_class: int | None = None,
    options: ReadOptions | None = None,
) -> Dataset:
    """Read one folder of labelled images; doubled boxes and blank images that carry boxes are left out.

    options: all choices; the keywords before it go over it. Raises TrainingError for a format that nobody
    knows, a missing label, a broken file, or a class out of range, naming the file.
    """
    chosen = options or ReadOptions()
    chosen = replace(
        chosen,
        format=format or chosen.format,
        class_names=class_names or chosen.class_names,
        reference_class=chosen.reference_class if reference_class is None else reference_class,
    )
    return with_diameters(read_unmeasured(root, chosen), chosen.reference_class)


def read_unmeasured(root: Path, options: ReadOptions) -> Dataset:
    """`read_data` without the reference cell's diameter, which data without any cell does not have."""
    reader = find_reader(root, options)
    names = options.class_names or reader.class_names(root)
    listing = reader.entries(root, names)
    if not listing.entries:
        raise TrainingError(f"{root} holds no image of the format {reader.name!r}: {reader.layout}.")
    notes = [Note(NoteKind.NO_IMAGE, path) for path in listing.orphans]
    images: list[LabelledImage] = []
    with ThreadPoolExecutor(2) as pool:
        # Decoding frees the interpreter's lock.
        for done, (image, found) in enumerate(pool.map(_Loader(root, options), listing.entries), 1):
            notes += found
            if image is not None:
                images.append(image)
            if options.progress is not None:
                options.progress(done, len(listing.entries))
    doubled = sum(n.count for n in notes if n.kind is NoteKind.DOUBLED)
    return Dataset(with_sources(images, root, options.source), names, doubled, notes=tuple(notes))


def find_reader(root: Path, options: ReadOptions) -> Reader:
    """The reader of a folder's format. Raises TrainingError naming all formats where none fits."""
    readers = [
        PointsReader(options.nominal_diameter_px) if isinstance(r, PointsReader) else r for r in READERS
    ]
    if not root.is_dir():
        raise TrainingError(f"{root} is no folder; give the folder of images and labels.")
    if options.format is not None:
        for reader in readers:
            if reader.name == options.format:
                return reader
        raise TrainingError(
            f"There is no format {options.format!r}; take one of {', '.join(r.name for r in readers)}."
        )
    for reader in readers:
        if reader.recognises(root):
            return reader
    layouts = "\n".join(f"  {reader.name}: {reader.layout}" for reader in readers)
    raise TrainingError(
        f"{root} has no labels, or labels of no known format. Known are:\n{layouts}\nForce one by --format."
    )


def common_names(folders: Iterable[Path], options: ReadOptions) -> tuple[str, ...]:
    """The classes of several parts, which may each show some only. Raises TrainingError."""
    if options.class_names:
        return options.class_names
    told = [find_reader(folder, options).class_names(folder) for folder in folders]
    if len(set(told)) == 1:
        return told[0]
    longest = max(told, key=len)
    if all(names == longest[: len(names)] for names in told):
        return longest
    return tuple(sorted({name for names in told for name in names}))


def with_sources(
    images: Iterable[LabelledImage], root: Path, source: str | None
) -> tuple[LabelledImage, ...]:
    """The images with their sources told by the rule of ReadOptions.source."""
    images = tuple(images)
    if source is None or source == "shape":
        names = shape_names(tuple(image.shape_px for image in images))
        return tuple(
            image if source is None and image.source else replace(image, source=names[image.shape_px])
            for image in images
        )
    try:
        pattern = re.compile(source)
    except re.error as error:
        raise TrainingError(f"--source {source!r} is no regular expression ({error}).") from error
    named = []
    for image in images:
        found = pattern.search(image.path.relative_to(root).as_posix())
        name = "" if found is None else (found[1] if pattern.groups else found[0])
        named.append(replace(image, source=name or "other"))
    return tuple(named)


def shape_names(shapes: tuple[tuple[int, int], ...]) -> dict[tuple[int, int], str]:
    """A name for each (height, width), the same for those within 3 % of the commonest of them."""
    counts: dict[tuple[int, int], int] = {}
    for shape in shapes:
        counts[shape] = counts.get(shape, 0) + 1
    leaders: list[tuple[int, int]] = []
    names: dict[tuple[int, int], str] = {}
    for shape in sorted(counts, key=lambda s: (-counts[s], s)):
        near = [
            other
            for other in leaders
            if all(abs(a - b) <= SAME_SHAPE * b for a, b in zip(shape, other, strict=True))
        ]
        leader = near[0] if near else shape
        leaders += [] if near else [shape]
        names[shape] = f"{leader[1]}x{leader[0]}"
    return names


@dataclass(frozen=True)
class _Loader:
    """Reads one image and its label, and cleans it: (the image or None, what was found)."""

    root: Path
    options: ReadOptions

    def __call__(self, entry: Entry) -> tuple[LabelledImage | None, list[Note]]:
        try:
            pixels = decode(entry.image)
            shape = (pixels.shape[0], pixels.shape[1])
            cells = entry.read(shape)
        except TrainingError as error:
            if not self.options.lenient:
                raise
            kind = NoteKind.NO_LABEL if entry.label is None else NoteKind.UNREADABLE
            return None, [Note(kind, entry.image, 1, str(error))]
        notes = [replace(note, path=entry.image) for note in cells.notes]
        if len(cells.boxes_px) and is_blank(pixels):
            return None, [*notes, Note(NoteKind.BLANK, entry.image, 1, f"{len(cells.boxes_px)} cells")]
        image = _cleaned(entry, shape, cells, notes)
        if not len(image.boxes_px):
            notes.append(Note(NoteKind.EMPTY, entry.image))
        return image, notes


def is_blank(image: Image) -> bool:
    """Whether all pixels are alike, so that no cell can be seen."""
    return float(image.std()) < BLANK_DEVIATION


def _cleaned(entry: Entry, shape: tuple[int, int], cells: Cells, notes: list[Note]) -> LabelledImage:
    """Clips boxes to the image, drops those outside of it and doubled ones, and notes what was done."""
    size = np.array(shape, np.float32)
    low = np.clip(cells.boxes_px[:, :2], 0, size)
    high = np.clip(cells.boxes_px[:, 2:], 0, size)
    image = LabelledImage(
        entry.image,
        shape,
        np.hstack([low, high]).astype(np.float32),
        cells.class_ids,
        masks=cells.masks,
        source=entry.source,
        complete=cells.complete,
    )
    inside = (high - low).min(axis=1, initial=np.inf) > 0
    reaching = np.abs(image.boxes_px - cells.boxes_px).max(axis=1, initial=0.0) > ROUNDED_PX
    for kind, number in (
        (NoteKind.OUTSIDE, int((~inside).sum())),
        # Points tell no size, so that what their boxes reach to tells nothing.
        (NoteKind.CLIPPED, int((reaching & inside).sum()) if cells.complete else 0),
    ):
        if number:
            notes.append(Note(kind, entry.image, number))
    image = image if inside.all() else image.take(inside)
    keep = (
        np.ones(len(image.boxes_px), bool) if cells.distinct else undoubled(image.boxes_px, image.class_ids)
    )
    if keep.all():
        return image
    notes.append(Note(NoteKind.DOUBLED, entry.image, int((~keep).sum())))
    return image.take(keep)
