"""Whether the live page slows the workers: one worker under a steady load, the page open and closed by turns.

Closed, no page runs at all. Open, its server runs and a Chromium shows the wall with all tiles in view, on the same
cores as broker, worker and sender. The server runs like the worker; the browser, which is on another machine as a
rule, has the lowest priority, so that it takes little but what the others leave.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from kafka import KafkaConsumer, TopicPartition
from rich.console import Console
from rich.table import Table

from bench.kafka_path import WATERSHED, draw_scene, scene_settings
from bench.page import chromium_page, page_server
from bench.processes import Part, Waiting, part
from streamcount.config import Settings
from streamcount.service.broker import Broker
from streamcount.types import CountsUpdated
from streamcount.wire import decode_event

CAMERAS = 2
RATE_HZ = 10.0
PAIRS = 4
SPELL_S = 20.0
SETTLE_S = 6.0
STARTED_S = 120.0
# Linux weighs sessions against each other before it weighs their processes, where it groups them.
LAST_IN_LINE = """#!/bin/sh
{{ echo 19 > /proc/$$/autogroup; }} 2>/dev/null
exec nice -n 19 {chromium} "$@"
"""


@dataclass(frozen=True)
class Spell:
    """What one spell gave. cpu_ms: the worker's processor time for a frame."""

    frames: int
    median_ms: float
    late_ms: float
    cpu_ms: float


def run(console: Console) -> None:
    """Measures and prints."""
    chromium = shutil.which("chromium")
    if chromium is None:
        console.print("page-workers: needs Chromium (apt-get install chromium)")
        return
    console.print(f"load of this machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        scene = draw_scene(folder / "images", pixel_size_um=0.17, cells=45)
        with Broker(folder / "broker") as broker:
            file, settings = scene_settings(broker, folder, scene, "page", WATERSHED, "jpeg")
            # More than are needed: the sender is ended with the last spell.
            frames = int(RATE_HZ * (STARTED_S + 2 * PAIRS * (SPELL_S + STARTED_S)))
            command = [sys.executable, "-m", "bench.publish", broker.bootstrap_servers]
            command += [settings.topics.name("frames"), "a", str(scene.folder)]
            command += [str(CAMERAS), str(frames), str(RATE_HZ), str(scene.pixel_size_um)]
            working = [sys.executable, "-m", "streamcount", "worker", "--config", str(file)]
            browser = folder / "browser"
            browser.write_text(LAST_IN_LINE.format(chromium=shlex.quote(chromium)))
            browser.chmod(0o755)
            with (
                part("the worker", working, folder / "worker.log") as worker,
                part("the sender", command, folder / "sender.log"),
            ):
                spells = _spells(settings, file, str(browser), worker)
    console.print(_table(spells))
    console.print(f"load of this machine after: {os.getloadavg()[0]:.1f}")


def _spells(settings: Settings, file: Path, chromium: str, worker: Part) -> dict[bool, list[Spell]]:
    """Spells by whether the page was open, by turns."""
    topic = settings.topics.name("counts")
    consumer = KafkaConsumer(bootstrap_servers=settings.kafka.bootstrap_servers.split(","))
    consumer.assign([TopicPartition(topic, number) for number in range(settings.topics.partitions)])
    found: dict[bool, list[Spell]] = {False: [], True: []}
    try:
        waiting = Waiting("the first count", STARTED_S, [worker])
        while not _listen(consumer, worker, 1.0).frames:
            waiting.check()
        _listen(consumer, worker, 2 * SETTLE_S)
        for number in range(2 * PAIRS):
            # Closed, open, open, closed, ...: what changes slowly on this machine falls on both.
            looked_at = number % 4 in (1, 2)
            with ExitStack() as held:
                if looked_at:
                    _, url = held.enter_context(page_server(file))
                    page = held.enter_context(chromium_page(chromium))
                    page.goto(url)
                    page.wait_for_selector("canvas[data-sequence]")
                _listen(consumer, worker, SETTLE_S)
                found[looked_at].append(_listen(consumer, worker, SPELL_S))
    finally:
        consumer.close()
    return found


def _listen(consumer: KafkaConsumer, worker: Part, seconds: float) -> Spell:
    """Takes in counts for a time."""
    latencies: dict[str, float] = {}
    worker.look()
    before_s, until = worker.cpu_s, time.monotonic() + seconds
    while time.monotonic() < until:
        for batch in consumer.poll(timeout_ms=50).values():
            now_ms = time.time() * 1e3
            for record in batch:
                event = decode_event(record.value)
                if isinstance(event, CountsUpdated):
                    latencies.setdefault(event.message_id, now_ms - record.timestamp)
    worker.look()
    if not latencies:
        return Spell(0, float("nan"), float("nan"), float("nan"))
    median_ms, late_ms = np.percentile(list(latencies.values()), (50, 95))
    cpu_ms = 1e3 * (worker.cpu_s - before_s) / len(latencies)
    return Spell(len(latencies), float(median_ms), float(late_ms), cpu_ms)


def _table(spells: dict[bool, list[Spell]]) -> Table:
    table = Table(
        "of a spell", "page closed", "page open", "open / closed", "closed / mean",
        title=f"{CAMERAS} cameras, {RATE_HZ:g} frames/s in all, {PAIRS} spells of {SPELL_S:g} s each",
        caption="Mean (least to most). Ratios: of spells beside each other; of closed ones to their mean, the noise.",
    )  # fmt: skip
    rows = {
        "frames/s": "frames", "median latency, ms": "median_ms", "95th percentile, ms": "late_ms",
        "worker's CPU ms a frame": "cpu_ms",
    }  # fmt: skip
    for name, field in rows.items():
        scale = 1 / SPELL_S if field == "frames" else 1.0
        closed, opened = ([getattr(one, field) * scale for one in spells[on]] for on in (False, True))
        pairs = [after / before for before, after in zip(closed, opened, strict=True)]
        noise = [one / float(np.mean(closed)) for one in closed]
        table.add_row(name, _spread(closed), _spread(opened), _spread(pairs), _spread(noise))
    return table


def _spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3g} ({min(values):.3g} to {max(values):.3g})"
