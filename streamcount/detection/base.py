"""What a detector is: a pure function from a frame to the cells it shows."""

from __future__ import annotations

from typing import Protocol

from streamcount.types import Detections, Frame, ModelIdentity


class Detector(Protocol):
    """Finds the cells of a frame. Stateless: the same frame gives the same detections, whatever came before.

    A detector may be called from several threads at once.
    """

    @property
    def model(self) -> ModelIdentity:
        """Who decides, and between which classes."""
        ...

    def detect(self, frame: Frame, *, labels: bool = False, outlines: bool = False) -> Detections:
        """The cells of `frame`; with `labels` also the label image that tells which pixels are whose, and with
        `outlines` the points around each cell, where the detector knows its pixels.

        Raises FrameError where this frame cannot be used, ModelError where no frame could.
        """
        ...
