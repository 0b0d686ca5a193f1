"""The compiled dense net as a detector: scale the frame to the net's cell size, infer, read the cells off."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from streamcount.detection.bundle import Bundle, load_bundle
from streamcount.detection.postprocess import Cells, Maps, QuantisedMap, decode, label_image, typical_diameter
from streamcount.detection.runtime import new_interpreter
from streamcount.errors import FrameError, ModelError
from streamcount.types import Detections, Float32Array, Frame, Image, ModelIdentity

FIRST_SIDE_PX = (
    256  # the longer side in the first look at a frame of unknown scale; then twice as much, and so on
)
RELIABLE_SCALE = (0.6, 1.7)  # found diameter over the net's within which a first look is believed
RELIABLE_CELLS = 4
RELIABLE_SHARE = 0.5  # of the cells, of the reference class
RESCALE_FROM = 1.2  # a second pass only where the scale is off by more
LARGEST_INPUT_PX = 6_000_000  # beyond, the maps of one pass would take gigabytes
SHAPES_KEPT = 4  # interpreters kept per thread, one an input shape


class TfliteConfig(BaseModel):
    """Settings of the `tflite` detector."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    kind: Literal["tflite"] = Field(default="tflite", description="Which detector.")
    model: str = Field(
        default="blood-smear", min_length=1, description="Name of a model bundle, or the path of its folder."
    )
    cell_diameter_px: float | None = Field(
        default=None,
        ge=4,
        le=2000,
        description="Diameter of the model's reference cell in the frames, px; else by pixel size, else "
        "estimated anew in every frame, which costs a second pass.",
    )
    thresholds: dict[str, float] = Field(
        default_factory=dict,
        description="Least score of a class, in place of the model's own, by class name.",
    )

    def build(self) -> TfliteDetector:
        """The detector. Raises ModelError where the bundle is missing, damaged, or has no such class."""
        return TfliteDetector(self)


@dataclass(frozen=True)
class _Pass:
    """What one pass found: cells in pixels of the net's input, the maps, and input pixels per frame pixel."""

    cells: Cells
    maps: Maps
    scale_yx: tuple[float, float]
    shape_px: tuple[int, int]


