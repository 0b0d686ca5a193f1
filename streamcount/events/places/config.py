"""Where in the picture to look: zones and counting lines, as they are drawn in the configuration."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from streamcount.events.places.geometry import area, crosses_itself
from streamcount.types.frame import IDENTIFIER

# Names become part of the ids of events.
PlaceName: TypeAlias = Annotated[str, StringConstraints(pattern=f"^{IDENTIFIER.pattern}$")]
Coordinate: TypeAlias = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Points: TypeAlias = tuple[tuple[Coordinate, Coordinate], ...]
MOST_POINTS, MOST_PLACES = 1000, 100
DEFAULT_HYSTERESIS_DIAMETERS = 0.25


class _PlaceConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    points_px: Points | None = Field(
        default=None, max_length=MOST_POINTS, description="The points [y, x] in order, in pixels."
    )
    points_um: Points | None = Field(
        default=None,
        max_length=MOST_POINTS,
        description="The same in µm from the picture's upper left corner, in place of points_px.",
    )
    classes: tuple[str, ...] = Field(
        default=(), description="Only cells of these classes are told of; all where left out."
    )
    hysteresis_px: float | None = Field(
        default=None,
        ge=0,
        le=100_000,
        description="How far beyond the border a cell must be before it is on the other side, in pixels.",
    )
    hysteresis_diameters: float | None = Field(
        default=None,
        ge=0,
        le=100,
        description=f"The same in diameters of the cell; {DEFAULT_HYSTERESIS_DIAMETERS} where neither is given.",
    )

    @property
    def points(self) -> Points:
        """As drawn, in pixels or µm."""
        return self.points_px or self.points_um or ()

    @model_validator(mode="after")
    def _given_once(self) -> _PlaceConfig:
        if (self.points_px is None) == (self.points_um is None):
            raise ValueError("give either points_px or points_um")
        if self.hysteresis_px is not None and self.hysteresis_diameters is not None:
            raise ValueError("give either hysteresis_px or hysteresis_diameters")
        return self


class ZoneConfig(_PlaceConfig):
    """A polygon; the last point is joined to the first."""

    edges: Literal["centroid", "haemocytometer"] = Field(
        default="centroid",
        description="centroid: a cell is where its centroid is. haemocytometer: cells that touch the upper and left "
        "edge of a rectangle are in it, those that touch the lower and right edge are not.",
    )

    @model_validator(mode="after")
    def _is_a_simple_polygon(self) -> ZoneConfig:
        corners = np.array(self.points, np.float64)
        if len(corners) < 3:
            raise ValueError(f"a zone has at least 3 points, this one has {len(corners)}")
        if crosses_itself(corners):
            raise ValueError(
                "the zone's outline crosses or touches itself; give the corners in order around it, each once"
            )
        if area(corners) <= 0:
            raise ValueError("the zone has no area; move its points apart")
        if self.edges == "haemocytometer" and not _is_upright_rectangle(corners):
            raise ValueError(
                'edges = "haemocytometer" needs a rectangle of 4 points, its sides along y and x'
            )
        return self


class LineConfig(_PlaceConfig):
    """A line of one or more segments, from the first point to the last; forward is from its left to its right."""

    @model_validator(mode="after")
    def _has_length(self) -> LineConfig:
        points = np.array(self.points, np.float64)
        if len(points) < 2:
            raise ValueError(f"a line has at least 2 points, this one has {len(points)}")
        if (points[1:] == points[:-1]).all(axis=1).any():
            raise ValueError("a point of the line is given twice in a row; leave one out")
        return self


class PlacesConfig(BaseModel):
    """All zones and lines of one camera, by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    zones: dict[PlaceName, ZoneConfig] = Field(
        default_factory=dict, max_length=MOST_PLACES, description="Polygons in which cells are told of."
    )
    lines: dict[PlaceName, LineConfig] = Field(
        default_factory=dict, max_length=MOST_PLACES, description="Lines at which passing cells are counted."
    )

    @property
    def in_um(self) -> tuple[str, ...]:
        """The keys of what is drawn in µm, and so needs the pixel size."""
        every = [(f"zones.{name}", zone.points_um) for name, zone in self.zones.items()]
        every += [(f"lines.{name}", line.points_um) for name, line in self.lines.items()]
        return tuple(f"{key}.points_um" for key, points in every if points is not None)


def _is_upright_rectangle(corners: np.ndarray) -> bool:
    return len(corners) == 4 and all(len(set(column)) == 2 for column in corners.T.tolist())
