"""COCO JSON (Lin et al. 2014): boxes, polygons, and masks as run lengths."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcount.errors import TrainingError
from streamcount.training.data.labelled import DOUBLED_IOU, Note, NoteKind
from streamcount.training.data.readers.base import Cells, Entry, Listing, images_in, natural_order

IMAGE_FOLDERS = ("images", "")
KEYS = ('"images"', '"annotations"', '"categories"')


class CocoReader:
    """One JSON file for all images of the folder."""

    name = "coco"
    layout = "images/NAME.png + annotations.json (or another .json here or in annotations/) in COCO's form"

    def recognises(self, folder: Path) -> bool:
        """See Reader.recognises."""
        return bool(_files(folder))

    def class_names(self, folder: Path) -> tuple[str, ...]:
        """The categories in order of their ids."""
        return tuple(name for _, name in _categories(_load(folder)))

    def entries(self, folder: Path, class_names: tuple[str, ...]) -> Listing:
        """See Reader.entries."""
        content = _load(folder)
        path = _files(folder)[0]
        numbers = _numbers(content, class_names, path)
        annotations: dict[int, list[dict[str, Any]]] = {}
        for annotation in content["annotations"]:
            annotations.setdefault(annotation["image_id"], []).append(annotation)
        present = {p.relative_to(folder).as_posix(): p for p in _present(folder)}
        present |= {p.name: p for p in present.values()}
        entries, orphans = [], []
        for image in sorted(content["images"], key=lambda i: natural_order(i["file_name"])):
            name = str(image["file_name"]).replace("\\", "/")
            found = present.get(name) or present.get(name.rsplit("/", 1)[-1])
            if found is None:
                orphans.append(path.with_name(f"{path.name}:{name}"))
                continue
            cells = _CocoCells(path, tuple(annotations.get(image["id"], ())), numbers)
            entries.append(Entry(found, path, cells))
        taken = {entry.image for entry in entries}
        unlabelled = [p for p in dict.fromkeys(present.values()) if p not in taken]
        entries += [Entry(p, None, partial(_unlabelled, p, path)) for p in unlabelled]
        return Listing(tuple(entries), tuple(orphans))


def _unlabelled(image: Path, path: Path, shape_px: tuple[int, int]) -> Cells:
    raise TrainingError(f"{image} is not listed in {path}; add it, or remove the image.")


def _present(folder: Path) -> list[Path]:
    places = [folder / name for name in IMAGE_FOLDERS if (folder / name).is_dir()]
    return [path for place in places for path in images_in(place)]


def _files(folder: Path) -> list[Path]:
    """The JSON files of COCO's form. One alone is expected."""
    found = [p for place in (folder, folder / "annotations") for p in sorted(place.glob("*.json"))]
    return [p for p in found if all(key in _text(p) for key in KEYS)]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path} cannot be read as text ({error}).") from error


def _load(folder: Path) -> dict[str, Any]:
    files = _files(folder)
    if len(files) != 1:
        told = ", ".join(p.name for p in files) or "none"
        raise TrainingError(
            f"{folder} needs one COCO .json file, found {told}; put each part (train, val) in its own folder."
        )
    try:
        content = json.loads(_text(files[0]))
        for key, needed in (
            ("images", ("id", "file_name")),
            ("annotations", ("image_id", "category_id")),
            ("categories", ("id", "name")),
        ):
            if not all(name in item for item in content[key] for name in needed):
                raise TrainingError(f"{files[0]}: each of {key} needs {' and '.join(needed)}.")
    except (json.JSONDecodeError, TypeError, KeyError) as error:
        raise TrainingError(f"{files[0]} is no COCO annotation ({error}); export it again.") from error
    return dict(content)


def _categories(content: dict[str, Any]) -> list[tuple[int, str]]:
    used = {a["category_id"] for a in content["annotations"]}
    # Some tools add a root category, id 0, that nothing has.
    listed = sorted((c["id"], str(c["name"])) for c in content["categories"])
    return [c for c in listed if c[0] in used or len(used) == 0 or c[0] != 0]


def _numbers(content: dict[str, Any], class_names: tuple[str, ...], path: Path) -> dict[int, int]:
    known = dict(_categories(content))
    used = {a["category_id"] for a in content["annotations"]}
    for category in sorted(used):
        if known.get(category) not in class_names:
            raise TrainingError(
                f"{path} has the category {known.get(category, category)!r}; known are {', '.join(class_names)}."
            )
    return {category: class_names.index(name) for category, name in known.items() if name in class_names}


