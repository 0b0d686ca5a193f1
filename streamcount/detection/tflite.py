"""The compiled dense net as a detector: scale the frame to the net's cell size, infer, read the cells off."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from streamcount.detection.bundle import CROP_CLASSIFICATION, DENSE_INSTANCES, Bundle, load_bundle
from streamcount.detection.instances import gather, outlines
from streamcount.detection.net import Net, ThreadedNet, padded
from streamcount.detection.novelty import readings_of, usual_of
from streamcount.detection.postprocess import Cells, Rules, decode, label_image
from streamcount.detection.prepare import prepare
from streamcount.detection.scale import Look, ScaleRules, first_look
from streamcount.detection.second import CropClassifier
from streamcount.errors import FrameError, ModelError
from streamcount.statistics import IMAGE_EDGE_PX, counted_in_image
from streamcount.types import Detections, Float32Array, Frame, ModelIdentity, UInt8Array

RESCALE_FROM = 1.12  # a second pass only where the scale is off by more
LARGEST_INPUT_PX = 100_000_000  # beyond, the scale told is a mistake, or the memory too small


class TfliteConfig(BaseModel):
    """Settings of the `tflite` detector."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    kind: Literal["tflite"] = Field(default="tflite", description="Which detector.")
    model: str = Field(
        default="blood-smear", min_length=1, description="Name of a model bundle, or the path of its folder."
    )
    form: Literal["int8", "float32"] = Field(
        default="int8", description="Which compiled form: int8 is smaller and, on most processors, faster."
    )
    border: Literal["all", "whole", "counting-frame"] = Field(
        default="all",
        description="Cells that touch the frame's edge: all are told, none (whole cells only), or those at the top "
        "and left but not at the bottom and right, so that a cell on a border counts for one field.",
    )
    second_stage: str | None = Field(
        default=None,
        min_length=1,
        description="A model that looks closer at the cells of one class and tells finer ones, such as "
        "red-cell-shapes; by name or folder.",
    )
    cell_diameter_px: float | None = Field(
        default=None,
        ge=4,
        le=2000,
        description="Diameter of the model's reference cell in the frames, px; else by pixel size, else "
        "estimated anew in every frame, which costs a second pass. `streamcount model scale` tells it.",
    )
    cell_diameter_um: float | None = Field(
        default=None,
        gt=0,
        le=1e5,
        description="The same in µm, for frames whose pixel size is known, in place of what is usual for the model.",
    )
    thresholds: dict[str, float] = Field(
        default_factory=dict,
        description="Least score of a class, in place of the model's own, by class name.",
    )

    @model_validator(mode="after")
    def _one_diameter(self) -> TfliteConfig:
        if self.cell_diameter_px is not None and self.cell_diameter_um is not None:
            raise ValueError("cell_diameter_px and cell_diameter_um say the same; leave one of both out")
        return self

    def build(self) -> TfliteDetector:
        """The detector. Raises ModelError where the bundle is missing, damaged, or has no such class."""
        return TfliteDetector(self)


