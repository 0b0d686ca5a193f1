"""Pictures of abnormal cells on a real Kafka, cut by real processes that are killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request

import msgspec
import numpy as np
import pytest

from streamcount.errors import SourceError
from streamcount.service.snapshots.run import snapshot_of
from streamcount.types import CellAbnormal
from streamcount.wire import decode_image, encode_event, encode_image
from streamcount.wire.cloudevents import frame_headers, header_map
from streamcount.wire.images import CONTENT_TYPES
from tests.films import discs
from tests.integration.service import Service, kill_group

pytestmark = pytest.mark.broker
FRAMES = 12


def abnormal(sequence: int, track_id: int, camera: str) -> CellAbnormal:
    return CellAbnormal(
        camera_id=camera,
        run_id="run-1",
        sequence=sequence,
        happened_at_ns=sequence,
        decided_at_ns=sequence,
        track_id=track_id,
        class_name="red",
        centroid_px=(80.0, 100.0),
        box_px=(68.0, 88.0, 92.0, 112.0),
        reason="size",
        snapshot=f"{camera}/run-1/{sequence}/{track_id}/size",
    )


def publish(running: Service) -> list[CellAbnormal]:
    """Frames of two cameras, then events about them, with their frames' times as a worker sends them."""
    frames, events = running.settings.topics.name("frames"), running.settings.topics.name("events")
    told = []
    # Kafka lets go of what is older than the topic's retention, by the records' own times.
    began_ms = int(time.time() * 1000)
    with running.producer() as producer:
        for sequence in range(FRAMES):
            for camera in ("scope-1", "scope-2"):
                frame = discs(sequence, [(80, 100)], noise=0)
                meta = msgspec.structs.replace(frame.metadata, camera_id=camera)
                value = encode_image(frame.image, "png")
                headers = frame_headers(meta, CONTENT_TYPES["png"])
                time_ms = began_ms + 50 * sequence
                producer.send(frames, value, camera.encode(), headers, timestamp_ms=time_ms)
                for track_id in (1, 2):
                    event = abnormal(sequence, track_id, camera)
                    producer.send(events, encode_event(event), camera.encode(), timestamp_ms=time_ms)
                    told.append(event)
        gone = abnormal(FRAMES + 5, 1, "scope-1")
        producer.send(events, encode_event(gone), b"scope-1", timestamp_ms=began_ms + 10_000)
        producer.flush()
    return told


def names(records: list) -> set[str]:
    return {header_map(record.headers)["ce_id"] for record in records}


def test_each_abnormal_cell_has_its_picture_whatever_is_killed(broker, tmp_path):
    text = '[worker]\napp_id = "snapshots-worker"\n[snapshots]\nmax_bytes = 4096\n'
    running = Service(broker.bootstrap_servers, tmp_path, text, "snapshots")
    try:
        told = publish(running)
        wanted = {event.snapshot for event in told}
        process = running.start("snapshots", "run")
        running.records_until(("snapshots",), lambda found: len(found) >= 3)
        kill_group(process)
        process.wait()
        process = running.start("snapshots", "run", "--port", "0")
        records = running.records_until(("snapshots",), lambda found: names(found) >= wanted)
        assert names(records) == wanted
        pictures: dict[str, set[bytes]] = {}
        for record in records:
            pictures.setdefault(header_map(record.headers)["ce_id"], set()).add(record.value)
            assert record.key.decode() == header_map(record.headers)["ce_id"].split("/")[0]
        # What a restart repeats is the same bytes.
        assert all(len(one) == 1 for one in pictures.values())
        data = snapshot_of(running.settings, told[0].snapshot)
        assert len(data) <= 4096
        image = decode_image(data, "image/jpeg", 10**6)
        assert np.abs(image[24, 24].astype(int) - 90) < 20
        file = tmp_path / "cell.jpg"
        got = [sys.executable, "-m", "streamcount", "snapshots", "get", told[0].snapshot]
        subprocess.run([*got, "-o", str(file), "--config", str(running.file)], check=True)
        assert file.read_bytes() == data
        with pytest.raises(SourceError, match="there is no snapshot"):
            snapshot_of(running.settings, "scope-1/run-1/999/1/size")
        assert [snapshot_of(running.settings, event.snapshot) for event in (told[1], told[-1])] == [
            next(iter(pictures[event.snapshot])) for event in (told[1], told[-1])
        ]
        metrics = running.logs().partition("metrics at ")[2].split()[0]
        said = urllib.request.urlopen(metrics, timeout=5).read().decode()
        assert "streamcount_snapshots_gone_total" in said
        live = urllib.request.urlopen(metrics.removesuffix("/metrics") + "/livez", timeout=5).read()
        assert json.loads(live)["ok"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert f"scope-1/run-1/{FRAMES + 5}/1/size: its frame is no longer in Kafka" in running.logs()
    finally:
        running.close()
