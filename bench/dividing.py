"""The set that `dividing-nuclei` was made of, out of the Data Science Bowl's images and the model's own labels.csv.

    streamcount data split dsb2018_fluo --output nuclei.json
    python -m bench.dividing dsb2018_fluo --split nuclei.json --output dividing

writes `dividing/train` and `dividing/val` as points of two classes; then the command in the model's `model.toml`
trains on them. labels.csv names what was found to divide and what could not be told. Interphase are the others of
those nuclei that were looked at, and a third of the rest. Which these were was not written down: taken are the
nuclei that are brightest for their image, which hold nearly all of labels.csv, and a third that is drawn anew.
"""

from __future__ import annotations

import csv
import shutil
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from streamcount.cli._console import output_console
from streamcount.detection.bundle import find_bundle
from streamcount.training.data.labelled import LabelledImage
from streamcount.training.data.parts import read_parts

CLASSES = ("interphase", "dividing")
LEAST_DIAMETER_PX = 18.0
LOOKED_AT = 935
SHARE_OF_OTHERS = 1 / 3


@dataclass(frozen=True)
class Nuclei:
    """Of one image with N nuclei: places (N, 2) x and y, px; brightness (N,) over the image's median nucleus.

    label: (N,) "dividing", "unsure", or "" for what labels.csv does not name.
    """

    image: LabelledImage
    places: NDArray[np.int64]
    brightness: NDArray[np.float64]
    label: list[str]


def main(
    data: Annotated[Path, typer.Argument(help="The Data Science Bowl's fluorescence images, with labels.")],
    output: Annotated[Path, typer.Option(help="Folder to write, which must not be there.")],
    split: Annotated[
        Path | None,
        typer.Option(help="Split file that `nuclei` was made with.", show_default="DATA/train, DATA/val"),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Table of image, x_px, y_px, label.", show_default="the model's own")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the third that is drawn.")] = 1,
) -> None:
    """Writes the set and prints how many nuclei of each class it has."""
    if output.exists():
        raise typer.BadParameter(f"{output} is there already; name another folder", param_hint="--output")
    told = _read_labels(labels or find_bundle("dividing-nuclei") / "labels.csv")
    parts = {
        part: [_nuclei(image, told) for image in dataset.images if image.diameter_px >= LEAST_DIAMETER_PX]
        for part, dataset in read_parts(data, split=split).items()
    }
    everything = np.concatenate([one.brightness for part in parts.values() for one in part])
    bright = float(np.sort(everything)[-min(LOOKED_AT, len(everything))])
    rng = np.random.default_rng(seed)
    for part, images in parts.items():
        counts = np.zeros(len(CLASSES), int)
        for one in images:
            counts += _write(output / part, one, bright, rng)
        (output / part / "classes.txt").write_text("\n".join(CLASSES) + "\n", encoding="utf-8")
        cells = ", ".join(f"{n} {name}" for n, name in zip(counts, CLASSES, strict=True))
        output_console().print(f"{output / part}: {cells}", highlight=False)


def _read_labels(path: Path) -> dict[str, list[tuple[int, int, str]]]:
    """By image (x, y, label)."""
    labels = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            labels[row["image"]].append((int(row["x_px"]), int(row["y_px"]), row["label"]))
    return labels


def _nuclei(image: LabelledImage, labels: dict[str, list[tuple[int, int, str]]]) -> Nuclei:
    masks = np.asarray(image.masks())
    pixels = cv2.imread(str(image.path), cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        raise typer.BadParameter(f"{image.path} is no readable image", param_hint="DATA")
    number = int(masks.max())
    areas = np.bincount(masks.ravel(), minlength=number + 1)[1:]
    means = np.bincount(masks.ravel(), pixels.ravel(), number + 1)[1:] / np.maximum(areas, 1)
    rows, columns = np.indices(masks.shape)
    places = np.stack(
        [
            np.bincount(masks.ravel(), at.ravel(), number + 1)[1:] / np.maximum(areas, 1)
            for at in (columns, rows)
        ],
        axis=1,
    )
    label, places = [""] * number, places.round().astype(np.int64)
    for x, y, told in labels.get(image.path.name, []):
        nucleus = int(masks[y, x]) - 1
        label[nucleus], places[nucleus] = told, (x, y)
    return Nuclei(image, places, means / np.median(means), label)


def _write(folder: Path, nuclei: Nuclei, bright: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """One image and its points, unless none is left; how many there are of each class."""
    drawn = rng.random(len(nuclei.label)) < SHARE_OF_OTHERS
    lines, counts = [], np.zeros(len(CLASSES), np.int64)
    for (x, y), label, brightness, by_chance in zip(
        nuclei.places.tolist(), nuclei.label, nuclei.brightness, drawn, strict=True
    ):
        if label == "unsure" or not (label or brightness >= bright or by_chance):
            continue
        class_id = int(label == "dividing")
        counts[class_id] += 1
        lines.append(f"{x} {y} {class_id}\n")
    if lines:
        for kind in ("images", "labels"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(nuclei.image.path, folder / "images" / nuclei.image.path.name)
        (folder / "labels" / f"{nuclei.image.path.stem}.txt").write_text("".join(lines), encoding="ascii")
    return counts


if __name__ == "__main__":
    typer.run(main)
