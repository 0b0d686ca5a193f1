"""What a command lets choose of pictures; apart from the rest, for a command's help needs no arrays."""

from __future__ import annotations

from enum import StrEnum


class Axis(StrEnum):
    """What runs along a picture's axis of time."""

    time = "time"
    frame = "frame"


class Colour(StrEnum):
    """What the colours of a lineage tree mean; auto: the class where there are several, else the generation."""

    auto = "auto"
    class_ = "class"
    generation = "generation"
