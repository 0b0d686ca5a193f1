"""The films of the trial: three modalities, five seeds each, and no two with the same laws of life."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from streamcount.sources.simulated import SimulatedConfig

FRAMES = 200
SECONDS_PER_FRAME = 300.0

# Slow and fast, sudden and gradual, equal and unequal, each with another motion.
LAWS: tuple[dict[str, Any], ...] = (
    {"motion": "persistent", "speed_um_per_min": 0.3, "rounding_s": 600.0, "dying_s": 1200.0,
     "daughter_area_sd": 0.04, "death_mix": {"shrink": 0.5, "bleb": 0.4, "lysis": 0.1},
     "stage_drift_um_per_min": 0.05, "cells": 150},
    {"motion": "confined", "speed_um_per_min": 0.5, "rounding_s": 1800.0, "dying_s": 3600.0,
     "daughter_area_sd": 0.10, "death_mix": {"shrink": 1.0}, "stage_drift_um_per_min": 0.0, "cells": 110},
    {"motion": "collective", "speed_um_per_min": 0.3, "rounding_s": 900.0, "dying_s": 1800.0,
     "daughter_area_sd": 0.06, "death_mix": {"bleb": 1.0}, "stage_drift_um_per_min": 0.1, "cells": 130},
    {"motion": "drifting", "speed_um_per_min": 0.2, "rounding_s": 2400.0, "dying_s": 600.0,
     "daughter_area_sd": 0.08, "death_mix": {"lysis": 1.0}, "stage_drift_um_per_min": 0.05, "cells": 170},
    {"motion": "persistent", "speed_um_per_min": 0.8, "rounding_s": 1200.0, "dying_s": 2400.0,
     "daughter_area_sd": 0.12, "death_mix": {"shrink": 0.34, "bleb": 0.33, "lysis": 0.33},
     "stage_drift_um_per_min": 0.4, "cells": 200},
)  # fmt: skip
# Pixels such that 100 to 300 cells are in view and a cell is 20 to 35 px across.
VIEWS: dict[str, dict[str, Any]] = {
    "fluorescence": {"width_px": 900, "height_px": 700},
    "phase-contrast": {"width_px": 1100, "height_px": 900},
    "bright-field": {"width_px": 1100, "height_px": 900, "pixel_size_um": 0.5},
}
RATES = {"divisions_per_hour": 0.06, "deaths_per_hour": 0.03}


@dataclass(frozen=True)
class Scenario:
    """One film. name: as `--only` takes it."""

    name: str
    config: SimulatedConfig


def scenarios(frames: int = FRAMES, seconds_per_frame: float = SECONDS_PER_FRAME) -> list[Scenario]:
    """All fifteen."""
    films = []
    for modality, view in VIEWS.items():
        for seed, laws in enumerate(LAWS, 1):
            kind = {"class_mix": {"white": 1.0} if seed % 2 else {"nucleated": 0.9, "giant": 0.1}}
            settings = {
                "modality": modality, "seed": seed, "frames": frames, "seconds_per_frame": seconds_per_frame,
                **RATES, **view, **laws, **(kind if modality == "bright-field" else {}),
            }  # fmt: skip
            films.append(Scenario(f"{modality}-{seed}", SimulatedConfig.model_validate(settings)))
    return films
