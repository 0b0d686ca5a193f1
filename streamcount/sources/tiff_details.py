"""What a TIFF says about its pixels and times: OME-XML, or ImageJ's description."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

_UM_PER_UNIT = {
    "km": 1e9, "m": 1e6, "dm": 1e5, "cm": 1e4, "mm": 1e3, "µm": 1.0, "nm": 1e-3, "pm": 1e-6, "Å": 1e-4,
    "in": 25400.0, "ft": 304800.0, "thou": 25.4, "mil": 25.4,
    # ImageJ's spellings; μ is the Greek letter, µ above the micro sign.
    "um": 1.0, "μm": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0, "inch": 25400.0, "\\u00B5m": 1.0,
}  # fmt: skip
_SECONDS_PER_UNIT = {
    "s": 1.0, "sec": 1.0, "ms": 1e-3, "msec": 1e-3, "µs": 1e-6, "μs": 1e-6, "us": 1e-6, "ns": 1e-9,
    "min": 60.0, "h": 3600.0, "d": 86400.0,
}  # fmt: skip


@dataclass(frozen=True)
class TiffDetails:
    """What is known of a stack's chosen channel and plane.

    pixel_size_um: µm per pixel, the geometric mean where pixels are not square, None if not told.
    channel: its name, "" if it has none. channel_names: of all channels.
    start_ns: time of acquisition, nanoseconds since 1970 UTC, None if not told; taken as UTC if without zone.
    offsets_s: seconds from `start_ns` to frame i; empty if not told.
    exposures_ms: exposure of frame i; empty if not told.
    """

    pixel_size_um: float | None = None
    channel: str = ""
    channel_names: tuple[str, ...] = ()
    start_ns: int | None = None
    offsets_s: tuple[float, ...] = ()
    exposures_ms: tuple[float, ...] = ()


@dataclass(frozen=True)
class _Planes:
    """Values of OME's Plane elements by (channel, z, t)."""

    delta_s: dict[tuple[int, int, int], float] = field(default_factory=dict)
    exposure_ms: dict[tuple[int, int, int], float] = field(default_factory=dict)


def ome_channel_names(xml: str, series: int) -> tuple[str, ...]:
    """Names of an OME image's channels, "" for those without; empty where the XML cannot be read."""
    pixels = _child(_ome_image(xml, series), "Pixels")
    return tuple(channel.get("Name", "") for channel in _children(pixels, "Channel"))


def ome_details(xml: str, series: int, channel: int, z: int | None, frames: int) -> TiffDetails:
    """What OME-XML says of image `series`; z None means that its planes are the frames.

    http://www.openmicroscopy.org/Schemas/OME/2016-06: PhysicalSizeX/Y (default unit µm), TimeIncrement,
    Plane's DeltaT and ExposureTime (default unit s), AcquisitionDate.
    """
    image = _ome_image(xml, series)
    pixels = _child(image, "Pixels")
    if image is None or pixels is None:
        return TiffDetails()
    names = tuple(element.get("Name", "") for element in _children(pixels, "Channel"))
    keys = [(channel, z, t) if z is not None else (channel, t, 0) for t in range(frames)]
    planes = _planes(pixels)
    offsets = tuple(planes.delta_s[key] for key in keys if key in planes.delta_s)
    exposures = tuple(planes.exposure_ms[key] for key in keys if key in planes.exposure_ms)
    increment = _number(pixels, "TimeIncrement")
    if len(offsets) != frames or any(later <= earlier for earlier, later in pairwise(offsets)):
        # Some programs write the same time for each plane; it says nothing then.
        step = (increment or 0.0) * _SECONDS_PER_UNIT.get(pixels.get("TimeIncrementUnit", "s"), math.nan)
        offsets = tuple(step * t for t in range(frames)) if step > 0 else ()
    return TiffDetails(
        pixel_size_um=_pixel_size_um(
            [_length_um(pixels, "PhysicalSizeX"), _length_um(pixels, "PhysicalSizeY")],
        ),
        channel=names[channel] if channel < len(names) else "",
        channel_names=names,
        start_ns=_start_ns(image),
        offsets_s=offsets,
        exposures_ms=exposures if len(exposures) == frames else (),
    )


def imagej_details(
    description: Mapping[str, Any], pixels_per_unit: tuple[float | None, float | None], frames: int
) -> TiffDetails:
    """What ImageJ's description and the resolution tags (pixels per `unit`) say."""
    um = _UM_PER_UNIT.get(str(description.get("unit", "")))
    sizes = [um / density if um and density else None for density in pixels_per_unit]
    interval = description.get("finterval")
    step = float(interval) if isinstance(interval, int | float) and interval > 0 else 0.0
    return TiffDetails(
        pixel_size_um=_pixel_size_um(sizes),
        offsets_s=tuple(step * t for t in range(frames)) if step else (),
    )


def _ome_image(xml: str, series: int) -> ElementTree.Element | None:
    try:
        images = _children(ElementTree.fromstring(xml), "Image")
    except ElementTree.ParseError:
        # Pixels can be counted without their description, which is optional throughout.
        return None
    return images[series] if series < len(images) else None


def _children(element: ElementTree.Element | None, name: str) -> list[ElementTree.Element]:
    # The namespace carries the schema's year, of which there are many.
    return [] if element is None else [child for child in element if child.tag.rpartition("}")[2] == name]


def _child(element: ElementTree.Element | None, name: str) -> ElementTree.Element | None:
    found = _children(element, name)
    return found[0] if found else None


def _planes(pixels: ElementTree.Element) -> _Planes:
    planes = _Planes()
    for plane in _children(pixels, "Plane"):
        try:
            key = (int(plane.get("TheC", "0")), int(plane.get("TheZ", "0")), int(plane.get("TheT", "0")))
        except ValueError:
            continue
        delta = _seconds(plane, "DeltaT")
        exposure = _seconds(plane, "ExposureTime")
        if delta is not None:
            planes.delta_s[key] = delta
        if exposure is not None and 0 <= exposure <= 1e4:
            planes.exposure_ms[key] = exposure * 1000
    return planes


def _number(element: ElementTree.Element, name: str) -> float | None:
    try:
        value = float(element.get(name, ""))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _seconds(element: ElementTree.Element, name: str) -> float | None:
    value = _number(element, name)
    factor = _SECONDS_PER_UNIT.get(element.get(f"{name}Unit", "s"))
    return None if value is None or factor is None else value * factor


def _length_um(element: ElementTree.Element, name: str) -> float | None:
    value = _number(element, name)
    factor = _UM_PER_UNIT.get(element.get(f"{name}Unit", "µm"))
    return None if value is None or factor is None else value * factor


def _pixel_size_um(sizes_um: list[float | None]) -> float | None:
    known = [size for size in sizes_um if size is not None and size > 0]
    if not known:
        return None
    # The geometric mean keeps areas right where pixels are not square.
    size = math.exp(sum(math.log(value) for value in known) / len(known))
    return size if 1e-3 <= size <= 1e3 else None


def _start_ns(image: ElementTree.Element) -> int | None:
    element = _child(image, "AcquisitionDate")
    if element is None:
        element = _child(image, "AcquiredDate")
    try:
        moment = datetime.fromisoformat((element.text or "").strip()) if element is not None else None
    except ValueError:
        return None
    if moment is None:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    elapsed = moment - datetime(1970, 1, 1, tzinfo=UTC)
    nanoseconds = (elapsed.days * 86400 + elapsed.seconds) * 1_000_000_000 + elapsed.microseconds * 1000
    return nanoseconds if nanoseconds >= 0 else None
