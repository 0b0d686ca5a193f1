"""How the pictures of abnormal cells are cut."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class SnapshotsConfig(BaseModel):
    """Pictures of abnormal cells, as `streamcount snapshots run` keeps them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    margin: float = Field(
        default=0.5, ge=0, le=10, description="around the cell, in the longer side of its box"
    )
    max_bytes: int = Field(default=32_768, ge=2048, le=1_000_000, description="largest JPEG, bytes")