class TfliteDetector:
    """Finds cells with a model bundle. May be called from several threads: each has its own interpreters."""

    def __init__(self, config: TfliteConfig) -> None:
        bundle = load_bundle(config.model)
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
        self._config = config
        self._bundle = bundle
        self._thresholds = np.array(
            [config.thresholds.get(info.name, info.threshold) for info in bundle.classes], np.float32
        )
        self._own_thresholds = np.array([info.threshold for info in bundle.classes], np.float32)
        self._relative = np.array([info.relative_diameter for info in bundle.classes], np.float32)
        self._net = ThreadedNet(bundle.read_model(), bundle.outputs)
        self._identity = ModelIdentity(bundle.name, bundle.sha256, bundle.class_names, bundle.abnormal)

    @property
    def model(self) -> ModelIdentity:
        """The bundle's name, the sha256 of its compiled file, and its classes."""
        return self._identity

    @property
    def bundle(self) -> Bundle:
        """What `model.toml` says."""
        return self._bundle

    def detect(self, frame: Frame, *, labels: bool = False) -> Detections:
        """The cells of `frame`. Nothing is kept between frames.

        A row of `class_probabilities` need not sum to 1: the rest is the probability that there is no cell.
        Quality flags: "empty" (no cell found), "scale-unknown" (nothing told the scale, so the frame was
        searched at the coarsest one). Raises FrameError "too-large" where the scaled frame exceeds 6 Mpx.
        """
        image = to_rgb8(frame.image)
        diameter = self._known_diameter_px(frame)
        if diameter is None:
            seen = self._first_look(image)
            found = self._diameter(seen)
            diameter = None if found is None else found / float(np.sqrt(seen.scale_yx[0] * seen.scale_yx[1]))
            off = 1.0 if found is None else found / self._bundle.input.cell_diameter_px
            if diameter is not None and not 1 / RESCALE_FROM <= off <= RESCALE_FROM:
                seen = self._look(image, self._bundle.input.cell_diameter_px / diameter)
        else:
            seen = self._look(image, self._bundle.input.cell_diameter_px / diameter)
        return self._detections(frame, seen, labels=labels, scale_known=diameter is not None)

    def _known_diameter_px(self, frame: Frame) -> float | None:
        if self._config.cell_diameter_px is not None:
            return self._config.cell_diameter_px
        if frame.metadata.pixel_size_um is not None:
            return self._bundle.input.cell_diameter_um / frame.metadata.pixel_size_um
        return None

    def _first_look(self, image: NDArray[np.uint8]) -> _Pass:
        """Look from coarse to fine until enough cells of about the net's size are found.

        Most of them must be of the reference class: seen too coarsely, a red cell looks like a platelet, of which
        there are never so many.
        """
        longest = max(image.shape[:2])
        best: tuple[float, _Pass] | None = None
        side = float(FIRST_SIDE_PX)
        while True:
            seen = self._look(image, side / longest)
            found = self._diameter(seen)
            off = (found or 1e-3) / self._bundle.input.cell_diameter_px
            sure = self._sure(seen.cells)
            reference_share = (
                float(np.mean(sure.class_ids == self._bundle.reference_class)) if len(sure) else 0.0
            )
            in_range = RELIABLE_SCALE[0] <= off <= RELIABLE_SCALE[1]
            if len(sure) >= RELIABLE_CELLS and in_range and reference_share >= RELIABLE_SHARE:
                return seen
            merit = 2 * reference_share - abs(float(np.log(off)))
            if best is None or merit > best[0]:
                best = merit, seen
            side *= 2
            if side > 4 * longest or side * side > LARGEST_INPUT_PX:
                return best[1]

    def _diameter(self, seen: _Pass) -> float | None:
        sure = self._sure(seen.cells)
        return typical_diameter(sure, self._bundle.reference_class, self._relative, seen.shape_px)

    def _sure(self, cells: Cells) -> Cells:
        """The cells by the bundle's thresholds, so that the scale found depends on no override."""
        return cells.take(cells.scores >= self._own_thresholds[cells.class_ids])

    def _look(self, image: NDArray[np.uint8], scale: float) -> _Pass:
        height, width = image.shape[:2]
        shape = max(8, round(height * scale)), max(8, round(width * scale))
        if shape[0] * shape[1] > LARGEST_INPUT_PX:
            raise FrameError(
                "too-large",
                f"a frame of {height} x {width} px scaled {scale:.2f} times is more than one pass can take; "
                "crop it, or check cell_diameter_px and the pixel size",
            )
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        scaled = cv2.resize(image, (shape[1], shape[0]), interpolation=method)
        info = self._bundle.input
        maps = self._net.infer(padded(np.asarray(scaled, np.uint8), info.multiple_px, info.padding_level))
        least = np.minimum(self._thresholds, self._own_thresholds)
        cells = decode(maps, least, info.cell_diameter_px, self._bundle.nms_iou, shape)
        return _Pass(cells, maps, (shape[0] / height, shape[1] / width), shape)

    def _detections(self, frame: Frame, seen: _Pass, *, labels: bool, scale_known: bool) -> Detections:
        shape = frame.image.shape[0], frame.image.shape[1]
        cells = seen.cells.take(seen.cells.scores >= self._thresholds[seen.cells.class_ids])
        quality = (*(() if len(cells) else ("empty",)), *(() if scale_known else ("scale-unknown",)))
        scale, limits = np.array([*seen.scale_yx] * 2, np.float32), np.array([*shape] * 2, np.float32)
        boxes: Float32Array = np.minimum(cells.boxes_px / scale, limits).astype(np.float32)
        drawn = _draw_labels(boxes, seen, shape) if labels else None
        sides = boxes[:, 2:] - boxes[:, :2]
        return Detections(
            metadata=frame.metadata,
            image_shape=shape,
            model=self._identity,
            centroids_px=((boxes[:, :2] + boxes[:, 2:]) / 2).astype(np.float32),
            boxes_px=boxes,
            areas_px=(np.pi / 4 * sides[:, 0] * sides[:, 1]).astype(np.float32),
            class_probabilities=cells.probabilities,
            labels=drawn,
            quality=quality,
        )


