"""Label images in labels/ or beside the images; of several classes where a text file tells them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streamcount.errors import TrainingError
from streamcount.training.data.readers.base import (
    CELL,
    Cells,
    Entry,
    Listing,
    by_stem,
    images_in,
    is_image,
    known_names,
    missing_label,
    natural_order,
)
from streamcount.training.data.readers.instances import instance_cells

LABEL_ENDINGS = ("_instances", "_masks", "_mask", "_labels", "_label")
IMAGE_ENDINGS = ("_raw8", "_raw", "_img", "_image", "")


class LabelImageReader:
    """Cells with masks. labels/NAME.txt may give each number's class as `id class` lines."""

    name = "label-images"
    layout = "images/NAME.png + labels/NAME.png (or NAME_raw8.png beside NAME_instances.png), numbered cells"

    def recognises(self, folder: Path) -> bool:
        """See Reader.recognises."""
        labels = folder / "labels"
        if (folder / "images").is_dir() and labels.is_dir():
            return any(is_image(p) for p in labels.iterdir())
        return folder.is_dir() and any(_bare_name(p) is not None for p in folder.iterdir() if is_image(p))

    def class_names(self, folder: Path) -> tuple[str, ...]:
        """The names in classes.txt, else one class, "cell"."""
        return known_names(folder) or CELL

    def entries(self, folder: Path, class_names: tuple[str, ...]) -> Listing:
        """See Reader.entries."""
        if (folder / "images").is_dir():
            images, labels = by_stem(images_in(folder / "images")), by_stem(images_in(folder / "labels"))
        else:
            images, labels = _side_by_side(folder)
        entries = [
            Entry(image, labels.get(name), _InstanceCells(image, labels.get(name), len(class_names)))
            for name, image in images.items()
        ]
        orphans = [path for name, path in labels.items() if name not in images]
        return Listing(tuple(entries), tuple(sorted(orphans, key=natural_order)))


@dataclass(frozen=True)
class _InstanceCells:
    image: Path
    label: Path | None
    classes: int

    def __call__(self, shape_px: tuple[int, int]) -> Cells:
        if self.label is None:
            raise missing_label(self.image, self.image.parent.parent / "labels" / f"{self.image.stem}.png")
        table = self.label.with_suffix(".txt")
        if self.classes == 1 and not table.is_file():
            return instance_cells(self.label, shape_px, None)
        return instance_cells(self.label, shape_px, read_classes(table, self.classes))


def read_classes(path: Path, classes: int) -> dict[int, int]:
    """Read `id class` lines. Raises TrainingError naming a wrong line, or the file where it is missing."""
    if not path.is_file():
        raise TrainingError(
            f"{path} is missing: label images of {classes} classes need a text of `id class` lines beside each."
        )
    found: dict[int, int] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2 or not all(word.isdecimal() for word in words) or int(words[1]) >= classes:
            raise TrainingError(f"{path}:{number}: {line!r}; write `id class`, classes 0 to {classes - 1}.")
        found[int(words[0])] = int(words[1])
    return found


def _bare_name(path: Path) -> str | None:
    """The name without a label's ending; None where it has none."""
    for ending in LABEL_ENDINGS:
        if path.stem.endswith(ending) and len(path.stem) > len(ending):
            return path.stem[: -len(ending)]
    return None


def _side_by_side(folder: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    files = images_in(folder)
    labels = {name: path for path in files if (name := _bare_name(path)) is not None}
    plain = by_stem(path for path in files if _bare_name(path) is None)
    images: dict[str, Path] = {}
    for name in labels:
        found = [plain.pop(name + ending) for ending in IMAGE_ENDINGS if name + ending in plain]
        images |= dict.fromkeys([name], found[0]) if found else {}
    return images | plain, labels
