"""Events: what tracks mean to a biologist."""

from streamcount.events.cells import cell_events
from streamcount.events.config import EventsConfig
from streamcount.events.lifecycle import LIFECYCLE, Meaning, Transition, meanings
from streamcount.events.memory import CellMemory, empty_memory

__all__ = [
    "LIFECYCLE",
    "CellMemory",
    "EventsConfig",
    "Meaning",
    "Transition",
    "cell_events",
    "empty_memory",
    "meanings",
]
