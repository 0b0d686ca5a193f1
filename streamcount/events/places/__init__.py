"""Zones and counting lines: where in the picture cells are, and where they pass."""

from streamcount.events.places.config import LineConfig, PlacesConfig, ZoneConfig
from streamcount.events.places.layout import PlacesMap, places_map
from streamcount.events.places.memory import PlacesMemory, empty_places
from streamcount.events.places.moves import CellsAround, PlaceStory, place_events

__all__ = [
    "CellsAround",
    "LineConfig",
    "PlaceStory",
    "PlacesConfig",
    "PlacesMap",
    "PlacesMemory",
    "ZoneConfig",
    "empty_places",
    "place_events",
    "places_map",
]
