"""How a cell's form becomes contrast: what it does to light in each modality.

A sprite has one or two planes of contrast. Bright-field: eosin, thiazine (nuclear purple). Phase contrast:
retardation, glow. Fluorescence: emission. Its mask is what there is to see: the nucleus in fluorescence where
there is one, the whole cell otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from streamcount.sources.simulated.config import Modality
from streamcount.sources.simulated.shapes import Form, Look, Morph, Plane, biconcave, make_form

HALO = {"bright-field": 0.2, "phase-contrast": 0.35, "fluorescence": 0.2}


@dataclass(frozen=True)
class Sprite:
    """(S, S) float32 planes with the cell's centre in the middle, at per_radius pixels a radius.

    second: None where it would be empty. mask: 0 outside, 1 inside. mask_area: above one half, square radii.
    """

    first: Plane
    second: Plane | None
    mask: Plane
    per_radius: float
    mask_area: float


def make_sprite(look: Look, morph: Morph, modality: Modality, per_radius: float, blur: float) -> Sprite:
    """The picture of one cell. blur: Gaussian sigma in radii."""
    form = make_form(look, morph, per_radius, HALO[modality] + 2 * blur)
    first, second, mask = PAINTERS[modality](form, look, morph)
    area = float(np.count_nonzero(mask > 0.5)) / per_radius**2
    return Sprite(
        _soften(first, blur * per_radius),
        None if second is None else _soften(second, blur * per_radius),
        np.ascontiguousarray(mask, np.float32), per_radius, area,
    )  # fmt: skip


def _soften(plane: Plane, sigma_px: float) -> Plane:
    plane = np.ascontiguousarray(plane, np.float32)
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma_px), np.float32) if sigma_px > 0.25 else plane


def _cover(depth: Plane, form: Form, soft_px: float = 1.2) -> Plane:
    """0 outside, 1 inside, with a soft step at the edge."""
    cover = np.float32(0.5) + depth * np.float32(form.per_radius / soft_px)
    return np.asarray(np.clip(cover, 0, 1), np.float32)


def _dome(rho: Plane) -> Plane:
    """Height of a flat drop over its radius: 1 in the middle, 0 at the edge."""
    return np.asarray(np.sqrt(np.clip(1 - rho * rho, 0, 1)), np.float32)


def _bright_field(form: Form, look: Look, morph: Morph) -> tuple[Plane, Plane | None, Plane]:
    cover = _cover(form.depth, form)
    strength = np.float32(look.stain * morph.strength)
    grain = form.texture
    if look.kind.nucleus == 0 and look.kind.diameter_um < 4:
        body = cover * strength * (1 + 0.25 * grain)
        return np.multiply(body, 0.25, dtype=np.float32), np.multiply(body, 0.42, dtype=np.float32), cover
    if form.core is None:
        pale = np.float32(look.pallor)
        rim = np.exp(-(((1 - form.rho) / np.float32(0.1)) ** 2))
        flat = 0.95 + 0.1 * rim
        body = cover * (
            (1 - pale) * flat + pale * (0.25 * rim + 0.95 * biconcave(form.rho * np.float32(0.97)))
        )
        return strength * body * (1 + 0.02 * grain), None, cover
    core = _cover(form.core, form)
    condensed = np.float32(1 + 0.3 * morph.rounding)
    rim = np.exp(-((form.depth / np.float32(0.05)) ** 2))
    plasm = cover * strength * (1 + 0.16 * grain) * (1 - core) * condensed
    chromatin = core * strength * (1 + 0.13 * grain) * condensed
    return 0.28 * plasm + 0.1 * chromatin, 0.13 * plasm + 0.06 * rim * cover + 1.0 * chromatin, cover


def _phase_contrast(form: Form, look: Look, morph: Morph) -> tuple[Plane, Plane | None, Plane]:
    cover = _cover(form.depth, form)
    dome = _dome(form.rho)
    refractile = np.float32(max(morph.rounding, 0.8 * min(1.0, 2 * morph.dying)))
    strength = np.float32(morph.strength * look.stain)
    if form.core is None:
        return cover * strength * biconcave(form.rho * np.float32(0.97)) * 1.1, None, cover
    core = _cover(form.core, form, 3.0)
    calm = 1 - refractile
    rim = np.exp(-(((form.core) / np.float32(0.05)) ** 2))
    granules = np.clip(form.texture - 1.3, 0, 1.5)
    body = cover * (0.5 + 0.55 * dome + 0.1 * form.texture + 0.22 * rim + 0.1 * core + 0.5 * granules)
    # Light that the phase ring lets past heaps up just outside the edge.
    fringe = np.exp(-(((form.depth + np.float32(0.09)) / np.float32(0.07)) ** 2)) * (
        0.13 + 0.03 * form.texture
    )
    ring = np.exp(-(((form.depth + np.float32(0.05)) / np.float32(0.09)) ** 2))
    glow = refractile * (0.55 * ring + 0.16 * cover * (1 + form.texture)) + calm * fringe
    fade = min(morph.strength, 1.0)
    return strength * body, np.asarray(glow * np.float32(fade), np.float32), cover


def _fluorescence(form: Form, look: Look, morph: Morph) -> tuple[Plane, Plane | None, Plane]:
    strength = np.float32(look.stain * morph.strength * (1 + 0.8 * morph.rounding))
    if form.core is None:
        cover = _cover(form.depth, form)
        return 0.4 * strength * cover * (0.4 + 0.6 * biconcave(form.rho)), None, cover
    cover = _cover(form.core, form)
    edge = np.clip(form.core / np.float32(0.18), 0, 1)
    return 0.5 * strength * cover * (0.72 + 0.28 * edge) * (1 + 0.13 * form.texture), None, cover


PAINTERS = {
    "bright-field": _bright_field,
    "phase-contrast": _phase_contrast,
    "fluorescence": _fluorescence,
}
