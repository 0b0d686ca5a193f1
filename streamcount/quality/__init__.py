"""How good a frame is as a picture, and whether that changed."""

from streamcount.quality.config import QualityConfig
from streamcount.quality.judge import bubble_score, complaints, focus_score, judge
from streamcount.quality.measure import measurable, measure
from streamcount.quality.state import FLAGS, QualityState, empty_quality

__all__ = [
    "FLAGS",
    "QualityConfig",
    "QualityState",
    "bubble_score",
    "complaints",
    "empty_quality",
    "focus_score",
    "judge",
    "measurable",
    "measure",
]
