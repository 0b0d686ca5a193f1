"""The colours in which classes are drawn."""

from __future__ import annotations

# Okabe and Ito's colours, told apart with every kind of colour blindness (https://jfly.uni-koeln.de/color/).
SAFE_COLORS = ("#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#0072b2")


def class_color(number: int) -> str:
    """The colour of the n-th class, "#rrggbb"; after seven they repeat, and a dash must tell classes apart."""
    return SAFE_COLORS[number % len(SAFE_COLORS)]
