"""A camera's run read back from a real broker, as the worker's records lie there: repeated, and among others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from streamcount.config import Settings
from streamcount.errors import BrokerError, SourceError
from streamcount.pipeline import Pipeline
from streamcount.service.broker import Broker
from streamcount.service.lineages import read_run
from streamcount.tracking import KalmanConfig
from streamcount.wire import encode_event, encode_tracks
from tests.films import MODEL, seen
from tests.integration.service import Service

pytestmark = pytest.mark.broker

FRAMES = 8


@pytest.fixture(scope="module")
def settings(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    service = Service(broker.bootstrap_servers, tmp_path_factory.mktemp("lineage"), "", "lineage")
    for run_id, start_ns in (("run-1", 10**10), ("run-2", 10**12)):
        publish(service, "cam", run_id, start_ns)
    # Another camera, and what no reader knows.
    publish(service, "other", "run-1", 10**10)
    with service.producer() as producer:
        for topic in ("events", "tracks"):
            producer.send(service.settings.topics.name(topic), b"run-2 of a later version", b"cam").get(10)
    return service.settings


def publish(service: Service, camera: str, run_id: str, start_ns: int) -> None:
    pipeline = Pipeline(None, KalmanConfig().build())  # type: ignore[arg-type]
    state = pipeline.initial_state("cam")
    with service.producer() as producer:
        for sequence in range(FRAMES):
            places = [(50, 50 + sequence), (200, 200)] if sequence < 4 else [(50, 50 + sequence)]
            state, step = pipeline.advance(state, seen(sequence, places, run_id=run_id, start_ns=start_ns))
            assert step.tracks is not None
            # At least once: what a worker that was killed sends, its successor sends again.
            for _ in range(2):
                tracks = encode_tracks(step.tracks, MODEL.class_names)
                producer.send(service.settings.topics.name("tracks"), tracks, camera.encode())
                for event in step.events:
                    topic = "counts" if event.kind == "CountsUpdated" else "events"
                    producer.send(service.settings.topics.name(topic), encode_event(event), camera.encode())
        producer.flush(10)


def test_the_last_run_of_a_camera(settings: Settings) -> None:
    told: list[tuple[int, int]] = []
    lineage = read_run(settings, "cam", tick=lambda done, total: told.append((done, total)))
    assert lineage.name == "cam run-2"
    assert [track.fate for track in lineage.tracks] == ["at-end", "lost"]
    assert [track.sightings for track in lineage.tracks] == [FRAMES, 4]
    assert [track.first_sequence for track in lineage.tracks] == [0, 0]
    assert len(lineage.frames) == FRAMES
    assert lineage.unreadable == 2
    assert told[-1][0] == told[-1][1] > 0


def test_a_run_by_name(settings: Settings) -> None:
    lineage = read_run(settings, "cam", "run-1")
    assert (lineage.name, lineage.frames[0].time_ns) == ("cam run-1", 10**10)


def test_the_command(settings: Settings, tmp_path: Path) -> None:
    config = tmp_path / "streamcount.toml"
    servers = settings.kafka.bootstrap_servers
    config.write_text(f'kafka.bootstrap_servers = "{servers}"\ntopics.prefix = "{settings.topics.prefix}"\n')
    ran = subprocess.run(
        [sys.executable, "-m", "streamcount", "lineage", "--camera", "cam", "-c", config, "--json"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["cells"] == 2
    assert ran.stderr.strip() == "2 records are of another version and were passed over"


def test_what_is_not_there_is_told(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no event of run run-9; the topics hold run-1, run-2"):
        read_run(settings, "cam", "run-9")
    with pytest.raises(SourceError, match=r"no event of this camera on lineage\.events; there are events of"):
        read_run(settings, "scope-1")
    topics = settings.topics.model_copy(update={"prefix": "elsewhere"})
    with pytest.raises(BrokerError, match=r"there is no topic elsewhere\.events"):
        read_run(settings.model_copy(update={"topics": topics}), "cam")
