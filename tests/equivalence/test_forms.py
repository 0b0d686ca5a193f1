"""The int8 and the float32 form of each model that comes with the package say the same, within tolerance."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from streamcount.detection.bundle import CROP_CLASSIFICATION, known_models, load_bundle
from streamcount.detection.net import ThreadedNet, padded
from streamcount.detection.prepare import prepare
from streamcount.detection.second import CropNet, cut_crops
from streamcount.detection.tflite import TfliteConfig
from streamcount.sources.base import Run
from streamcount.sources.simulated import SimulatedConfig
from streamcount.types import Frame

# Of the drawn cells, px: red cells of 44 px in blood; in cultures, nuclei and whole cells of about 32 px.
DRAWN = {"nuclei": ("fluorescence", 32.0), "phase-contrast": ("phase-contrast", 32.0)}
DRAWN["dividing-nuclei"] = DRAWN["nuclei"]
BLOOD = ("bright-field", 44.0)
FIRST_STAGES = {"red": "blood-smear", "nucleus": "nuclei"}
# Of a map's values: of probabilities in absolute terms, of logs of sizes and of offsets in map cells.
TOLERANCE = {"centre": 0.01, "foreground": 0.04, "log_size": 0.12, "offset": 0.3}


def drawn(name: str) -> tuple[Frame, float]:
    """A frame of cells that the model may know, and their diameter, px."""
    modality, diameter_px = DRAWN.get(name, BLOOD)
    source = SimulatedConfig(
        seed=3, modality=modality, frames=1, width_px=480, height_px=400, cells=30
    ).build()
    return next(iter(source.frames(Run("camera", "run", lambda: 0)))), diameter_px


def dense_models() -> list[str]:
    return [name for name in known_models() if load_bundle(name).task != CROP_CLASSIFICATION]


@pytest.mark.parametrize("name", dense_models())
def test_the_maps_of_both_forms_agree(name: str) -> None:
    bundle = load_bundle(name)
    info = bundle.input
    frame, diameter_px = drawn(name)
    image = prepare(frame.image, info.channels, info.normalise)
    scale = info.cell_diameter_px / diameter_px
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).reshape(
        round(image.shape[0] * scale), round(image.shape[1] * scale), info.channels
    )
    batch = padded(image, info.multiple_px, info.padding_level)
    int8, float32 = (
        ThreadedNet(bundle.read_model(form), bundle.form(form).outputs).run(batch)
        for form in ("int8", "float32")
    )
    sure = float32["foreground"].raw[..., 0] > 0.5
    for key, tolerance in TOLERANCE.items():
        shape = float32[key].raw.shape[:2]
        difference = np.abs(int8[key].values(*shape) - float32[key].values(*shape))
        # Sizes and offsets mean something on cells only.
        told = difference if key in ("centre", "foreground") else difference[sure]
        assert told.size, key
        assert told.mean() <= tolerance, key


@pytest.mark.parametrize("name", dense_models())
def test_both_forms_count_the_same(name: str) -> None:
    frame, diameter_px = drawn(name)
    int8, float32 = (
        TfliteConfig.model_validate({"model": name, "form": form, "cell_diameter_px": diameter_px})
        .build()
        .detect(frame)
        for form in ("int8", "float32")
    )
    assert len(float32) > 0
    assert abs(len(int8) - len(float32)) <= max(1, 0.1 * len(float32))
    strange = [np.nanmedian(one.novelties) for one in (int8, float32) if one.novelties is not None]
    assert len(strange) == 2
    assert strange[0] == pytest.approx(strange[1], abs=0.15)


@pytest.mark.parametrize("name", [n for n in known_models() if load_bundle(n).task == CROP_CLASSIFICATION])
def test_both_forms_of_a_second_stage_agree(name: str) -> None:
    bundle, (frame, diameter_px) = load_bundle(name), drawn(name)
    first = FIRST_STAGES[bundle.refines]
    cells = TfliteConfig(model=first, cell_diameter_px=diameter_px).build().detect(frame)
    image = prepare(frame.image, bundle.input.channels, bundle.input.normalise)
    scale = bundle.input.cell_diameter_px / diameter_px
    crops = cut_crops(image, cells.boxes_px, scale, bundle.input.crop_px)
    int8, float32 = (CropNet(bundle, form).shares(crops) for form in ("int8", "float32"))
    assert np.abs(int8 - float32).mean() <= 0.03
    assert np.mean(int8.argmax(axis=1) == float32.argmax(axis=1)) >= 0.8
