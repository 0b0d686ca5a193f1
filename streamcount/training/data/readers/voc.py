"""Pascal VOC: one XML file an image, with named boxes in pixels (Everingham et al. 2010; LabelImg's form)."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamcount.errors import TrainingError
from streamcount.training.data.readers.base import (
    Cells,
    Entry,
    Listing,
    by_stem,
    first_folder,
    images_in,
    known_names,
    missing_label,
    natural_order,
)

ANNOTATION_FOLDERS = ("annotations", "Annotations", "labels")
IMAGE_FOLDERS = ("images", "JPEGImages")


class VocReader:
    """Named boxes. A box is taken as from corner to corner, which is what LabelImg writes."""

    name = "voc"
    layout = "images/NAME.png + annotations/NAME.xml (or JPEGImages/ and Annotations/, or side by side)"

    def recognises(self, folder: Path) -> bool:
        """See Reader.recognises."""
        return any(_annotations(folder).glob("*.xml"))

    def class_names(self, folder: Path) -> tuple[str, ...]:
        """The names in classes.txt, else those in the files, sorted."""
        names = known_names(folder)
        if names is not None:
            return names
        found = {name for path in _annotations(folder).glob("*.xml") for name, _ in read_voc(path)}
        return tuple(sorted(found))

    def entries(self, folder: Path, class_names: tuple[str, ...]) -> Listing:
        """See Reader.entries."""
        images = images_in(first_folder(folder, IMAGE_FOLDERS) or folder)
        labels = by_stem(sorted(_annotations(folder).glob("*.xml")))
        entries = []
        for image in images:
            label = labels.pop(image.stem, None)
            entries.append(Entry(image, label, _VocCells(image, label, class_names)))
        return Listing(tuple(entries), tuple(sorted(labels.values(), key=natural_order)))


def _annotations(folder: Path) -> Path:
    found = first_folder(folder, ANNOTATION_FOLDERS)
    return found if found is not None and any(found.glob("*.xml")) else folder


@dataclass(frozen=True)
class _VocCells:
    image: Path
    label: Path | None
    class_names: tuple[str, ...]

    def __call__(self, shape_px: tuple[int, int]) -> Cells:
        if self.label is None:
            raise missing_label(self.image, self.image.with_suffix(".xml"))
        objects = read_voc(self.label)
        unknown = sorted({name for name, _ in objects} - set(self.class_names))
        if unknown:
            raise TrainingError(
                f"{self.label} names the class {unknown[0]!r}; known are {', '.join(self.class_names)}."
            )
        boxes = np.array([box for _, box in objects], np.float32).reshape(-1, 4)
        return Cells(boxes, np.array([self.class_names.index(name) for name, _ in objects], np.int64))


def read_voc(path: Path) -> list[tuple[str, tuple[float, float, float, float]]]:
    """The (name, [y0, x0, y1, x1]) of each object. Raises TrainingError naming a broken file."""
    objects = []
    try:
        for element in ElementTree.parse(path).getroot().iter("object"):
            name = (element.findtext("name") or "").strip()
            y0, x0, y1, x1 = (
                float(element.findtext(f"bndbox/{key}") or "nan") for key in ("ymin", "xmin", "ymax", "xmax")
            )
            if not name or not (y0 < y1 and x0 < x1):
                raise TrainingError(
                    f"{path}: an object needs a <name>, and a <bndbox> with xmin < xmax and ymin < ymax."
                )
            objects.append((name, (y0, x0, y1, x1)))
    except (ElementTree.ParseError, ValueError, OSError) as error:
        raise TrainingError(f"{path} is no Pascal VOC annotation ({error}); export it again.") from error
    return objects