class ThreadedNet:
    """A compiled net that any thread may run: interpreters are per thread and input shape, never shared."""

    def __init__(self, model: bytes, outputs: tuple[str, ...]) -> None:
        self._model = model
        self._outputs = outputs
        self._local = threading.local()
        details = new_interpreter(model).get_output_details()
        if len(details) != len(outputs):
            raise ModelError(
                f"The compiled net has {len(details)} outputs, not {len(outputs)}; export it again."
            )

    def infer(self, batch: NDArray[np.uint8]) -> Maps:
        """Run the net on (1, H, W, 3) uint8. Raises ModelError when the runtime fails."""
        try:
            interpreter = self._interpreter(batch.shape)
            given = interpreter.get_input_details()[0]
            interpreter.set_tensor(given["index"], batch.astype(given["dtype"], copy=False))
            interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise ModelError(
                f"The model failed on an input of {batch.shape}: {error}; export it again."
            ) from error
        named = {}
        for name, detail in zip(self._outputs, interpreter.get_output_details(), strict=True):
            scale, zero = detail["quantization"]
            named[name] = QuantisedMap(interpreter.get_tensor(detail["index"])[0], scale or 1.0, zero)
        return Maps(named["centre"], named["log_size"], named["offset"], named["foreground"])

    def _interpreter(self, shape: tuple[int, ...]) -> Any:
        kept: OrderedDict[tuple[int, ...], Any] | None = getattr(self._local, "kept", None)
        if kept is None:
            kept = self._local.kept = OrderedDict()
        if shape in kept:
            kept.move_to_end(shape)
            return kept[shape]
        interpreter = new_interpreter(self._model)
        interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], shape)
        interpreter.allocate_tensors()
        kept[shape] = interpreter
        if len(kept) > SHAPES_KEPT:
            kept.popitem(last=False)
        return interpreter


def padded(image: NDArray[np.uint8], multiple_px: int, level: int) -> NDArray[np.uint8]:
    """(1, H', W', 3): the image at the top left, filled up with `level` to sides of a multiple."""
    height, width = image.shape[:2]
    batch = np.empty(
        (1, -(-height // multiple_px) * multiple_px, -(-width // multiple_px) * multiple_px, 3), np.uint8
    )
    batch[0, :height, :width] = image
    batch[0, height:] = level
    batch[0, :height, width:] = level
    return batch


def to_rgb8(image: Image) -> NDArray[np.uint8]:
    """(H, W, 3) uint8: grey is repeated, 16 bits are stretched between percentiles 0.5 and 99.8."""
    if image.dtype == np.uint16:
        # A sixteenth of the pixels tells the percentiles well, and sorting them all would cost more than
        # the net.
        sample = image[::4, ::4]
        low, high = np.percentile(sample, (0.5, 99.8))
        image = np.clip((image.astype(np.float32) - low) * (255 / max(high - low, 1.0)), 0, 255).astype(
            np.uint8
        )
    return np.asarray(cv2.merge([image] * 3) if image.ndim == 2 else image, np.uint8)


def _draw_labels(boxes_px: Float32Array, seen: _Pass, shape_px: tuple[int, int]) -> NDArray[np.uint16]:
    raw = seen.maps.foreground
    rows, columns = -(-seen.shape_px[0] // 4), -(-seen.shape_px[1] // 4)
    chance = (raw.raw[:rows, :columns, 0].astype(np.float32) - raw.zero) * raw.scale
    return label_image(boxes_px, chance.astype(np.float32), shape_px)
