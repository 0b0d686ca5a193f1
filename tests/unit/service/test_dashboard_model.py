"""What the page makes of records, without Kafka."""

from __future__ import annotations

import base64

import msgspec
import numpy as np
import pytest

from streamcount.config.settings import TopicName
from streamcount.service.dashboard.camera import CELLS_WAIT_S, KEPT_PICTURE_BYTES, CameraLive, LastWord
from streamcount.service.dashboard.cells import cells_view, model_of, peek
from streamcount.service.dashboard.last_words import newest_count
from streamcount.service.dashboard.model import MOST_CAMERAS, NAMELESS, LiveModel, Taken
from streamcount.service.dashboard.views import CameraSummary, rfc3339, summary
from streamcount.types import (
    GROUP_RUN,
    OUTLINE_POINTS,
    AlertCleared,
    AlertRaised,
    CellDivided,
    CountsUpdated,
    Detections,
    FramesMissing,
    QualityChanged,
    TrackStatus,
    WindowClosed,
)
from streamcount.wire import encode_detections, encode_event, encode_tracks
from streamcount.wire.cloudevents import missing_headers
from tests.liverecords import (
    NOW_NS,
    SECOND_NS,
    common,
    counted,
    detections,
    fed,
    frame,
    record,
    tracks,
)


def test_repeated_events_are_taken_once_and_each_stage_is_its_own() -> None:
    divided = {
        **common(3), "track_id": 5, "class_name": "red", "centroid_px": (1, 1), "box_px": (0, 0, 2, 2),
        "daughter_ids": (6, 7),
    }  # fmt: skip
    first, then = CellDivided(**divided, certainty="provisional"), CellDivided(**divided)
    camera = fed(first, first, then, then)
    assert [event.certainty for event in camera.events] == ["provisional", "confirmed"]


def test_alerts_are_active_until_cleared() -> None:
    raised = AlertRaised(**common(3), rule="crowded", reason="cells 99 > 80")
    camera = fed(raised)
    assert list(camera.active_alerts) == ["crowded"]
    camera.add_event(AlertCleared(**common(9), rule="crowded", reason="cells 70"), 0.0)
    assert not camera.active_alerts
    assert [(past.raised.sequence, past.cleared.sequence) for past in camera.past_alerts] == [(3, 9)]


def test_quality_is_what_the_last_frame_says_and_why() -> None:
    camera = fed(QualityChanged(**common(1), flags=("blurred",), previous=(), explanation="sharpness -4"))
    assert (camera.quality, camera.quality_why) == (("blurred",), "sharpness -4")
    camera.add_event(counted(2), 0.0)
    assert camera.quality == ()


def test_open_windows_are_replaced_and_closed_ones_kept() -> None:
    def window(sequence: int, final: bool) -> WindowClosed:
        bounds = {"window": "minute", "window_start_ns": NOW_NS, "window_end_ns": NOW_NS + 60 * SECOND_NS}
        return WindowClosed(**common(sequence), **bounds, final=final, complete=True, frames=sequence)

    camera = fed(window(1, False), window(2, False), window(3, True), window(3, True))
    assert camera.current_windows["minute"].frames == 2
    assert [one.frames for one in camera.windows] == [3]


def test_the_picture_shown_is_the_newest_whose_cells_are_known() -> None:
    model = LiveModel()
    for sequence in range(3):
        model.take(frame(sequence), sequence / 5, NOW_NS)
    assert model.look("scope-1", lambda camera: camera.shown_picture(0.4).sequence) == 2  # type: ignore[union-attr]
    model.take(record("tracks", encode_tracks(tracks(1), ("red",))), 0.4, NOW_NS)
    assert model.look("scope-1", lambda camera: camera.shown_picture(0.4).sequence) == 1  # type: ignore[union-attr]
    late_s = 0.4 + 2 * CELLS_WAIT_S
    model.take(frame(20), late_s, NOW_NS)
    assert model.look("scope-1", lambda camera: camera.shown_picture(late_s).sequence) == 20  # type: ignore[union-attr]


