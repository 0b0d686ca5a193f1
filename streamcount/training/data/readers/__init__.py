"""One file a label format, and one entry here."""

from __future__ import annotations

from streamcount.training.data.readers.base import Reader
from streamcount.training.data.readers.coco import CocoReader
from streamcount.training.data.readers.ctc import CtcReader
from streamcount.training.data.readers.label_images import LabelImageReader
from streamcount.training.data.readers.points import PointsReader
from streamcount.training.data.readers.voc import VocReader
from streamcount.training.data.readers.yolo import YoloReader

# In the order in which a folder is tried.
READERS: tuple[Reader, ...] = (
    CtcReader(),
    CocoReader(),
    VocReader(),
    LabelImageReader(),
    PointsReader(),
    YoloReader(),
)

__all__ = ["READERS", "Reader"]
