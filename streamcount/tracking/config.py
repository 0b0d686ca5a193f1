"""What the Kalman tracker can be told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from streamcount.tracking.kalman import KalmanTracker


class KalmanConfig(BaseModel):
    """Settings of the Kalman tracker. Distances are in cell diameters, so they hold at any magnification."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["kalman"] = Field(default="kalman", description="Which tracker.")
    confirm_hits: int = Field(
        default=3,
        ge=1,
        le=100,
        description="Sightings that make a track trusted; one miss in a row is forgiven.",
    )
    max_misses: int = Field(
        default=2, ge=0, le=1000, description="Frames a trusted track may be out of sight."
    )
    max_unseen_s: float | None = Field(
        default=None,
        gt=0,
        le=1e7,
        description="Seconds that a trusted track may be out of sight, in place of max_misses; it holds at any "
        "frame rate.",
    )
    max_hidden_frames: int = Field(
        default=15,
        ge=0,
        le=1000,
        description="Frames that a cell may be found as one with another before it counts as missed.",
    )
    max_gap_frames: int = Field(
        default=30,
        ge=0,
        le=1000,
        description="Frames nobody saw, in a row, after which no track is continued.",
    )
    gate_diameters: float = Field(
        default=1.25,
        gt=0,
        le=20,
        description="How far from its expected place a cell is looked for, in its diameters; farther, up to three "
        "times, where these cells go so far between two frames.",
    )
    max_speed_um_s: float | None = Field(
        default=None,
        gt=0,
        le=1e6,
        description="How fast a cell can be, µm/s; nothing farther is looked at. Needs the frames' pixel size, and "
        "holds at any magnification and frame rate.",
    )
    remove_stage_drift: bool = Field(
        default=True, description="Whether a shift that all cells have in common is taken for the stage's."
    )
    max_cost: float = Field(
        default=1.5, gt=0, le=10, description="What a link may cost; less links fewer doubtful pairs."
    )
    overlap_weight: float = Field(
        default=0.5, ge=0, le=10, description="Cost of a box that does not overlap."
    )
    size_weight: float = Field(
        default=0.25, ge=0, le=10, description="Cost of an area four times as large or small."
    )
    class_weight: float = Field(default=0.25, ge=0, le=10, description="Cost of a wholly different class.")
    intensity_weight: float = Field(
        default=0.25,
        ge=0,
        le=10,
        description="Cost of an intensity that differs by as much as cells usually differ from the ground.",
    )
    measurement_noise: float = Field(
        default=0.05, gt=0, le=5, description="Error of a centroid, in diameters."
    )
    acceleration_noise: float = Field(
        default=0.1, gt=0, le=5, description="Change of speed a frame, in diameters."
    )
    persistence: float = Field(
        default=0.95,
        ge=0,
        le=1,
        description="Share of the speed left a frame later, at most: how much these cells keep is learned from them.",
    )

    division_reach_diameters: float = Field(
        default=2.0,
        gt=0,
        le=20,
        description="How far from where a mother is expected her daughters may be, in her diameters.",
    )
    division_max_cost: float = Field(
        default=7.0,
        ge=0,
        le=1000,
        description="How badly two daughters may fit a mother; 0 finds no divisions.",
    )

    def build(self) -> KalmanTracker:
        """The tracker."""
        from streamcount.tracking.kalman import KalmanTracker

        return KalmanTracker(self)
