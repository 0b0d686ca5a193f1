"""A frame: what a camera saw at one instant, and what it said about it."""

from __future__ import annotations

import re
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamcount.errors import FrameError

Image: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]

# Kafka keys, event ids, file names and metric labels are made of these, so no separator may hide in them.
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class FrameMetadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a frame besides its pixels.

    camera_id, run_id: names of letters, digits, `.`, `_`, `-`, at most 64 characters.
    sequence: number of the frame in its run; a run starts at 0 and never skips silently.
    acquired_at_ns: time of exposure, nanoseconds since 1970 UTC; all later time is derived from it.
    pixel_size_um: edge of a pixel in the specimen, µm; None if unknown.
    exposure_ms: exposure time, ms; None if unknown.
    channel: name of the optical channel, "" if there is but one.
    """

    camera_id: str
    run_id: str
    sequence: int
    acquired_at_ns: int
    pixel_size_um: float | None = None
    exposure_ms: float | None = None
    channel: str = ""

    def __post_init__(self) -> None:
        for name, value in (("camera_id", self.camera_id), ("run_id", self.run_id)):
            if not IDENTIFIER.fullmatch(value):
                raise FrameError(
                    "bad-metadata",
                    f"{name} {value[:80]!r} is not a name: use up to 64 letters, digits, '.', '_' or '-'",
                )
        if not 0 <= self.sequence < 2**63:
            raise FrameError("bad-metadata", f"sequence {self.sequence} is not a count from 0")
        if not 0 <= self.acquired_at_ns < 2**63:
            raise FrameError("bad-metadata", f"acquired_at_ns {self.acquired_at_ns} is no time since 1970")
        if self.pixel_size_um is not None and not 1e-3 <= self.pixel_size_um <= 1e3:
            raise FrameError("bad-metadata", f"pixel_size_um {self.pixel_size_um} is not within 0.001..1000")
        if self.exposure_ms is not None and not 0 <= self.exposure_ms <= 1e7:
            raise FrameError("bad-metadata", f"exposure_ms {self.exposure_ms} is not within 0..10,000,000")


class Frame(msgspec.Struct, frozen=True, eq=False):
    """An image, (H, W) or (H, W, 3) RGB, uint8 or uint16, made read-only here, and its metadata.

    Raises FrameError ("bad-image") for any other shape or dtype.
    """

    image: Image
    metadata: FrameMetadata

    def __post_init__(self) -> None:
        image = self.image
        if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3) or 0 in image.shape:
            raise FrameError("bad-image", f"an image is (H, W) or (H, W, 3), not {image.shape}")
        if image.dtype not in (np.uint8, np.uint16):
            raise FrameError("bad-image", f"an image is uint8 or uint16, not {image.dtype}")
        image.setflags(write=False)
