"""The second stage: a closer look at each cell of one class, to tell finer classes."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcount.detection.bundle import CROP_CLASSIFICATION, Bundle, load_bundle
from streamcount.detection.net import ThreadedNet
from streamcount.detection.postprocess import tempered_shares
from streamcount.errors import ModelError
from streamcount.types import Float32Array, ModelIdentity

BATCH = 32  # crops in one pass; the last is filled up, so that there is one input shape


class CropClassifier:
    """Tells the finer classes of cells that another model found. May be called from several threads."""

    def __init__(self, name: str, form: str, first: Bundle) -> None:
        """`first` is the model whose cells are looked at. Raises ModelError where the two do not fit."""
        bundle = load_bundle(name)
        if bundle.task != CROP_CLASSIFICATION:
            raise ModelError(f"second_stage {bundle.name!r} is for {bundle.task}, not {CROP_CLASSIFICATION}.")
        if bundle.refines not in first.class_names:
            raise ModelError(
                f"second_stage {bundle.name!r} looks at {bundle.refines!r} cells, which {first.name} does not "
                f"tell apart; it has {', '.join(first.class_names)}."
            )
        self._bundle = bundle
        self._first = first
        self._net = CropNet(bundle, form)

    def identity(self, first: ModelIdentity) -> ModelIdentity:
        """Who decides: both models, with the finer classes in the place of the one that they refine."""
        place = first.class_names.index(self._bundle.refines)
        names = (*first.class_names[:place], *self._bundle.class_names, *first.class_names[place + 1 :])
        abnormal = {*first.abnormal, *self._bundle.abnormal}
        both = hashlib.sha256(f"{first.sha256}+{self._net.sha256}".encode()).hexdigest()
        dead = {*first.dead, *self._bundle.dead}
        mitotic = {*first.mitotic, *self._bundle.mitotic}
        return ModelIdentity(
            name=f"{first.name}+{self._bundle.name}",
            sha256=both,
            class_names=names,
            abnormal=tuple(name for name in names if name in abnormal),
            dead=tuple(name for name in names if name in dead),
            mitotic=tuple(name for name in names if name in mitotic),
        )

    def refine(
        self,
        image: NDArray[np.uint8],
        boxes_px: Float32Array,
        probabilities: Float32Array,
        diameter_px: float,
    ) -> Float32Array:
        """(N, C + K - 1) probabilities: those of the refined class are shared out among its finer classes.

        image: (H, W, channels) uint8; boxes_px: (N, 4) in it; probabilities: (N, C) of the first stage;
        diameter_px: of a usual cell of the refined class in this frame, so that large and small ones look so.
        """
        place = self._first.class_names.index(self._bundle.refines)
        finer = np.full((len(boxes_px), len(self._bundle.classes)), 1 / len(self._bundle.classes), np.float32)
        looked = np.flatnonzero(probabilities.argmax(axis=1) == place) if len(boxes_px) else np.empty(0, int)
        if len(looked):
            finer[looked] = self._classify(image, boxes_px[looked], diameter_px)
        shared = finer * probabilities[:, place, None]
        others = np.delete(probabilities, place, axis=1)
        # A cell of the refined class stays one, however thinly its probability is spread over the finer ones.
        most = np.full(len(boxes_px), np.inf, np.float32)
        most[looked] = 0.99 * shared[looked].max(axis=1, initial=0)
        others = np.minimum(others, most[:, None])
        return np.hstack([others[:, :place], shared, others[:, place:]]).astype(np.float32)

    def _classify(self, image: NDArray[np.uint8], boxes_px: Float32Array, diameter_px: float) -> Float32Array:
        info = self._bundle.input
        return self._net.shares(cut_crops(image, boxes_px, info.cell_diameter_px / diameter_px, info.crop_px))


class CropNet:
    """A compiled classifier of crops. May be called from several threads."""

    def __init__(self, bundle: Bundle, form: str) -> None:
        compiled = bundle.form(form)
        self._temperature = bundle.classes[0].temperature
        self._net = ThreadedNet(bundle.read_model(form), compiled.outputs)
        self.sha256 = compiled.sha256

    def shares(self, crops: NDArray[np.uint8]) -> Float32Array:
        """(N, K) probabilities of the classes, which sum to 1, of (N, S, S, channels) crops; N at least 1."""
        shares = []
        for start in range(0, len(crops), BATCH):
            batch = np.zeros((BATCH, *crops.shape[1:]), np.uint8)
            part = crops[start : start + BATCH]
            batch[: len(part)] = part
            found = self._net.run(batch)["class"]
            values = (found.raw.astype(np.float32) - found.zero) * found.scale
            shares.append(values.reshape(BATCH, -1)[: len(part)])
        return tempered_shares(np.concatenate(shares), self._temperature)


def cut_crops(
    image: NDArray[np.uint8], boxes_px: Float32Array, scale: float, crop_px: int
) -> NDArray[np.uint8]:
    """(N, crop_px, crop_px, channels) uint8: the middles of the boxes (N, 4), `scale` times as large as in the image.

    Beyond the image's edge its last pixels are repeated.
    """
    height, width, channels = image.shape
    size = max(1, round(width * scale)), max(1, round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled = np.asarray(cv2.resize(image, size, interpolation=method), np.uint8)
    factor = np.array([size[1] / height, size[0] / width])
    # getRectSubPix takes the (x, y) of the pixel in the middle, whose centre is half a pixel from its edge.
    middles = (boxes_px[:, :2] + boxes_px[:, 2:]) / 2 * factor - 0.5
    crops = [cv2.getRectSubPix(scaled, (crop_px, crop_px), (float(x), float(y))) for y, x in middles]
    return np.array(crops, np.uint8).reshape(len(boxes_px), crop_px, crop_px, channels)
