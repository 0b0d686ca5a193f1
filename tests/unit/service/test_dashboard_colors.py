"""Classes are told apart by colour and dash together, with every kind of colour blindness."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nicegui", reason="needs the extra dashboard")

from streamcount.config import parse_settings
from streamcount.detection.bundle import load_bundle
from streamcount.service.dashboard.page import parts
from streamcount.types.colors import SAFE_COLORS, class_color

MODELS = sorted(one.parent.name for one in Path(parts.__file__).parents[4].glob("models/*/model.toml"))
# Machado, Oliveira and Fernandes, IEEE Trans. Vis. Comput. Graph. 15, 2009: dichromats, linear RGB.
SEEN_BY = {
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])
# CIE76; some 2.3 are just noticed (Mahy et al., Color Res. Appl. 19, 1994).
LEAST_DISTANCE = 15.0


def seen(color: str, by: str) -> np.ndarray:
    """The colour's CIELAB coordinates as such an eye has them."""
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = XYZ @ np.clip(np.array(SEEN_BY[by]) @ linear, 0, 1) / WHITE
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def least_distance(styles: dict[str, tuple[str, int]], by: str) -> float:
    """Between the colours of any two classes that have the same dash."""
    return min(
        (
            float(np.linalg.norm(seen(one, by) - seen(other, by)))
            for (one, dash), (other, other_dash) in itertools.combinations(styles.values(), 2)
            if dash % len(parts.DASHES) == other_dash % len(parts.DASHES)
        ),
        default=float("inf"),
    )


def styles_of(detector: str, names: tuple[str, ...]) -> dict[str, tuple[str, int]]:
    settings = parse_settings(f"[detector]\n{detector}", environment={})
    return parts.class_styles(settings, "scope-1", names)


@pytest.mark.parametrize("by", SEEN_BY)
@pytest.mark.parametrize("model", MODELS)
def test_no_two_classes_of_a_model_look_the_same(model: str, by: str) -> None:
    bundle = load_bundle(model)
    styles = {one.name: (one.color, i) for i, one in enumerate(bundle.classes)}
    assert parts.told_apart(styles)
    assert least_distance(styles, by) >= LEAST_DISTANCE


def test_the_second_stage_has_its_own_colours_beside_the_first() -> None:
    first, second = (load_bundle(name).classes for name in ("blood-smear", "red-cell-shapes"))
    colors = {one.name: one.color for one in (*first, *second)}
    names = ("white", *(one.name for one in second), "platelet")
    styles = styles_of('kind = "tflite"\nmodel = "blood-smear"\nsecond_stage = "red-cell-shapes"', names)
    assert {name: color for name, (color, _) in styles.items()} == {name: colors[name] for name in names}
    assert parts.told_apart(styles)
    assert all(least_distance(styles, by) >= LEAST_DISTANCE for by in SEEN_BY)


def test_classes_without_colours_have_safe_ones_and_dashes() -> None:
    names = tuple(f"c{i}" for i in range(len(SAFE_COLORS) * len(parts.DASHES)))
    styles = styles_of('kind = "watershed"', names)
    assert parts.told_apart(styles)
    assert all(least_distance(styles, by) >= LEAST_DISTANCE for by in SEEN_BY)


def test_a_trained_model_has_okabe_and_itos_colours_first() -> None:
    assert [class_color(i) for i in range(7)] == list(SAFE_COLORS)
    assert [one.color for one in load_bundle("red-cell-shapes").classes] == [
        class_color(i) for i in range(12)
    ]


def test_colours_that_do_not_tell_classes_apart_are_not_taken() -> None:
    assert not parts.told_apart({"a": ("#56b4e9", 0), "b": ("#56B4E9", len(parts.DASHES))})
    assert parts.told_apart({"a": ("#56b4e9", 0), "b": ("#56b4e9", 1)})
