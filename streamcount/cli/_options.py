"""Choices that several commands offer."""

from __future__ import annotations

from enum import StrEnum


class Form(StrEnum):
    """Which compiled form of a model runs."""

    int8 = "int8"
    float32 = "float32"
