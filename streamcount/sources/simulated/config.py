"""What can be set on the simulated microscope, with units in the names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from streamcount.sources.simulated.source import SimulatedSource

Modality: TypeAlias = Literal["bright-field", "phase-contrast", "fluorescence"]
CellClass: TypeAlias = Literal["red", "white", "platelet", "sickle", "spiky", "nucleated", "giant"]
Motion: TypeAlias = Literal["persistent", "confined", "drifting", "collective"]
DeathMode: TypeAlias = Literal["shrink", "bleb", "lysis"]
Oddity: TypeAlias = Literal["large", "small", "long", "dark"]
ODDITIES: tuple[Oddity, ...] = ("large", "small", "long", "dark")
Weight: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]

BLOOD: dict[CellClass, float] = {"red": 0.84, "white": 0.06, "sickle": 0.04, "spiky": 0.03, "platelet": 0.03}
CULTURE: dict[CellClass, float] = {"nucleated": 0.93, "giant": 0.07}

# Blood is drawn at 44 px a red cell, culture as a 10x objective shows it.
PIXEL_SIZE_UM: dict[Modality, float] = {"bright-field": 0.17, "phase-contrast": 0.5, "fluorescence": 0.5}
FULL_SCALE_ELECTRONS: dict[Modality, float] = {
    "bright-field": 12000.0,
    "phase-contrast": 12000.0,
    "fluorescence": 2500.0,
}


class SimulatedConfig(BaseModel):
    """A microscope that needs no microscope. The same settings and seed give the same bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["simulated"] = "simulated"
    seed: int = Field(default=0, ge=0, le=2**63 - 1, description="Seed of all chance.")
    modality: Modality = Field(default="bright-field", description="How the specimen is looked at.")
    width_px: int = Field(default=640, ge=32, le=8192, description="Width of a frame, px.")
    height_px: int = Field(default=480, ge=32, le=8192, description="Height of a frame, px.")
    pixel_size_um: float | None = Field(
        default=None, ge=0.05, le=5, description="Edge of a pixel, µm; default 0.17 bright-field, else 0.5."
    )
    bit_depth: Literal[8, 12, 16] = Field(default=8, description="Bits a sample; above 8 makes uint16.")

    cells: int = Field(default=45, ge=0, le=20000, description="Cells in view at the beginning.")
    class_mix: dict[CellClass, Weight] | None = Field(
        default=None,
        description="Weights of the classes; default a blood smear, or a culture if not bright-field.",
    )
    odd_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of cells that are unlike their class: large, small, long or dark, equally often.",
    )
    overlap: float = Field(
        default=0.08, ge=0, le=1, description="Share of two radii that cells overlap freely."
    )

    rate_hz: float = Field(default=10.0, gt=0, le=1000, description="Frames a second.")
    frames: int | None = Field(default=None, ge=1, description="Number of frames; none for endless.")
    seconds_per_frame: float = Field(
        default=30.0, gt=0, le=86400, description="Specimen time between frames (time-lapse), s."
    )
    start_ns: int | None = Field(
        default=None, ge=0, description="Time of the first frame, ns since 1970; default the clock's."
    )

    motion: Motion = Field(default="persistent", description="How cells move.")
    speed_um_per_min: float = Field(default=1.0, ge=0, le=1000, description="Root mean square speed, µm/min.")
    persistence_s: float = Field(default=180.0, gt=0, description="How long a cell keeps its direction, s.")
    divisions_per_hour: float = Field(
        default=0.3, ge=0, le=60, description="Divisions per hour of a cell of a class that divides."
    )
    rounding_s: float = Field(
        default=240.0, gt=0, description="From the mother's rounding up to the split, s."
    )
    daughter_area_sd: float = Field(
        default=0.04, ge=0, le=0.25, description="Spread of a daughter's share of the area about one half."
    )
    deaths_per_hour: float = Field(default=0.1, ge=0, le=60, description="Deaths per hour and cell.")
    dying_s: float = Field(default=360.0, gt=0, description="From the first sign of death until gone, s.")
    death_mix: dict[DeathMode, Weight] = Field(
        default={"shrink": 0.5, "bleb": 0.4, "lysis": 0.1}, description="Weights of the ways to die."
    )

    stage_drift_um_per_min: float = Field(default=0.05, ge=0, le=100, description="Stage drift, RMS µm/min.")
    defocus_um: float = Field(
        default=0.1, ge=0, le=10, description="Blur (Gaussian sigma) in the specimen, µm."
    )
    vignetting: float = Field(default=0.12, ge=0, le=0.9, description="Loss of light in the corners.")
    background_gradient: float = Field(
        default=0.05, ge=0, le=0.9, description="Change of light across the view."
    )
    dust: int = Field(default=6, ge=0, le=1000, description="Specks of dust on the optics.")
    full_scale_electrons: float | None = Field(
        default=None, ge=10, le=1e7, description="Electrons at full white; fewer means more shot noise."
    )
    read_noise_electrons: float = Field(default=4.0, ge=0, le=1e4, description="Read noise, electrons RMS.")

    truth: Path | None = Field(
        default=None, description="Folder for the truth (Cell Tracking Challenge form and JSON lines)."
    )

    @model_validator(mode="after")
    def _mixes_weigh_something(self) -> SimulatedConfig:
        for name, mix in (("class_mix", self.class_mix), ("death_mix", self.death_mix)):
            if mix is not None and not sum(mix.values()) > 0:
                raise ValueError(f"{name} has no weight above 0; give at least one class a positive weight")
        return self

    @property
    def pixel_um(self) -> float:
        """Edge of a pixel in the specimen, µm, defaults resolved."""
        return PIXEL_SIZE_UM[self.modality] if self.pixel_size_um is None else self.pixel_size_um

    @property
    def electrons(self) -> float:
        """Electrons of a full-scale sample, defaults resolved."""
        return self.full_scale_electrons or FULL_SCALE_ELECTRONS[self.modality]

    @property
    def mix(self) -> dict[CellClass, float]:
        """Weights of the classes, defaults resolved, in the order of their class ids."""
        if self.class_mix is not None:
            return {name: weight for name, weight in self.class_mix.items() if weight > 0}
        return BLOOD if self.modality == "bright-field" else CULTURE

    @property
    def class_names(self) -> tuple[CellClass, ...]:
        """Names of the classes in this specimen; a class id is an index into it."""
        return tuple(self.mix)

    def build(self) -> SimulatedSource:
        """The source with these settings."""
        from streamcount.sources.simulated.source import SimulatedSource

        return SimulatedSource(self)
