"""What every detector keeps, whatever it is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import pytest
from pydantic import TypeAdapter

from streamcount.detection import Detector, DetectorConfig
from streamcount.errors import FrameError
from streamcount.types import OUTLINE_POINTS, Detections, Frame
from tests.films import discs, metadata

KINDS = [
    {"kind": "watershed"},
    {"kind": "tflite", "model": "blood-smear"},
    {"kind": "tflite", "model": "nuclei"},
    {"kind": "labels"},
]
CENTRES = [(30.0, 30.0), (40.0, 90.0), (100.0, 50.0), (110.0, 140.0), (60.0, 160.0)]


@pytest.fixture(scope="module", params=KINDS, ids=lambda settings: settings.get("model", settings["kind"]))
def detector(request) -> Detector:
    return TypeAdapter(DetectorConfig).validate_python(request.param).build()


def same(one: Detections, other: Detections) -> bool:
    pairs = [(getattr(one, name), getattr(other, name)) for name in one.__struct_fields__]
    return one.__struct_fields__ == other.__struct_fields__ and all(
        # Cells of label images have no brightness: NaN.
        np.array_equal(a, b, equal_nan=isinstance(a, np.ndarray) and a.dtype.kind == "f")
        for a, b in pairs
    )


def usable(detector: Detector) -> list[Frame]:
    """The frames that the detector takes: a label image has no colours."""
    return [frame for frame in frames() if frame.image.ndim == 2 or detector.model.name != "labels"]


def frames() -> list[Frame]:
    return [
        discs(0, CENTRES),
        discs(1, CENTRES, dtype=np.uint16),
        discs(2, CENTRES, colour=True),
        discs(3, []),
        discs(4, CENTRES, shape=(97, 131)),
        Frame(np.zeros((64, 64), np.uint8), metadata(5)),
        Frame(np.full((64, 64, 3), 65535, np.uint16), metadata(6)),
    ]


@pytest.mark.parametrize("frame", frames(), ids=lambda frame: f"{frame.image.shape} {frame.image.dtype}")
@pytest.mark.parametrize("labels", [False, True])
def test_arrays_have_their_shapes_types_and_bounds(detector, frame, labels):
    if frame.image.ndim == 3 and detector.model.name == "labels":
        with pytest.raises(FrameError):
            detector.detect(frame)
        return
    found = detector.detect(frame, labels=labels)
    number, shape = len(found), frame.image.shape[:2]
    assert found.metadata == frame.metadata
    assert found.model == detector.model
    assert found.image_shape == shape
    assert all(type(side) is int for side in found.image_shape)
    expected = {
        "centroids_px": (2,),
        "boxes_px": (4,),
        "areas_px": (),
        "class_probabilities": (len(found.model.class_names),),
    }
    for name, tail in expected.items():
        array = getattr(found, name)
        assert array.shape == (number, *tail), name
        assert array.dtype == np.float32, name
        assert np.isfinite(array).all(), name
    y0, x0, y1, x1 = found.boxes_px.T
    assert (y0 >= 0).all()
    assert (x0 >= 0).all()
    assert (y1 <= shape[0]).all()
    assert (x1 <= shape[1]).all()
    assert (y1 > y0).all()
    assert (x1 > x0).all()
    assert (found.areas_px > 0).all()
    assert ((found.class_probabilities >= 0) & (found.class_probabilities <= 1)).all()
    assert sum(found.counts().values()) == number
    if not labels:
        assert found.labels is None
    else:
        assert found.labels.shape == shape
        assert found.labels.dtype == np.uint16
        assert found.labels.max(initial=0) <= number


@pytest.mark.parametrize("frame", frames(), ids=lambda frame: f"{frame.image.shape} {frame.image.dtype}")
def test_outlines_are_drawn_where_one_asks_and_change_nothing_else(detector, frame):
    if frame.image.ndim == 3 and detector.model.name == "labels":
        return
    plain, outlined = detector.detect(frame), detector.detect(frame, outlines=True)
    assert plain.outlines is None
    assert plain.outlines_px is None
    assert same(plain, msgspec.structs.replace(outlined, outlines=None))
    if outlined.outlines is None:
        # A model of boxes knows no pixels.
        assert detector.model.name == "blood-smear"
        return
    assert outlined.outlines.shape == (len(outlined), OUTLINE_POINTS, 2)
    assert outlined.outlines.dtype == np.uint8
    points = outlined.outlines_px
    known = outlined.outlines.any(axis=(1, 2))
    assert (np.isfinite(points).all(axis=(1, 2)) == known).all()
    assert (points[known] > -1).all()
    assert (points[known] < np.array(frame.image.shape[:2]) + 1).all()


def test_the_same_frame_gives_the_same_whatever_came_before(detector):
    first = [detector.detect(frame, labels=True, outlines=True) for frame in usable(detector)]
    second = [detector.detect(frame, labels=True, outlines=True) for frame in reversed(usable(detector))][
        ::-1
    ]
    assert all(same(one, other) for one, other in zip(first, second, strict=True))


def test_threads_do_not_disturb_each_other(detector):
    alone = [detector.detect(frame) for frame in usable(detector)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(detector.detect, usable(detector) * 3))
    assert all(same(one, other) for one, other in zip(alone * 3, together, strict=True))


def test_the_frame_is_left_as_it_was(detector):
    frame = discs(0, CENTRES)
    before = frame.image.copy()
    detector.detect(frame, labels=True)
    assert np.array_equal(frame.image, before)


def test_identity_names_what_decides(detector):
    assert len(detector.model.sha256) == 64
    assert set(detector.model.abnormal) <= set(detector.model.class_names)
