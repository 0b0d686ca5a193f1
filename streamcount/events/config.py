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
    abnormal_deviations: float = Field(
        default=3.2,
        ge=0,
        le=1000,
        description="Robust standard deviations from the median of the camera's own cells of a class beyond which "
        "size, shape or intensity is abnormal; 0 for never.",
    )
    abnormal_hold_frames: int = Field(
        default=4, ge=1, le=200, description="Sightings in a row that show it before a cell is told abnormal."
    )
    abnormal_smoothing_frames: int = Field(
        default=8, ge=1, le=1000, description="Sightings over which a cell's looks are averaged."
    )
    abnormal_least_cells: int = Field(
        default=30,
        ge=3,
        le=100_000,
        description="Different cells of a class that were looked at before one is judged by them.",
    )
    population_cells: int = Field(
        default=200, ge=30, le=2000, description="Looks kept of each class, the oldest given up first."
    )
    population_every_frames: int = Field(
        default=100,
        ge=1,
        le=100_000,
        description="Sightings from one look at a cell that is kept to its next.",
    )
    unsure_below: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Mean certainty of a cell's class below which the model is unsure; 0 for never.",
    )
    unsure_novelty: float = Field(
        default=1.0,
        ge=0,
        le=100,
        description="Novelty that halves the certainty; 1 is that of one in 1,000 of the model's usual cells. 0 for "
        "certainty by the probability alone.",
    )
