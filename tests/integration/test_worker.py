"""The worker on a real broker: it counts as the library counts, and puts aside what cannot be counted."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import time
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from kafka import KafkaAdminClient, KafkaProducer

from streamcount.types import AnyEvent, CountsUpdated, FrameMetadata, FramesMissing
from streamcount.wire import decode_detections, decode_event, encode_detections, encode_image
from streamcount.wire.cloudevents import Headers, frame_headers, missing_headers
from streamcount.wire.deadletters import PREFIX, REASON, original_headers
from tests.integration.service import Service, counted, without_repeats

pytestmark = pytest.mark.broker

TWO_CAMERAS = """
[worker]
app_id = "{name}-worker"
port = {port}
data_folder = "{folder}/worker"
[detector]
kind = "watershed"
[limits]
frame_pixels = 9_000_000
frame_bytes = 7_000_000
[cameras.smear]
encoding = "png"
[cameras.smear.source]
kind = "simulated"
seed = 5
cells = 20
width_px = 320
height_px = 240
frames = 40
rate_hz = 40
start_ns = 1_700_000_000_000_000_000
[cameras.nuclei]
[cameras.nuclei.source]
kind = "simulated"
modality = "fluorescence"
seed = 6
cells = 20
width_px = 320
height_px = 240
frames = 40
rate_hz = 40
start_ns = 1_700_000_000_000_000_000
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def service(broker: object, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Service]:
    name = request.node.name.replace("_", "-").replace("[", "-").replace("]", "")[:60]
    port = free_port()
    text = TWO_CAMERAS.format(name=name, port=port, folder=tmp_path.as_posix())
    one = Service(broker.bootstrap_servers, tmp_path, text, name)  # type: ignore[attr-defined]
    yield one
    one.close()


def test_counts_event_for_event_as_the_library_does(service: Service) -> None:
    service.start("worker")
    service.start("camera", "--run-id", "run-1")
    expected = without_repeats(
        [event for camera in ("smear", "nuclei") for event in service.by_library(camera, "run-1")]
    )
    events = service.events_until(lambda found: len({event.message_id for event in found}) >= len(expected))
    assert without_repeats(events) == expected
    for camera in ("smear", "nuclei"):
        assert counted(events, camera) == set(range(40))
        order = [
            event.sequence for event in events if event.kind == "CountsUpdated" and event.camera_id == camera
        ]
        assert order == sorted(order)


def test_what_it_publishes_has_the_outlines_that_the_library_draws(service: Service) -> None:
    service.start("worker")
    service.start("camera", "smear", "--run-id", "run-1")
    pipeline = service.settings.pipeline("smear")
    expected = [
        encode_detections(pipeline.detect(frame, outlines=True))
        for frame in service.as_received("smear", "run-1")
    ]
    records = service.records_until(("detections",), lambda found: len({one.value for one in found}) >= 40)
    assert {record.value for record in records} == set(expected)
    assert all(found.outlines.any() for found in map(decode_detections, expected) if len(found))


def test_ends_cleanly_on_sigterm_with_everything_committed(service: Service) -> None:
    worker = service.start("worker")
    service.start("camera", "--run-id", "run-1").wait(60)
    service.events_until(lambda found: len(counted(found, "smear")) == len(counted(found, "nuclei")) == 40)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0, service.logs()
    before = len(service.records_until(("detections",), lambda found: len(found) >= 80))
    # A second worker has nothing to repeat, since all was committed; it counts only what is new.
    service.start("worker")
    service.start("camera", "smear", "--run-id", "run-2").wait(60)
    after = service.records_until(("detections",), lambda found: len(found) >= before + 40)
    assert [decode_detections(record.value).metadata.run_id for record in after].count("run-2") == 40
    assert len(after) == before + 40


