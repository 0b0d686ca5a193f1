"""Which cameras are a group."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field, field_validator

from streamcount.windows.config import NS_PER_S
from streamcount.windows.figures import Rule


class GroupConfig(BaseModel):
    """Cameras whose windows are summed: a plate, an experiment, a laboratory. `streamcount groups run` does it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cameras: tuple[str, ...] = Field(
        min_length=1, max_length=1000, description="names of cameras; one may be in several groups"
    )
    wait_s: float = Field(
        default=300.0,
        ge=0,
        le=86_400,
        description="how far the others go on, in event time, before a window is told without a silent camera, s",
    )

    @field_validator("cameras")
    @classmethod
    def _each_once(cls, cameras: tuple[str, ...]) -> tuple[str, ...]:
        doubled = sorted({name for name in cameras if cameras.count(name) > 1})
        if doubled:
            raise ValueError(f"{doubled[0]!r} stands there twice, and would be counted once; take one out")
        return cameras


@dataclass(frozen=True)
class Group:
    """A group as the fold needs it. rule: how its intervals are made."""

    name: str
    cameras: tuple[str, ...]
    wait_ns: int = 300 * NS_PER_S
    rule: Rule = field(default_factory=Rule)
