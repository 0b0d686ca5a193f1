"""Whether the size of cells that is told is the size of those that are seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamcount.errors import FrameError

if TYPE_CHECKING:
    from streamcount.detection import Detector
    from streamcount.types import Frame

# Sizes that differ by less are of one kind of cells.
STEADY = 1.2
NO_PIXEL_SIZE = (
    "its pixel size is unknown, so --cell-diameter-um says nothing of it; give --pixel-size-um, or "
    "--cell-diameter-px"
)


def unlike(seen: float, told: float) -> bool:
    """Whether two diameters differ by more than cells of one kind do."""
    return not 1 / STEADY**2 <= seen / told <= STEADY**2


class ScaleJudge:
    """Doubts the scale at which frames are searched: one word for the first frame of each fault.

    in_um: whether the cells' size was told in µm. Only of the first frame are the cells' sizes looked at, several
    times over.
    """

    def __init__(self, detector: Detector, *, in_um: bool) -> None:
        self._detector = detector
        self._pixel_size_missed = not in_um
        self._looked = False

    def remark(self, frame: Frame) -> str | None:
        """What is doubted and what to do; None where nothing is, or it was said before."""
        if not self._pixel_size_missed and frame.metadata.pixel_size_um is None:
            self._pixel_size_missed = True
            return NO_PIXEL_SIZE
        if self._looked:
            return None
        self._looked = True
        return self._size_remark(frame)

    def _size_remark(self, frame: Frame) -> str | None:
        from streamcount.detection.tflite import TfliteDetector

        if not isinstance(self._detector, TfliteDetector):
            return None
        told_px = self._detector.told_diameter_px(frame)
        try:
            seen_px = None if told_px is None else self._detector.seen_diameter_px(frame)
        except FrameError:
            # Told of where it is counted.
            return None
        if told_px is None or seen_px is None or not unlike(seen_px, told_px):
            return None
        pixel_um = frame.metadata.pixel_size_um
        by, instead = "", ""
        if pixel_um is not None:
            by = f" by its pixel size of {pixel_um:g} µm"
            instead = f" or --cell-diameter-um {seen_px * pixel_um:.3g}, or correct --pixel-size-um"
        return (
            f"its cells look {seen_px:.3g} px large and are searched as {told_px:.3g} px{by}, so that counts "
            f"may suffer; give --cell-diameter-px {seen_px:.3g}{instead}"
        )