def test_pictures_are_bounded_in_bytes() -> None:
    model = LiveModel()
    for sequence in range(5):
        model.take(frame(sequence, data=bytes(KEPT_PICTURE_BYTES // 2)), 0.0, NOW_NS)
    kept = model.look("scope-1", lambda camera: [one.sequence for one in camera.pictures])
    assert kept == [3, 4]


def test_a_camera_is_stale_after_its_own_measure_of_time() -> None:
    camera = CameraLive("scope-1")
    assert camera.stale_since_s(100.0) is None
    camera.arrivals_s.extend([0.0, 0.2, 0.4])
    assert camera.stale_since_s(3.3) is None
    assert camera.stale_since_s(3.5) == 0.4
    slow = CameraLive("scope-2")
    slow.arrivals_s.extend([0.0, 60.0, 120.0])
    assert slow.stale_since_s(300.0) is None
    assert slow.stale_since_s(421.0) == 120.0


def test_frames_that_nobody_counts_are_told_apart_from_a_silent_camera() -> None:
    camera = CameraLive("scope-1")
    camera.arrivals_s.extend([i / 5 for i in range(50)])
    assert camera.uncounted_since_s(9.9) is not None
    camera.counted_s = 9.5
    assert camera.uncounted_since_s(9.9) is None
    assert camera.uncounted_since_s(60.0) is None
    assert camera.stale_since_s(60.0) is not None


def test_a_configured_camera_is_there_before_it_is_heard_and_says_so() -> None:
    model = LiveModel()
    model.expect(["scope-1"], 100.0)

    def told(now_s: float) -> CameraSummary:
        found = model.look("scope-1", lambda one: summary(one, now_s, NOW_NS))
        assert found is not None
        return found

    assert (told(101.0).state, told(101.0).since) == ("unknown", None)
    late = told(160.0)
    assert (late.state, late.since) == ("unheard", rfc3339(NOW_NS - 60 * SECOND_NS))
    assert model.unheard() == ["scope-1"]
    model.remember("scope-1", LastWord("yesterday", 7, NOW_NS // 10**6 - 7_200_000, 5, {"red": 5}))
    remembered = told(160.0)
    assert (remembered.state, remembered.since) == ("stale", rfc3339(NOW_NS - 7200 * SECOND_NS))
    assert (remembered.run_id, remembered.sequence, remembered.total) == ("yesterday", 7, 5)
    assert (remembered.counts, remembered.account, model.unheard()) == ({"red": 5}, None, [])
    model.take(record("counts", encode_event(counted(3))), 161.0, NOW_NS)
    live = told(161.5)
    assert (live.state, live.run_id, live.sequence, live.total) == ("live", "a", 3, 3)


def test_the_newest_count_of_a_camera_is_found_in_blocks_that_go_back() -> None:
    class Record:
        def __init__(self, offset: int, key: bytes, sequence: int) -> None:
            self.partition, self.offset, self.key = 0, offset, key
            self.value, self.timestamp, self.timestamp_type = encode_event(counted(sequence)), 77, 0

    blocks = [
        Record(6, b"other", 9),
        Record(7, b"other", 9),
        Record(3, b"scope-1", 1),
        Record(4, b"scope-1", 2),
    ]
    older = Record(0, b"scope-1", 0)
    found = newest_count("scope-1", [*blocks, Record(5, b"other", 9), older])
    assert found == LastWord("a", 2, 77, 3, {"red": 3})
    assert newest_count("scope-2", blocks) is None


def test_what_lay_there_before_is_as_old_as_it_says() -> None:
    model = LiveModel()
    old = Taken(
        "counts", 0, 0, b"scope-1", encode_event(counted(0)), [], NOW_NS // 10**6 - 60_000, live=False
    )
    model.take(old, 100.0, NOW_NS)
    with model.reading() as cameras:
        camera = cameras["scope-1"]
        assert camera.stale_since_s(100.0) == pytest.approx(40.0)
        assert camera.view.latency_ms(100.0) is None
        assert camera.view.rate_hz(100.0) == 0.0


def test_a_cameras_own_word_of_missing_frames_counts_as_published() -> None:
    missing = FramesMissing(**common(4), last_sequence=6, reason="dropped")
    taken = Taken("frames", 0, 0, b"scope-1", encode_bare(missing), missing_headers(missing), None)
    model = LiveModel()
    model.take(taken, 0.0, NOW_NS)
    assert model.look("scope-1", lambda camera: camera.runs["a"].published_last) == 6


def encode_bare(event: FramesMissing) -> bytes:
    import msgspec

    return msgspec.json.encode(event)


@pytest.mark.parametrize("topic", ["frames", "tracks", "detections", "counts", "events", "alerts", "windows"])
def test_what_cannot_be_read_changes_nothing(topic: TopicName) -> None:
    model = LiveModel()
    model.take(record(topic, b"\xff nonsense"), 0.0, NOW_NS)
    with model.reading() as cameras:
        assert not cameras


def test_dead_letters_are_noted_with_their_reason() -> None:
    model = LiveModel()
    headers = [("streamcount.reason", b"undecodable"), ("__connect.errors.exception.message", b"no JPEG")]
    model.take(Taken("dead-letters", 2, 7, b"scope-1", b"?", headers, 5), 0.0, NOW_NS)
    model.take(Taken("dead-letters", 2, 8, None, b"?", [("x", b"\xff")], 5), 0.0, NOW_NS)
    note = model.look("scope-1", lambda camera: camera.dead_letters[0])
    assert note is not None
    assert (note.partition, note.offset, note.reason, note.message) == (2, 7, "undecodable", "no JPEG")
    assert model.look("?", lambda camera: camera.dead_letters[0].reason) == "bad-headers"
    told = model.look("scope-1", lambda camera: summary(camera, 1.0, NOW_NS))
    assert told is not None
    assert (told.dead_letters, told.last_dead_letter) == (1, note.reason)


@pytest.mark.parametrize("key", [b'x" onclick="alert(1)', b"a/b", b"\xff", b"", b"y" * 65])
def test_a_key_that_is_no_name_makes_no_camera_of_its_own(key: bytes) -> None:
    model = LiveModel()
    model.take(Taken("dead-letters", 0, 0, key, b"?", [], 5), 0.0, NOW_NS)
    event = AlertRaised(
        camera_id=key.decode("latin-1"), run_id="a", sequence=0, happened_at_ns=0, decided_at_ns=0,
        rule="crowded", reason="cells 48 > 40", severity="critical",
    )  # fmt: skip
    model.take(record("alerts", encode_event(event)), 0.0, NOW_NS)
    with model.reading() as cameras:
        assert list(cameras) == [NAMELESS]
    assert model.unreadable == 1


def test_names_without_end_do_not_fill_the_memory() -> None:
    model = LiveModel()
    for number in range(MOST_CAMERAS + 5):
        event = CountsUpdated(
            **common(0, camera_id=f"c{number}"), counts={}, total=0, confirmed_tracks=0, cells_seen=0
        )
        model.take(record("counts", encode_event(event)), 0.0, NOW_NS)
    with model.reading() as cameras:
        assert len(cameras) == MOST_CAMERAS
    assert model.unreadable == 5


def test_messages_are_numbered_for_whoever_follows() -> None:
    model = LiveModel()
    model.take(record("counts", encode_event(counted(0))), 0.0, NOW_NS)
    missing = FramesMissing(**common(1), last_sequence=1, reason="dropped")
    model.take(record("events", encode_event(missing)), 0.0, NOW_NS)
    assert model.messages_after(0) == [(1, missing)]
    assert model.messages_after(model.last_message) == []


def test_cells_in_view_have_their_frames_place_age_and_probability() -> None:
    status = (TrackStatus.CONFIRMED, TrackStatus.ENDED, TrackStatus.TENTATIVE)
    value = encode_tracks(tracks(10, status), ("red", "white"))
    assert peek(value) == ("a", 10)
    view = cells_view(value, encode_detections(detections(10, 3)))
    assert (view.width_px, view.height_px, view.sequence) == (64, 48, 10)
    assert (view.ids, view.confirmed, view.ages_s) == ([1, 3], [True, False], [2.0, 2.0])
    assert view.boxes_px[0] == (1.0, 2.0, 11.0, 22.3)
    assert view.probabilities == [0.75, 0.75]
    assert cells_view(value, None).probabilities == [None, None]


def test_a_cell_is_drawn_as_it_is_counted_and_what_it_is_believed_to_be_is_told_beside() -> None:
    seen = msgspec.structs.replace(
        detections(10), class_probabilities=np.array([[0.2, 0.8], [0.9, 0.1]], np.float32)
    )
    view = cells_view(encode_tracks(tracks(10), ("red", "white")), encode_detections(seen))
    assert (view.class_ids, view.believed_class_ids) == ([1, 0], [0, 0])
    assert cells_view(encode_tracks(tracks(10), ("red", "white")), None).class_ids == [0, 0]


def outlined(sequence: int, n: int) -> Detections:
    """Row i of the outlines is full of 85 + i; the second cell has none."""
    lines = np.tile(np.arange(85, 85 + n, dtype=np.uint8)[:, None, None], (1, OUTLINE_POINTS, 2))
    lines[1] = 0
    return msgspec.structs.replace(detections(sequence, n), outlines=lines)


def test_a_cells_outline_is_that_of_its_own_detection() -> None:
    rows = msgspec.structs.replace(tracks(10, (1, 1, 1, 1)), detection_rows=np.array([4, 1, -1, 0]))
    view = cells_view(encode_tracks(rows, ("red", "white")), encode_detections(outlined(10, 5)))
    assert view.ids == [1, 2, 4]
    assert view.outlines is not None
    numbers = np.frombuffer(view.outlines, np.uint8).reshape(3, OUTLINE_POINTS, 2)
    assert numbers[:, 0, 0].tolist() == [89, 0, 85]
    first, second, third = view.outlines_px()
    # The box is [1, 2, 11, 22.3]: its sides are 10 and 20.3 px.
    assert first == [pytest.approx((1 + 4 / 85 * 10, 2 + 4 / 85 * 20.3), abs=0.051)] * OUTLINE_POINTS
    assert second is None
    assert third == [(1.0, 2.0)] * OUTLINE_POINTS
    told = msgspec.json.decode(msgspec.json.encode(view))
    assert base64.b64decode(told["outlines"]) == view.outlines


@pytest.mark.parametrize(
    "found",
    [
        None,
        detections(10, 2),
        # Those of another frame's cells, or of another writer.
        msgspec.structs.replace(outlined(10, 2), outlines=np.ones((3, 24, 2), np.uint8)),
        msgspec.structs.replace(outlined(10, 2), outlines=np.ones((2, 16), np.uint8)),
        msgspec.structs.replace(outlined(10, 2), outlines=np.ones((2, 24, 2), np.float32)),
    ],
    ids=["no detections", "none drawn", "of other cells", "of another form", "of another type"],
)
def test_without_outlines_cells_are_told_all_the_same(found: Detections | None) -> None:
    record = None if found is None else encode_detections(found)
    view = cells_view(encode_tracks(tracks(10), ("red", "white")), record)
    assert view.outlines is None
    assert view.outlines_px() == [None, None]


def test_the_model_is_known_from_detections_and_missing_frames_are_about_no_picture() -> None:
    value = encode_detections(detections(4))
    assert peek(value) == ("a", 4)
    found = model_of(value)
    assert found is not None
    assert (found[0].name, found[1]) == ("blood-smear", 0.5)
    missing = encode_detections(FramesMissing(**common(4), last_sequence=6, reason="dropped"))
    assert peek(missing) is None
    assert model_of(None) is None


def test_a_group_is_no_camera() -> None:
    model = LiveModel()
    closed = WindowClosed(
        **common(1, GROUP_RUN, "plate"), window="minute", window_start_ns=0, window_end_ns=60, final=True,
        complete=True, members=("scope-1",),
    )  # fmt: skip
    raised = AlertRaised(**common(1, GROUP_RUN, "plate"), rule="crowded", reason="cells 9 > 8")
    model.take(record("windows", encode_event(closed), b"plate"), 0.0, NOW_NS)
    model.take(record("alerts", encode_event(raised), b"plate"), 0.0, NOW_NS)
    with model.reading() as cameras:
        assert cameras == {}
    with model.reading_all() as known:
        assert list(known) == ["plate"]
    assert model.look("plate", lambda one: True) is None
    assert model.look_group("plate", lambda one: (len(one.windows), list(one.active_alerts))) == (
        1,
        ["crowded"],
    )
    assert model.unreadable == 0
