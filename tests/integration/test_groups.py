"""Groups of cameras on a real Kafka, summed by real processes that are killed."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from streamcount.service.broker import Broker
from streamcount.service.groups.stored import StoredGroup, Telling, encode_stored
from streamcount.service.topics import groups_topic
from streamcount.types import GROUP_RUN, AnyEvent, WindowClosed
from streamcount.wire import decode_event, encode_event
from tests.groupfilms import window
from tests.integration.service import Service, kill_group, without_repeats

pytestmark = pytest.mark.broker
PATIENCE_S = 120.0
CAMERAS = ("north", "east", "south")
GROUPS = {"plate": ("north", "east"), "lab": ("north", "east", "south"), "alone": ("south",)}
SECOND_MS = 1000


@contextlib.contextmanager
def service(broker: Broker, folder: Path, name: str, more: str = "") -> Iterator[Service]:
    text = f'[worker]\napp_id = "{name}-worker"\n'
    text += "".join(f'[cameras.{one}.source]\nkind = "folder"\npath = "x"\n' for one in CAMERAS)
    for group, cameras in GROUPS.items():
        text += f"[groups.{group}]\ncameras = {list(cameras)}\nwait_s = 50\n".replace("'", '"')
    text += "[windows.ten]\nlength_s = 10\n"
    running = Service(broker.bootstrap_servers, folder, text + more, name)
    try:
        yield running
    finally:
        running.close()


CROWDED = """
[alerts.crowded]
kind = "limit"
figure = "cells"
above = 60
groups = ["plate", "lab"]
"""


def of_the_past(windows: int) -> list[WindowClosed]:
    """What lies there: south is silent for a while and comes back, north's worker was killed and tells some again."""
    told = []
    for number in range(windows):
        cells = 20.0 + 15 * (number // 50 % 2)
        told += [window(camera, number, cells=cells) for camera in ("north", "east")]
        if number % 40 == 39:
            told += [window("north", again, cells=cells) for again in range(number - 5, number + 1)]
        if number == windows // 2:
            told += [window("south", late) for late in range(windows // 3, number)]
        if number < windows // 3 or number >= windows // 2:
            told.append(window("south", number, cells=cells))
    return told


def publish(running: Service, windows: list[WindowClosed], first_ms: int) -> None:
    """Each a second after the other, in the partition of its camera. Kafka lets go of what is of long ago."""
    name = running.settings.topics.name("windows")
    with running.producer() as producer:
        for number, closed in enumerate(windows):
            at_ms = first_ms + number * SECOND_MS
            key, value = closed.camera_id.encode(), encode_event(closed)
            producer.send(name, key=key, value=value, timestamp_ms=at_ms)
        producer.flush()


def expected(running: Service, windows: list[WindowClosed]) -> dict[str, AnyEvent]:
    """What is told if nothing is ever killed: the library's own fold over the windows in their order."""
    told: list[AnyEvent] = []
    for name in GROUPS:
        pipeline = running.settings.group_pipeline(name)
        state = pipeline.initial_state()
        for closed in windows:
            state, events = pipeline.step(state, closed)
            told += events
    return {event.message_id: event for event in told}


def of_groups(events: list[AnyEvent]) -> dict[str, AnyEvent]:
    return without_repeats([event for event in events if event.run_id == GROUP_RUN])


def told_so_far(running: Service, number: int) -> dict[str, AnyEvent]:
    """What groups told, once it is so much; equal messages are equal events."""
    records = running.records_until(
        ("windows", "alerts"),
        lambda found: len({one.value for one in found if b'"group"' in one.value}) >= number,
        PATIENCE_S,
    )
    return of_groups([decode_event(one.value) for one in records])


def until(running: Service, what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, running.logs()
        time.sleep(0.1)


def test_processes_that_are_killed_tell_what_one_that_never_was_tells(broker, tmp_path):
    chance = random.Random(7)
    past, now_ms = of_the_past(1500), int(time.time() * 1000)
    with service(broker, tmp_path, "groups-killed", CROWDED) as running:
        wanted = expected(running, past)
        assert {event.kind for event in wanted.values()} == {"WindowClosed", "AlertRaised", "AlertCleared"}
        assert any(event.late_members for event in wanted.values() if isinstance(event, WindowClosed))
        publish(running, past, now_ms - 86_400 * SECOND_MS)
        processes = [running.start("groups", "run") for _ in range(2)]
        for kill in range(6):
            told_so_far(running, (kill + 1) * len(wanted) // 10)
            time.sleep(chance.uniform(0, 0.5))
            victim = kill % 2
            kill_group(processes[victim])
            processes[victim].wait()
            processes[victim] = running.start("groups", "run")
        assert told_so_far(running, len(wanted)) == wanted
        # And while they come, with nobody killed before a window is told by the one that is left.
        live = [window(camera, number) for number in range(1500, 1560) for camera in CAMERAS]
        wanted = expected(running, past + live)
        for step in range(0, len(live), len(CAMERAS)):
            publish(running, live[step : step + len(CAMERAS)], now_ms + step * SECOND_MS)
            if step == len(live) // 2:
                kill_group(processes[0])
                processes[0].wait()
        assert told_so_far(running, len(wanted)) == wanted
        processes[1].send_signal(signal.SIGTERM)
        assert processes[1].wait(30) == 0


def test_what_was_decided_before_a_kill_is_told_in_the_same_words(broker, tmp_path):
    with service(broker, tmp_path, "groups-decided") as running:
        film = [window(camera, number) for number in range(3) for camera in ("north", "east")]
        publish(running, film, int(time.time() * 1000))
        pipeline, outbox = running.settings.group_pipeline("plate"), []
        state, decided = pipeline.initial_state(), film[:4]
        for closed in decided:
            state, events = pipeline.step(state, closed)
            outbox += events
        assert len(outbox) == 2
        # As a process leaves it that is killed when this is stored and nothing is told: here in words of its own, so
        # that they cannot have been made anew.
        outbox = [msgspec.structs.replace(one, frames=777) for one in outbox]
        telling = tuple(Telling("windows", encode_event(one), 1000 * int(time.time())) for one in outbox)
        with running.reader("windows") as reader:
            found: dict[int, int] = {}
            while sum(found.values()) < len(decided):
                for batch in reader.poll(timeout_ms=200).values():
                    for record in batch:
                        if decode_event(record.value) in decided:
                            found[record.partition] = record.offset + 1
        with running.producer() as producer:
            stored = encode_stored(StoredGroup(found, state, telling))
            producer.send(groups_topic(running.settings), key=b"plate", value=stored)
            producer.flush()
        running.start("groups", "run")
        told = told_so_far(running, 3)
        of_plate = sorted(
            (one for one in told.values() if one.camera_id == "plate"), key=lambda one: one.sequence
        )
        assert of_plate[:2] == outbox
        assert [one.frames for one in of_plate] == [777, 777, 20]


def test_sinks_keep_groups_and_query_shows_them(broker, tmp_path):
    path = tmp_path / "store.sqlite"
    more = f'[sinks.store]\nkind = "sqlite"\npath = "{path}"\n'
    with service(broker, tmp_path, "groups-sunk", more) as running:
        told = [window(camera, number) for number in range(4) for camera in CAMERAS]
        publish(running, told, int(time.time() * 1000))
        running.start("groups", "run", "--port", "0")
        running.start("sink")
        asked = [
            sys.executable, "-m", "streamcount", "query", "figures", "--camera", "lab", "--figure", "cells",
            "--csv", "--config", str(running.file),
        ]  # fmt: skip

        def answer() -> list[str]:
            done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60)
            return done.stdout.splitlines()[1:]

        until(running, lambda: len(answer()) == 4)
        rows = [line.split(",") for line in answer()]
        assert [(row[0], row[1], float(row[7]), row[12]) for row in rows] == [("lab", "ten", 15.0, "1")] * 4