class TfliteDetector:
    """Finds cells with a model bundle. May be called from several threads: each has its own interpreters."""

    def __init__(self, config: TfliteConfig, net: Net | None = None) -> None:
        """net: what to run in place of the bundle's compiled file. Raises ModelError as TfliteConfig.build does."""
        bundle = load_bundle(config.model)
        if bundle.task == CROP_CLASSIFICATION:
            raise ModelError(
                f"Model {bundle.name} finds no cells, it classifies them: name it as second_stage."
            )
        unknown = sorted(set(config.thresholds) - set(bundle.class_names))
        if unknown:
            names = ", ".join(bundle.class_names)
            raise ModelError(
                f"Model {bundle.name} has no class {unknown[0]!r} to set a threshold for; it has {names}."
            )
        if not all(0 < value <= 1 for value in config.thresholds.values()):
            raise ModelError(
                "Thresholds are probabilities above 0 and at most 1; correct detector.thresholds."
            )
        info, form = bundle.input, bundle.form(config.form)
        self._config = config
        self._bundle = bundle
        self._thresholds = np.array(
            [config.thresholds.get(one.name, one.threshold) for one in bundle.classes], np.float32
        )
        own = np.array([one.threshold for one in bundle.classes], np.float32)
        relative = np.array([one.relative_diameter for one in bundle.classes], np.float32)
        self._scale_rules = ScaleRules(
            info.cell_diameter_px, info.usual_diameter_px, bundle.reference_class, relative, own
        )
        temperatures = np.array([one.temperature for one in bundle.classes], np.float32)
        least = np.minimum(self._thresholds, own)
        self._rules = Rules(least, temperatures, info.cell_diameter_px, bundle.nms_iou)
        self._usual = usual_of(bundle)
        self._net = ThreadedNet(bundle.read_model(config.form), form.outputs) if net is None else net
        self._identity = ModelIdentity(
            bundle.name, form.sha256, bundle.class_names, bundle.abnormal, bundle.dead, bundle.mitotic
        )
        self._second = (
            CropClassifier(config.second_stage, config.form, bundle) if config.second_stage else None
        )
        if self._second is not None:
            self._identity = self._second.identity(self._identity)

    @property
    def model(self) -> ModelIdentity:
        """The bundle's name, the sha256 of its compiled file, and its classes; with a second stage, of both."""
        return self._identity

    @property
    def bundle(self) -> Bundle:
        """What `model.toml` says."""
        return self._bundle

    def detect(self, frame: Frame, *, labels: bool = False, outlines: bool = False) -> Detections:
        """The cells of `frame`. Nothing is kept between frames.

        A row of `class_probabilities` need not sum to 1: the rest is the probability that there is no cell.
        Quality flags: "empty" (no cell found), "scale-unknown" (neither told nor to be seen, so the frame was
        searched at the scale usual for the model), "pixel-size-unknown" (so that cell_diameter_um says nothing).
        Raises FrameError "too-large" where the frame, scaled to the net's cell size, exceeds 100 Mpx.
        """
        found, seen, quality = self._search(frame, labels=labels, outlined=outlines)
        readings = None if self._usual is None else readings_of(seen.maps, found.cells, seen.shape_px)
        return self._detections(frame, found, quality, readings)

    def watched(self, frame: Frame) -> tuple[Detections, Float32Array]:
        """As `detect`, and (N, F) what the maps say of each cell, see `novelty`."""
        found, seen, quality = self._search(frame, labels=False)
        readings = readings_of(seen.maps, found.cells, seen.shape_px)
        return self._detections(frame, found, quality, readings), readings

    def seen_diameter_px(self, frame: Frame) -> float | None:
        """The reference cell's diameter that the frame itself shows, px, whatever is told; None if it shows none.

        Raises FrameError as `detect` does.
        """
        info = self._bundle.input
        return self._first_look(prepare(frame.image, info.channels, info.normalise, info.exposure))[1]

    def told_diameter_px(self, frame: Frame) -> float | None:
        """The reference cell's diameter by the configuration or the frame's pixel size, px; None if nothing tells."""
        if self._config.cell_diameter_px is not None:
            return self._config.cell_diameter_px
        if frame.metadata.pixel_size_um is not None:
            usual_um = self._config.cell_diameter_um or self._bundle.input.cell_diameter_um
            return usual_um / frame.metadata.pixel_size_um
        return None

    def _first_look(self, image: NDArray[np.uint8]) -> tuple[Look, float | None]:
        return first_look(lambda scale: self._look(image, scale), max(image.shape[:2]), self._scale_rules)

    def _search(
        self, frame: Frame, *, labels: bool, outlined: bool = False
    ) -> tuple[_Found, Look, tuple[str, ...]]:
        """The cells that count, the look that is believed, and the frame's flags."""
        info = self._bundle.input
        image = prepare(frame.image, info.channels, info.normalise, info.exposure)
        told = diameter = self.told_diameter_px(frame)
        if told is not None:
            seen = self._look(image, info.cell_diameter_px / told)
        else:
            seen, diameter = self._first_look(image)
            off = 1.0 if diameter is None else diameter * seen.scale / info.cell_diameter_px
            if diameter is not None and not 1 / RESCALE_FROM <= off <= RESCALE_FROM:
                seen = self._look(image, info.cell_diameter_px / diameter)
        found = self._found(frame, seen, labels=labels, outlined=outlined)
        if self._second is not None:
            # Where the scale is told, a smear of large cells shows large cells; else they are the usual ones.
            usual = told or self._scale_rules.diameter(seen) or info.cell_diameter_px / seen.scale
            shares = self._second.refine(image, found.boxes_px, found.probabilities, usual)
            found = replace(found, probabilities=shares)
        flags = {
            "empty": not len(found.boxes_px),
            "scale-unknown": not diameter,
            "pixel-size-unknown": told is None and self._config.cell_diameter_um is not None,
        }
        quality = tuple(flag for flag, is_so in flags.items() if is_so)
        shape = frame.image.shape[0], frame.image.shape[1]
        return found.take(counted(found.boxes_px, shape, self._config.border)), seen, quality

    def _look(self, image: NDArray[np.uint8], scale: float) -> Look:
        height, width, channels = image.shape
        shape = max(8, round(height * scale)), max(8, round(width * scale))
        if shape[0] * shape[1] > LARGEST_INPUT_PX:
            raise FrameError(
                "too-large",
                f"a frame of {height} x {width} px scaled {scale:.2f} times is more than can be searched; "
                "crop it, or check cell_diameter_px (or _um) and the pixel size",
            )
        scaled = image
        if shape != (height, width):
            method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            scaled = np.asarray(cv2.resize(image, (shape[1], shape[0]), interpolation=method), np.uint8)
        info = self._bundle.input
        batch = padded(scaled.reshape(*shape, channels), info.multiple_px, info.padding_level)
        maps = self._net.infer(batch)
        cells = decode(maps, self._rules, shape)
        return Look(cells, maps, (shape[0] / height, shape[1] / width), shape)

    def _found(self, frame: Frame, seen: Look, *, labels: bool, outlined: bool) -> _Found:
        """The cells that count, in pixels of the frame."""
        shape = frame.image.shape[0], frame.image.shape[1]
        cells = seen.cells.take(seen.cells.scores >= self._thresholds[seen.cells.class_ids])
        scale, limits = np.array(seen.scale_yx, np.float32), np.array([*shape] * 2, np.float32)
        if self._bundle.task == DENSE_INSTANCES:
            disc_px = self._bundle.input.cell_diameter_px**2 * np.pi / 4
            least_px = self._bundle.least_area * disc_px
            whole = gather(cells, seen.maps, seen.shape_px, least_px, outlined=outlined)
            return _Found(
                whole.decoded,
                np.asarray(np.minimum(whole.cells.boxes_px / np.tile(scale, 2), limits), np.float32),
                whole.centroids_px / scale,
                np.asarray(whole.areas_px / scale.prod(), np.float32),
                whole.cells.probabilities,
                outlines(whole, seen.maps, seen.shape_px, shape) if labels else None,
                whole.foreground_px / (seen.shape_px[0] * seen.shape_px[1]),
                whole.outlines,
            )
        boxes = np.asarray(np.minimum(cells.boxes_px / np.tile(scale, 2), limits), np.float32)
        sides = boxes[:, 2:] - boxes[:, :2]
        return _Found(
            cells,
            boxes,
            np.asarray((boxes[:, :2] + boxes[:, 2:]) / 2, np.float32),
            np.asarray(sides.prod(axis=1) * (np.pi / 4), np.float32),
            cells.probabilities,
            _discs(boxes, seen, shape) if labels else None,
        )

    def _detections(
        self, frame: Frame, found: _Found, quality: tuple[str, ...], readings: Float32Array | None
    ) -> Detections:
        novelties = None
        if self._usual is not None and readings is not None:
            novelties = self._usual.novelties(readings, found.cells.class_ids)
        return Detections(
            metadata=frame.metadata,
            image_shape=(frame.image.shape[0], frame.image.shape[1]),
            model=self._identity,
            centroids_px=found.centroids_px.astype(np.float32),
            boxes_px=found.boxes_px.astype(np.float32),
            areas_px=found.areas_px.astype(np.float32),
            class_probabilities=found.probabilities,
            labels=found.labels,
            quality=quality,
            foreground_fraction=found.foreground_fraction,
            novelties=novelties,
            outlines=found.outlines,
        )


