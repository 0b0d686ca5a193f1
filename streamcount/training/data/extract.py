"""Training data out of videos, stacks and folders: frames, drafts of their labels, and previews, to be corrected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from streamcount.errors import TrainingError
from streamcount.sources.base import Source
from streamcount.sources.folder import FolderConfig
from streamcount.sources.images import is_tiff_name
from streamcount.sources.recording import file_run, run_name
from streamcount.sources.tiff import TiffConfig
from streamcount.sources.video import VideoConfig
from streamcount.training.data.classical import ClassicalChoice, Method, build_labeller
from streamcount.training.data.labelled import LabelledImage
from streamcount.training.data.readers.base import CELL
from streamcount.training.data.sheet import draw_labels, write_picture
from streamcount.training.data.write import require_new, write_class_names, write_labelled
from streamcount.types import Frame, Image

# From so many frames a background is learnt; more cost memory and change nothing.
SAMPLED = 31

HOW_TO_CORRECT = """\
Drafts of labels made by `streamcount data extract`, by the method `{method}`. They are wrong in places: look at
overlays/, delete frames that are of no use (image and label), and correct the others.

images/    {count} frames
labels/    {labels}
overlays/  previews, not read by any training

How to correct them
{how}
Delete no cell because it is dim or cut by the border: the labels must hold every cell, or counts go wrong.
Then: streamcount data check FOLDER; streamcount data split FOLDER; streamcount train FOLDER --output models/NAME
"""
HOW_MASKS = """\
- napari: `napari images/NAME.png`, then drag labels/NAME.png in as a *labels* layer; paint with the brush (2), fill
  (4), erase (1), `m` takes a new number; save the layer as labels/NAME.png.
- QuPath: File > Import objects from the label image (script `ImageData`, `LabeledImage`), correct, export a
  "labelled image" (instances) over labels/NAME.png.
- Cellpose: name the labels NAME_masks.png beside NAME.png, open, correct, save as PNG masks.
- Label Studio: brush labels are imported from COCO run lengths; make boxes instead (`--boxes`) if that is enough.
"""
HOW_BOXES = """\
- LabelImg: open folder images/, set the save folder to labels/, format YOLO; copy classes.txt into labels/ first.
- Label Studio: `label-studio-converter import yolo -i FOLDER -o tasks.json`, correct, export as YOLO.
- CVAT, Roboflow, Supervisely: import as "YOLO", export as "YOLO" or "COCO"; streamcount reads both.
- QuPath, napari: make label images instead (without `--boxes`), these tools paint pixels.
"""


@dataclass(frozen=True)
class ExtractChoice:
    """every: which frames, the first of so many. most: frames at most, None for all. boxes: YOLO boxes in place
    of label images. channel: of a TIFF that has several.
    """

    classical: ClassicalChoice = field(default_factory=ClassicalChoice)
    every: int = 1
    most: int | None = None
    boxes: bool = False
    channel: int | str | None = None


def open_recording(path: Path, choice: ExtractChoice) -> Source:
    """The source of a video, a TIFF stack or a folder of images. Raises SourceError."""
    if path.is_dir():
        return FolderConfig(path=path).build()
    if is_tiff_name(path):
        return TiffConfig(path=path, channel=choice.channel).build()
    return VideoConfig(location=str(path)).build()


def wanted_frames(source: Source, path: Path, choice: ExtractChoice) -> Iterator[Frame]:
    """Every Nth frame, read as they are asked for. Raises SourceError."""
    return islice(islice(source.frames(file_run(path, 1.0)), 0, None, choice.every), choice.most)


def extract(
    path: Path, folder: Path, choice: ExtractChoice, progress: Callable[[int, int | None], None]
) -> tuple[int, int]:
    """Write images/, labels/, overlays/, classes.txt and README.txt; returns (frames, cells).

    progress: told (done, of how many if that is known). Raises TrainingError, or SourceError naming the file.
    """
    require_new(folder)
    source = open_recording(path, choice)
    total = source.frame_count
    if total is not None:
        total = min(-(-total // choice.every), choice.most or total)
    labeller = build_labeller(choice.classical, _sample(source, path, total, choice))
    write_class_names(folder, CELL)
    stem, frames, cells = run_name(path), 0, 0
    for frame in wanted_frames(source, path, choice):
        frames += 1
        name = f"{stem}_{frame.metadata.sequence:06d}"
        cells += _write(folder, name, frame.image, labeller(frame).astype(np.int32), choice.boxes)
        progress(frames, total)
    if not frames:
        raise TrainingError(f"{path} holds no frame.")
    text = HOW_TO_CORRECT.format(
        method=choice.classical.method,
        count=frames,
        labels="`class cx cy w h` lines (YOLO)" if choice.boxes else "label images, cell i has the value i",
        how=HOW_BOXES if choice.boxes else HOW_MASKS,
    )
    (folder / "README.txt").write_text(text, encoding="utf-8")
    return frames, cells


def _sample(source: Source, path: Path, total: int | None, choice: ExtractChoice) -> list[Image]:
    """Frames spread over what is taken of the recording, those between included, for the background."""
    if choice.classical.method not in (Method.BACKGROUND, Method.MOG2):
        return []
    step = max(1, (total or SAMPLED) * choice.every // SAMPLED)
    frames = islice(source.frames(file_run(path, 1.0)), 0, None, step)
    return [frame.image for frame in islice(frames, SAMPLED)]


def _write(folder: Path, name: str, image: Image, labels: NDArray[np.int32], boxes_only: bool) -> int:
    places = [p for p in ndimage.find_objects(labels) if p is not None]
    rows = [(p[0].start, p[1].start, p[0].stop, p[1].stop) for p in places]
    boxes = np.array(rows, np.float32).reshape(-1, 4)
    ids = np.zeros(len(boxes), np.int64)
    write_labelled(folder, name, image, boxes, ids, None if boxes_only else labels, 1)
    shown = LabelledImage(
        folder / "images" / f"{name}.png",
        (image.shape[0], image.shape[1]),
        boxes,
        ids,
        masks=None if boxes_only else lambda: labels,
    )
    write_picture(folder / "overlays" / f"{name}.png", draw_labels(shown))
    return len(boxes)
