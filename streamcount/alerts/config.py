"""The rules that may be set, one model for each kind."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

# Windows that a jump is judged against: they are kept in the camera's state.
MOST_OVER = 500

Severity: TypeAlias = Literal["info", "warning", "critical"]


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True, validate_by_alias=True)

    severity: Severity = Field(default="warning", description="how grave it is")


class WindowRule(_Rule):
    """What rules over the figures of windows share."""

    figure: str = Field(
        min_length=1,
        description="a figure of docs/alerts.md, such as viability, or flagged_fraction, frames_missing, late_events",
    )
    window: str = Field(default="", description="the window's name; may be left out where there is only one")
    zone: str = Field(default="", description="the figure's zone; empty for the whole field")
    class_name: str = Field(
        default="", alias="class", description="the figure's class; empty for all together"
    )
    for_s: float = Field(
        default=0.0,
        ge=0,
        le=31_536_000,
        description="seconds of windows that must break it; 0 for one window",
    )
    inhibited_by: tuple[str, ...] = Field(
        default=(), description="rules; while one of them is raised for the camera, this one is not raised"
    )
    groups: tuple[str, ...] = Field(
        default=(), description="judge the windows of these groups; empty for those of each camera"
    )
    incomplete: bool = Field(
        default=False,
        description="judge even windows that are cut by a run's end or lack a tenth of their frames",
    )


class LimitRule(WindowRule):
    """A figure of a window is beyond a limit."""

    kind: Literal["limit"] = Field(default="limit", description="a figure above or below a limit")
    above: float | None = Field(
        default=None, allow_inf_nan=False, description="raised where the figure is above this"
    )
    below: float | None = Field(
        default=None, allow_inf_nan=False, description="raised where the figure is below this"
    )
    clear_at: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="cleared from this value on; the limit itself if not set",
    )
    sure: bool = Field(default=False, description="the whole confidence interval must be beyond the limit")

    @model_validator(mode="after")
    def _one_limit(self) -> LimitRule:
        if (self.above is None) == (self.below is None):
            raise ValueError("give exactly one of above and below")
        if self.clear_at is not None and self.sign * self.clear_at > self.sign * self.limit:
            raise ValueError("clear_at must lie on the good side of the limit; move it there or leave it out")
        return self

    @property
    def sign(self) -> float:
        """1.0 where high values break it, -1.0 where low ones do."""
        return -1.0 if self.above is None else 1.0

    @property
    def limit(self) -> float:
        """The limit, above or below."""
        limit = self.below if self.above is None else self.above
        assert limit is not None
        return limit


class JumpRule(WindowRule):
    """A figure of a window differs from the windows before it."""

    kind: Literal["jump"] = Field(default="jump", description="a figure unlike that of the windows before")
    direction: Literal["up", "down", "both"] = Field(default="both", description="which jumps are meant")
    factor: float | None = Field(
        default=None,
        gt=1,
        le=1e6,
        description="raised from this many times the usual value on, or a part of it",
    )
    sigmas: float | None = Field(
        default=None, gt=0, le=1e6, description="raised from this many robust standard deviations on"
    )
    least_change: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="a smaller change is none, in the figure's unit; needed with sigmas",
    )
    over: int = Field(
        default=12, ge=2, le=MOST_OVER, description="windows before it whose median is the usual value"
    )
    first: int = Field(default=4, ge=2, le=MOST_OVER, description="windows before anything is judged")

    @model_validator(mode="after")
    def _one_measure(self) -> JumpRule:
        if (self.factor is None) == (self.sigmas is None):
            raise ValueError("give exactly one of factor and sigmas")
        if self.sigmas is not None and not self.least_change:
            raise ValueError("with sigmas set least_change, or a steady figure jumps at any change")
        if self.first > self.over:
            raise ValueError("first cannot exceed over")
        return self


class SilentRule(_Rule):
    """A camera has sent nothing for so long. `streamcount alerts run` watches it, by its clock."""

    kind: Literal["silent"] = Field(default="silent", description="a camera sends nothing")
    after_s: float = Field(default=60.0, gt=0, le=2_592_000, description="silence that is too long, s")
    cameras: tuple[str, ...] = Field(default=(), description="only these; empty for all")


class LatencyRule(_Rule):
    """Frames are counted too late. `streamcount alerts run` watches it, by its clock."""

    kind: Literal["latency"] = Field(default="latency", description="frames are counted too late")
    above_s: float = Field(
        default=10.0, gt=0, le=86_400, description="time from capture to count that is too long, s"
    )
    for_s: float = Field(default=30.0, ge=0, le=86_400, description="how long it must be too long, s")
    cameras: tuple[str, ...] = Field(default=(), description="only these; empty for all")


AlertRule: TypeAlias = Annotated[LimitRule | JumpRule | SilentRule | LatencyRule, Field(discriminator="kind")]
