"""What it takes for something to be told as an event."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class EventsConfig(BaseModel):
    """Settings of the events about cells."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    border_margin_px: float = Field(
        default=3.0, ge=0, le=1000, description="How near to the image's edge a box touches it, in pixels."
    )
    outward_diameters: float = Field(
        default=0.02,
        ge=0,
        le=10,
        description="Motion towards the edge, in diameters a frame, that counts as leaving.",
    )
    class_hold_frames: int = Field(
        default=3,
        ge=1,
        le=1000,
        description="Sightings in a row with another class before the cell has turned.",
    )
    shrunk_share: float = Field(
        default=0.65,
        ge=0,
        le=1,
        description="A cell that ends smaller than this share of its largest area has shrunk and died.",
    )
    vanished_sightings: int = Field(
        default=5,
        ge=0,
        le=100_000,
        description="Sightings, nearly without a miss, after which a cell that is suddenly gone counts as dead; "
        "0 for never.",
    )