@dataclass(frozen=True)
class _Found:
    """N cells in pixels of the frame, and the share of the frame that is cell, where the model tells.

    cells: the same as they were decoded, in pixels of the net's input.
    """

    cells: Cells
    boxes_px: Float32Array
    centroids_px: Float32Array
    areas_px: Float32Array
    probabilities: Float32Array
    labels: NDArray[np.uint16] | None = None
    foreground_fraction: float | None = None
    outlines: UInt8Array | None = None

    def take(self, keep: NDArray[np.bool_]) -> _Found:
        """Some of the cells only; the label image keeps to their new numbers."""
        return _Found(
            self.cells.take(keep),
            self.boxes_px[keep],
            self.centroids_px[keep],
            self.areas_px[keep],
            self.probabilities[keep],
            None if self.labels is None else _only(self.labels, keep),
            self.foreground_fraction,
            None if self.outlines is None else self.outlines[keep],
        )


def counted(
    boxes_px: Float32Array, shape_px: tuple[int, int], border: Literal["all", "whole", "counting-frame"]
) -> NDArray[np.bool_]:
    """(N,) which boxes (N, 4) count by the rule for the frame's edge.

    "counting-frame" is the unbiased rule of Gundersen (J. Microsc. 111, 1977) and of haemocytometers: cells at the
    top and left edges count, those at the bottom and right do not.
    """
    if border == "all":
        return np.ones(len(boxes_px), np.bool_)
    inside = counted_in_image(boxes_px, shape_px)
    if border == "whole":
        inside &= (boxes_px[:, :2] > IMAGE_EDGE_PX).all(axis=1)
    return inside


def _only(labels: NDArray[np.uint16], keep: NDArray[np.bool_]) -> NDArray[np.uint16]:
    if keep.all():
        return labels
    numbers = np.zeros(len(keep) + 1, np.uint16)
    numbers[1:][keep] = np.arange(1, int(keep.sum()) + 1)
    return np.asarray(numbers[labels], np.uint16)


def _discs(boxes_px: Float32Array, seen: Look, shape_px: tuple[int, int]) -> NDArray[np.uint16]:
    rows, columns = -(-seen.shape_px[0] // 4), -(-seen.shape_px[1] // 4)
    return label_image(boxes_px, seen.maps.foreground.values(rows, columns)[..., 0], shape_px)
