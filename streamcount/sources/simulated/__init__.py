"""The simulated microscope: draws what a camera would see, and knows the truth to the last cell.

`config` what can be set; `models` the laws of motion, division and death; `world` the cells' lives in µm and
seconds; `shapes` one cell's picture; `render` and `optics` the frame; `truth` what is in it and its files.
"""

from streamcount.sources.simulated.config import SimulatedConfig
from streamcount.sources.simulated.source import SimulatedSource
from streamcount.sources.simulated.truth import FrameTruth, TruthEvent

__all__ = ["FrameTruth", "SimulatedConfig", "SimulatedSource", "TruthEvent"]
