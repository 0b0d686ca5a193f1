"""Which windows are told, and what stands under the camera."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from streamcount.windows.figures import Rule

NS_PER_S = 1_000_000_000
# A frame is added to each window that it lies in, so overlapping ones cost as often.
MOST_OVERLAPPING = 24


class WindowConfig(BaseModel):
    """One kind of window. Windows begin at whole multiples of `every_s` since 1970, so those of all cameras agree."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    length_s: float = Field(gt=0, le=31_622_400, description="length, s")
    every_s: float | None = Field(
        default=None,
        gt=0,
        description="s from one beginning to the next; not set: length_s, so that no two overlap",
    )
    grace_s: float = Field(
        default=0.0, ge=0, le=86_400, description="s after its end that late news may take"
    )
    grace_frames: int = Field(
        default=10,
        ge=0,
        le=100_000,
        description="frames after its end before it is final: a death or a division is known some frames later",
    )
    current_s: float = Field(
        default=0.0, ge=0, description="the figures so far are told at most every so many s; 0 for never"
    )

    @model_validator(mode="after")
    def _steps_fit(self) -> WindowConfig:
        if self.every_s is not None and self.every_s > self.length_s:
            raise ValueError("every_s is longer than length_s, so frames would lie in no window; lower it")
        if self.length_ns > MOST_OVERLAPPING * self.every_ns:
            raise ValueError(
                f"at most {MOST_OVERLAPPING} windows may overlap; raise every_s or lower length_s"
            )
        return self

    @property
    def length_ns(self) -> int:
        """Length, ns."""
        return max(1, round(self.length_s * NS_PER_S))

    @property
    def every_ns(self) -> int:
        """From one beginning to the next, ns."""
        return self.length_ns if self.every_s is None else max(1, round(self.every_s * NS_PER_S))

    def starts_over(self, at_ns: int) -> list[int]:
        """Beginnings of the windows in which a time lies, the earliest first, ns."""
        latest_ns = at_ns - at_ns % self.every_ns
        more = (self.length_ns - (at_ns - latest_ns) - 1) // self.every_ns
        return [latest_ns - back * self.every_ns for back in range(more, -1, -1)]


class ChamberConfig(BaseModel):
    """The counting chamber under the camera, which turns cells per area into cells per mL."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    depth_um: float = Field(gt=0, le=1e5, description="depth, µm; 100 in an improved Neubauer chamber")
    dilution: float = Field(
        default=1.0,
        ge=1,
        le=1e9,
        description="volume after dilution over the volume of the sample in it; 2 where as much stain was added",
    )


Edges: TypeAlias = Literal["haemocytometer", "whole-cells"]


@dataclass(frozen=True)
class WindowsSetup:
    """A camera's windows, by name. rule: how their intervals are made. edges: which cells count in the densities of
    the whole field."""

    windows: Mapping[str, WindowConfig] = field(default_factory=dict)
    chamber: ChamberConfig | None = None
    rule: Rule = field(default_factory=Rule)
    edges: Edges = "haemocytometer"
