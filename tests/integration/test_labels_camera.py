"""Label images sent by a camera: what the worker counts is what was drawn, cell by cell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamcount.service.broker import Broker
from tests.integration.service import Service, without_repeats, worker_text

pytestmark = pytest.mark.broker

FRAMES, CELLS = 6, 40
START = 1_000  # above what 8 bits hold


def draw(folder: Path, first: int, dtype: type) -> Path:
    """Frames of 8 by 5 touching squares, which differ by one level of grey, and creep by a pixel a frame."""
    folder.mkdir()
    for number in range(FRAMES):
        image = np.zeros((120, 160), dtype)
        for cell in range(CELLS):
            row, column = divmod(cell, 8)
            y, x = 10 + 18 * row, 8 + 18 * column
            image[y : y + 18, x + number : x + number + 18] = first + cell
        if not cv2.imwrite(str(folder / f"t{number}.png"), image):
            raise OSError("OpenCV could not write a label image")
    return folder


@pytest.fixture
def service(broker: Broker, tmp_path: Path) -> Iterator[Service]:
    text = worker_text("labels-worker", tmp_path).replace("watershed", "labels")
    for name, encoding, first, dtype in (("eight", "png", 1, np.uint8), ("sixteen", "raw", START, np.uint16)):
        folder = draw(tmp_path / name, first, dtype)
        text += f'\n[cameras.{name}]\nencoding = "{encoding}"\n'
        text += f'[cameras.{name}.source]\nkind = "folder"\npath = "{folder.as_posix()}"\nrate_hz = 10\n'
    one = Service(broker.bootstrap_servers, tmp_path, text, "labels-camera")
    yield one
    one.close()


def test_label_images_of_8_and_16_bits_are_counted_exactly(service: Service) -> None:
    service.start("worker")
    assert service.start("camera", "--run-id", "run-1").wait(90) == 0, service.logs()
    # Counts and events are topics of their own, of which either may be ahead.
    wanted = {"CountsUpdated": 2 * FRAMES, "CellAppeared": 2 * CELLS}
    events = service.events_until(
        lambda found: all(
            sum(event.kind == kind for event in found) >= number for kind, number in wanted.items()
        )
    )
    told = without_repeats(events).values()
    for camera in ("eight", "sixteen"):
        counts = {e.sequence: e.total for e in told if e.kind == "CountsUpdated" and e.camera_id == camera}
        assert counts == dict.fromkeys(range(FRAMES), CELLS)
        appeared = {e.track_id for e in told if e.kind == "CellAppeared" and e.camera_id == camera}
        assert len(appeared) == CELLS
