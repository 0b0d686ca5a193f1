"""Real kills: whatever happens to workers, each frame is counted and each event told as if nothing had happened."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamcount.types import AnyEvent
from tests.integration.service import Service, counted, kill_group, without_repeats

pytestmark = pytest.mark.broker

CAMERAS = ("north", "east", "south", "west")
FRAMES = 500
RATE_HZ = 10
KILLS = 7

CAMERA = """
[cameras.{name}.source]
kind = "simulated"
modality = "{modality}"
seed = {seed}
cells = 12
width_px = 256
height_px = 192
frames = {frames}
rate_hz = {rate_hz}
start_ns = 1_700_000_000_000_000_000
"""


@pytest.fixture
def service(broker: object, tmp_path: Path) -> Iterator[Service]:
    text = f"""
[worker]
app_id = "kills-worker"
port = 0
data_folder = "{tmp_path.as_posix()}/worker"
[detector]
kind = "watershed"
"""
    for seed, name in enumerate(CAMERAS):
        modality = "fluorescence" if seed % 2 else "bright-field"
        text += CAMERA.format(name=name, modality=modality, seed=seed, frames=FRAMES, rate_hz=RATE_HZ)
    one = Service(broker.bootstrap_servers, tmp_path, text, "kills")  # type: ignore[attr-defined]
    yield one
    one.close()


def test_random_kills_change_no_event(service: Service) -> None:
    rng = random.Random(20261122)
    workers = [service.start("worker") for _ in range(3)]
    camera = service.start("camera", "--run-id", "run-1")
    service.events_until(lambda found: all(counted(found, name) for name in CAMERAS))
    settled = set(range(len(workers)))
    for kill in range(KILLS):
        victim = rng.randrange(len(workers))
        number = signal.SIGKILL if kill % 2 == 0 else signal.SIGTERM
        if number == signal.SIGKILL:
            kill_group(workers[victim])
        else:
            workers[victim].send_signal(number)
        code = workers[victim].wait(60)
        # A worker that was still loading Python has no handler yet, and nothing that it could lose.
        clean = {0} if victim in settled else {0, -signal.SIGTERM}
        assert code in ({-signal.SIGKILL} if number == signal.SIGKILL else clean), service.logs()
        settled = set(range(len(workers))) - {victim}
        if kill == 0:
            # The first victim stays away for a while: the two others must take over its cameras by themselves.
            _wait_until_all_are_counted_again(service)
        workers[victim] = service.start("worker")
        time.sleep(rng.uniform(1.0, 6.0))
    assert camera.wait(180) == 0, service.logs()
    expected = without_repeats([event for name in CAMERAS for event in service.by_library(name, "run-1")])

    def all_told(found: list[AnyEvent]) -> bool:
        return len({event.message_id for event in found}) >= len(expected)

    events = service.events_until(all_told, timeout_s=120)
    assert without_repeats(events) == expected
    for name in CAMERAS:
        assert counted(events, name) == set(range(FRAMES))


def _wait_until_all_are_counted_again(service: Service) -> None:
    with service.reader("frames") as frames:
        ends = sum(frames.end_offsets(list(frames.assignment())).values())
    newest = ends // len(CAMERAS) + RATE_HZ
    service.events_until(
        lambda found: all(max(counted(found, name), default=0) >= newest for name in CAMERAS)
    )