def test_one_that_has_states_to_read_and_nothing_committed_begins_at_the_beginning(service: Service) -> None:
    """What is fetched while states are read is thrown away, and must be fetched again."""
    worker = service.start("worker")

    def told(found: list[AnyEvent], run_id: str) -> int:
        return len(
            {
                (one.camera_id, one.sequence)
                for one in found
                if isinstance(one, CountsUpdated) and one.run_id == run_id
            }
        )

    service.start("camera", "--run-id", "run-1").wait(60)
    service.events_until(lambda found: told(found, "run-1") == 80)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0, service.logs()
    admin = KafkaAdminClient(bootstrap_servers=service.servers)
    admin.delete_groups([service.settings.app_id])
    admin.close()
    service.start("worker")
    service.start("camera", "--run-id", "run-2").wait(60)
    service.events_until(lambda found: told(found, "run-2") == 80)
    for word in ("was due", "ending on a fault"):
        assert word not in service.logs()


def test_tells_its_state_over_http(service: Service) -> None:
    service.start("worker")
    service.start("camera", "--run-id", "run-1")
    service.events_until(lambda found: len(counted(found, "smear")) == len(counted(found, "nuclei")) == 40)
    address = f"http://127.0.0.1:{service.settings.worker.port}"
    for path in ("/livez", "/readyz"):
        with urllib.request.urlopen(address + path, timeout=10) as answer:
            assert json.load(answer)["ok"] is True
    wanted = (
        'streamcount_frames_total{camera="smear",outcome="counted"} 40.0',
        'streamcount_capture_to_event_seconds_count{camera="nuclei"} 40.0',
        "streamcount_model_info{",
        'sha256="',
    )
    # A frame is counted there once Kafka has acknowledged what was read above.
    text, deadline = "", time.monotonic() + 30
    while not all(words in text for words in wanted) and time.monotonic() < deadline:
        with urllib.request.urlopen(address + "/metrics", timeout=10) as answer:
            text = answer.read().decode()
        time.sleep(0.2)
    assert [words for words in wanted if words not in text] == []


