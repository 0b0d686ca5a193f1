"""Windows: what was counted and what happened in spans of event time, summed in the core."""

from streamcount.windows.config import ChamberConfig, WindowConfig, WindowsSetup
from streamcount.windows.observe import end_run, lose, observe
from streamcount.windows.seen import BoolArray, Seen, Surroundings
from streamcount.windows.state import OpenWindow, WindowsState, no_windows

__all__ = [
    "BoolArray",
    "ChamberConfig",
    "OpenWindow",
    "Seen",
    "Surroundings",
    "WindowConfig",
    "WindowsSetup",
    "WindowsState",
    "end_run",
    "lose",
    "no_windows",
    "observe",
]