@dataclass(frozen=True)
class _CocoCells:
    path: Path
    annotations: tuple[dict[str, Any], ...] = field(repr=False)
    numbers: dict[int, int] = field(repr=False)

    def __call__(self, shape_px: tuple[int, int]) -> Cells:
        single = [a for a in self.annotations if not a.get("iscrowd")]
        crowds = len(self.annotations) - len(single)
        notes = [Note(NoteKind.CROWD, self.path, crowds)] if crowds else []
        ids = np.array([self.numbers[a["category_id"]] for a in single], np.int64)
        if not single or not all(a.get("segmentation") for a in single):
            boxes = np.array([self._box(a) for a in single], np.float32).reshape(-1, 4)
            return Cells(boxes, ids, complete=not crowds, notes=tuple(notes))
        runs = [self._runs(a, shape_px) for a in single]
        keep = _undoubled_masks(runs, ids)
        if not keep.all():
            notes.append(Note(NoteKind.DOUBLED, self.path, int((~keep).sum())))
        runs = [r for r, k in zip(runs, keep, strict=True) if k]
        boxes, shown = _boxes_of(masks_of_runs(runs, shape_px), len(runs))
        if not shown.all():
            notes.append(Note(NoteKind.HIDDEN, self.path, int((~shown).sum())))
        runs = [r for r, s in zip(runs, shown, strict=True) if s]
        return Cells(
            boxes[shown],
            ids[keep][shown],
            partial(masks_of_runs, runs, shape_px),
            complete=not crowds,
            distinct=True,
            notes=tuple(notes),
        )

    def _box(self, annotation: dict[str, Any]) -> tuple[float, float, float, float]:
        box = annotation.get("bbox")
        if not isinstance(box, list) or len(box) != 4 or min(box[2:]) <= 0:
            raise TrainingError(f"{self.path}: annotation {annotation.get('id')} needs bbox [x, y, w, h].")
        x, y, wide, high = map(float, box)
        return y, x, y + high, x + wide

    def _runs(self, annotation: dict[str, Any], shape_px: tuple[int, int]) -> dict[str, Any]:
        from faster_coco_eval.core import mask

        shape, (height, width) = annotation["segmentation"], shape_px
        try:
            if isinstance(shape, list):
                return dict(mask.merge(mask.frPyObjects(shape, height, width)))
            if tuple(shape["size"]) != shape_px:
                raise TrainingError(
                    f"{self.path}: the mask of annotation {annotation.get('id')} is {shape['size']} px, its "
                    f"image {list(shape_px)}."
                )
            if isinstance(shape["counts"], list):
                return dict(mask.frPyObjects(shape, height, width))
            return {"size": [height, width], "counts": shape["counts"]}
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise TrainingError(
                f"{self.path}: the segmentation of annotation {annotation.get('id')} is neither polygons nor "
                f"run lengths ({error})."
            ) from error


def masks_of_runs(runs: list[dict[str, Any]], shape_px: tuple[int, int]) -> NDArray[np.int32]:
    """The (H, W) int32 label image of N masks; where two overlap, the later one is on top."""
    from faster_coco_eval.core import mask

    labels = np.zeros(shape_px, np.int32)
    for number, one in enumerate(runs, start=1):
        labels[np.asarray(mask.decode(one)) > 0] = number
    return labels


def _undoubled_masks(runs: list[dict[str, Any]], ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(N,) False for a mask that repeats an earlier one of its class at IoU >= 0.7."""
    from faster_coco_eval.core import mask

    overlaps = np.asarray(mask.iou(runs, runs, [0] * len(runs))).reshape(len(runs), len(runs))
    doubled = (overlaps >= DOUBLED_IOU) & (ids[:, None] == ids[None])
    keep = np.ones(len(runs), bool)
    for i in range(1, len(runs)):
        keep[i] = not (doubled[i, :i] & keep[:i]).any()
    return keep


def _boxes_of(labels: NDArray[np.int32], number: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(N, 4) boxes of the values 1 to N, and (N,) whether they show at all."""
    from scipy import ndimage

    places = ndimage.find_objects(labels, max_label=number)
    boxes = [(0, 0, 1, 1) if p is None else (p[0].start, p[1].start, p[0].stop, p[1].stop) for p in places]
    shown = np.array([p is not None for p in places], bool)
    return np.array(boxes, np.float32).reshape(-1, 4), shown