def picture(width_px: int = 120, height_px: int = 90) -> np.ndarray:
    image = np.full((height_px, width_px, 3), 220, np.uint8)
    cv2.circle(image, (width_px // 2, height_px // 2), 20, (120, 60, 90), -1)
    return image


def good(sequence: int, run_id: str = "run-1", camera: str = "probe") -> tuple[bytes, bytes, Headers]:
    metadata = FrameMetadata(
        camera_id=camera, run_id=run_id, sequence=sequence, acquired_at_ns=10**18 + sequence
    )
    return camera.encode(), encode_image(picture(), "png"), frame_headers(metadata, "image/png")


def with_header(headers: Headers, name: str, value: bytes | None) -> Headers:
    kept = [(known, text) for known, text in headers if known != name]
    return kept if value is None else [*kept, (name, value)]


def bomb() -> bytes:
    """A PNG of some hundred bytes that says it is 50,000 pixels wide and high."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


def bad_frames() -> dict[str, tuple[str, bytes | None, bytes | None, Headers]]:
    """Name: (reason expected, key, value, headers)."""
    key, value, headers = good(1)
    jpeg = encode_image(picture(), "jpeg")
    metadata_free = [(name, text) for name, text in headers if name == "content-type"]
    return {
        "noise": ("undecodable", key, b"no image at all", headers),
        "cut off png": ("undecodable", key, value[: len(value) // 2], headers),
        "cut off jpeg": (
            "undecodable",
            key,
            jpeg[: len(jpeg) // 2],
            with_header(headers, "content-type", b"image/jpeg"),
        ),
        "bomb": ("too-many-pixels", key, bomb(), headers),
        "empty": ("empty", key, b"", headers),
        "too many bytes": ("too-many-bytes", key, bytes(7_000_001), headers),
        "name of 65 letters": ("bad-metadata", b"a" * 65, value, headers),
        "time before 1970": (
            "bad-metadata",
            key,
            value,
            with_header(headers, "ce_time", b"1960-01-01T00:00:00Z"),
        ),
        "header of a megabyte": (
            "unknown-content-type",
            key,
            value,
            with_header(headers, "content-type", b"x" * 10**6),
        ),
        "loss of everything": (
            "bad-metadata",
            key,
            msgspec.json.encode(missing(3, 2**64 - 1)),
            missing_headers(missing(3, 4)),
        ),
        "tombstone": ("empty", key, None, headers),
        "unknown type": (
            "unknown-content-type",
            key,
            value,
            with_header(headers, "content-type", b"image/webp"),
        ),
        "no headers": ("missing-headers", key, value, []),
        "no metadata": ("missing-headers", key, value, metadata_free),
        "no run": ("missing-headers", key, value, with_header(headers, "ce_runid", None)),
        "sequence of words": ("bad-headers", key, value, with_header(headers, "ce_sequence", b"seven")),
        "negative sequence": ("bad-metadata", key, value, with_header(headers, "ce_sequence", b"-1")),
        "time of words": ("bad-headers", key, value, with_header(headers, "ce_time", b"yesterday")),
        "pixel size of zero": ("bad-metadata", key, value, with_header(headers, "ce_pixelsizeum", b"0")),
        "run with a slash": ("bad-metadata", key, value, with_header(headers, "ce_runid", b"a/b")),
        "not utf-8": ("bad-headers", key, value, with_header(headers, "ce_runid", b"\xff\xfe")),
        "no key": ("missing-headers", None, value, headers),
        "foolish key": ("bad-metadata", b"../scope", value, headers),
        "other type": ("bad-headers", key, value, with_header(headers, "ce_type", b"com.example.tea")),
        "broken missing record": ("bad-record", key, b"{}", missing_headers(missing(3, 4))),
        "raw of wrong length": (
            "undecodable",
            key,
            encode_image(picture(), "raw")[:-7],
            with_header(headers, "content-type", b"application/vnd.streamcount.raw"),
        ),
    }


def missing(first: int, last: int) -> FramesMissing:
    return FramesMissing(
        camera_id="probe",
        run_id="run-1",
        sequence=first,
        last_sequence=last,
        happened_at_ns=10**18,
        decided_at_ns=10**18,
        reason="dropped",
    )


def test_every_kind_of_bad_frame_is_put_aside_and_the_next_good_one_counted(service: Service) -> None:
    service.start("worker")
    cases = bad_frames()
    topic = service.settings.topics.name("frames")
    with service.producer() as producer:
        for number, (_, key, value, headers) in enumerate(cases.values()):
            # Everything goes to one partition, so that each bad frame stands in a good one's way.
            good_key, good_value, good_headers = good(0, run_id=f"run-of-{number}", camera=f"after-{number}")
            producer.send(topic, key=key, value=value, headers=headers, partition=1)
            producer.send(topic, key=good_key, value=good_value, headers=good_headers, partition=1)
    letters = service.records_until(("dead-letters",), lambda found: len(found) >= len(cases))
    assert len(letters) == len(cases)
    for record, (name, (reason, key, value, headers)) in zip(letters, cases.items(), strict=True):
        known = dict(record.headers)
        assert known[REASON].decode() == reason, f"{name}: {known}"
        assert (record.key, record.value) == (key, value), name
        assert original_headers(list(record.headers)) == headers, name
        assert known[f"{PREFIX}topic"].decode() == topic
        assert known[f"{PREFIX}exception.message"], name
    events = service.events_until(
        lambda found: all(counted(found, f"after-{number}") == {0} for number in range(len(cases)))
    )
    # What had a readable number is told to the tracker too, so that no sequence is left unaccounted for.
    told = [event for event in events if isinstance(event, FramesMissing)]
    assert {(event.camera_id, event.reason) for event in told} == {
        ("probe", "not-received"),
        ("probe", "dead-lettered"),
    }


def test_a_record_that_no_worker_wrote_is_put_aside_by_the_tracker(service: Service) -> None:
    service.start("worker")
    topic = service.settings.topics.name("detections")
    with service.producer() as producer:
        producer.send(topic, key=b"probe", value=b"no detections")
        key, value, headers = good(0)
        producer.send(service.settings.topics.name("frames"), key=key, value=value, headers=headers)
    letters = service.records_until(("dead-letters",), lambda found: len(found) >= 1)
    known = dict(letters[0].headers)
    assert (known[REASON], known[f"{PREFIX}stage"]) == (b"bad-record", b"track")
    service.events_until(lambda found: counted(found, "probe") == {0})


def test_a_new_frame_with_an_old_number_does_not_vanish(service: Service) -> None:
    service.start("worker")
    with service.producer() as producer:
        for hours in (0, 1):
            # A camera that was started again and kept the name of its run.
            metadata = FrameMetadata(
                camera_id="probe", run_id="always", sequence=0, acquired_at_ns=10**18 + hours * 3_600 * 10**9
            )
            headers = frame_headers(metadata, "image/png")
            producer.send(
                service.settings.topics.name("frames"),
                key=b"probe",
                value=encode_image(picture(), "png"),
                headers=headers,
            )
    letters = service.records_until(("dead-letters",), lambda found: len(found) >= 1)
    assert dict(letters[0].headers)[REASON] == b"stale-sequence"


def test_markers_of_transactions_are_no_holes(service: Service) -> None:
    service.start("worker")
    topic = service.settings.topics.name("frames")
    producer = KafkaProducer(bootstrap_servers=service.servers, transactional_id="a-camera-of-its-own")
    try:
        producer.init_transactions()
        for sequence in range(3):
            producer.begin_transaction()
            key, value, headers = good(sequence)
            producer.send(topic, key=key, value=value, headers=headers)
            producer.commit_transaction()
    finally:
        producer.close()
    events = service.events_until(lambda found: counted(found, "probe") == {0, 1, 2})
    assert not [event for event in events if isinstance(event, FramesMissing)]


def test_a_camera_s_own_word_of_lost_frames_reaches_the_events(service: Service) -> None:
    service.start("worker")
    topic = service.settings.topics.name("frames")
    lost = missing(1, 3)
    with service.producer() as producer:
        for sequence in (0, 4):
            key, value, headers = good(sequence)
            producer.send(topic, key=key, value=value, headers=headers)
            if sequence == 0:
                producer.send(topic, key=key, value=msgspec.json.encode(lost), headers=missing_headers(lost))
    events = service.events_until(lambda found: counted(found, "probe") == {0, 4})
    told = [event for event in events if isinstance(event, FramesMissing)]
    assert [(event.sequence, event.last_sequence, event.reason) for event in told] == [(1, 3, "dropped")]


def test_messages_of_five_megabytes_pass(service: Service) -> None:
    service.start("worker")
    rng = np.random.default_rng(1)
    image = rng.integers(0, 255, (1400, 1300, 3), np.uint8)
    metadata = FrameMetadata(camera_id="large", run_id="run-1", sequence=0, acquired_at_ns=10**18)
    value = encode_image(image, "raw")
    assert len(value) > 5_000_000
    with service.producer() as producer:
        headers = frame_headers(metadata, "application/vnd.streamcount.raw")
        producer.send(service.settings.topics.name("frames"), key=b"large", value=value, headers=headers).get(
            30
        )
    records = service.records_until(("counts",), lambda found: len(found) >= 1)
    assert decode_event(records[0].value).camera_id == "large"


def children_of(pid: int) -> list[int]:
    """Processes whose parent is `pid` and that run a worker, not Python's own helper of multiprocessing."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_text()
        except OSError:
            continue
        if parent == pid and "spawn_main" in command:
            found.append(int(folder.name))
    return found


def test_a_supervisor_starts_again_what_was_killed_and_stops_all_on_sigterm(service: Service) -> None:
    supervisor = service.start("worker", "--processes", "2", "--port", "0")
    service.start("camera", "smear", "--run-id", "run-1").wait(60)
    service.events_until(lambda found: counted(found, "smear") == set(range(40)))
    before = children_of(supervisor.pid)
    assert len(before) == 2
    for child in before:
        os.kill(child, signal.SIGKILL)
    service.start("camera", "smear", "--run-id", "run-2").wait(60)
    events = service.events_until(
        lambda found: sum(event.kind == "CountsUpdated" and event.run_id == "run-2" for event in found) >= 40
    )
    assert without_repeats(events)
    after = children_of(supervisor.pid)
    assert len(after) == 2
    assert not set(before) & set(after)
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(60) == 0, service.logs()
    assert not [child for child in after if Path(f"/proc/{child}").exists()]
