"""When a picture is bad."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class QualityConfig(BaseModel):
    """Limits of the picture's measures, and how long they must be broken."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    focus_limit: float = Field(
        default=4.0, gt=0, le=1000, description="Out of focus from this focus score on; lower is stricter."
    )
    saturated_limit: float = Field(
        default=0.05, gt=0, le=1, description="Share of pixels at full white that is too many."
    )
    dark_limit: float = Field(default=0.98, gt=0, le=1, description="Share of black pixels that is too many.")
    dark_share: float = Field(
        default=0.4, ge=0, lt=1, description="Dark below this share of the camera's usual level; 0 for never."
    )
    uneven_limit: float = Field(
        default=0.6, gt=0, le=100, description="Range of the illumination over its mean that is too large."
    )
    contrast_limit: float = Field(
        default=0.01, ge=0, le=100, description="Standard deviation over mean that is too small."
    )
    contrast_share: float = Field(
        default=0.3, ge=0, lt=1, description="Low contrast below this share of the camera's usual contrast."
    )
    drift_limit_diameters: float = Field(
        default=1.0,
        gt=0,
        le=1000,
        description="Shift of the stage within `drift_frames` frames that is too far, in diameters of a usual cell.",
    )
    drift_frames: int = Field(
        default=10, ge=1, le=1000, description="Frames over which the shift of the stage is added up."
    )
    bubble_limit: float = Field(
        default=0.0,
        ge=0,
        le=1000,
        description="A bubble from this many usual spreads on that a part of the picture is darker; 0 for never.",
    )
    history_frames: int = Field(
        default=30, ge=5, le=1000, description="Good frames kept as the camera's own history."
    )
    history_every: int = Field(
        default=1, ge=1, le=100_000, description="Good frames from one that is kept to the next."
    )
    first_frames: int = Field(
        default=8, ge=3, le=1000, description="Good frames before anything is judged by history."
    )
    frames_on: int = Field(
        default=3, ge=1, le=10_000, description="Bad frames in a row before a flag is raised."
    )
    frames_off: int = Field(
        default=5, ge=1, le=10_000, description="Good frames in a row before a flag is taken back."
    )
