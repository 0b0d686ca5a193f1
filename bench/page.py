"""The live page under load: many cameras straight into Kafka, one browser with all tiles in view.

`python -m bench page` looks for a minute, `python -m bench.page --seconds 300` for as long as one likes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import typer
from rich.console import Console

from streamcount.config import Settings, parse_settings
from streamcount.config.settings import TopicName
from streamcount.pipeline import StepResult
from streamcount.service.broker import Broker
from streamcount.service.topics import make_topics, topic_specs
from streamcount.sources.base import Run
from streamcount.types import CountsUpdated, FrameMetadata
from streamcount.wire import encode_detections, encode_event, encode_image, encode_tracks
from streamcount.wire.cloudevents import frame_headers

CAMERAS = 16
RATE_HZ = 5.0
SECONDS = 60.0
WARM_S = 10.0
TEXT = """
[topics]
partitions = 4
[cameras.x.source]
kind = "simulated"
modality = "fluorescence"
[cameras.x.detector]
kind = "watershed"
"""
MIB = 2**20
# The browser's own clock, from when it was told to go there to the first tile that has its picture.
FIRST = """
new MutationObserver((_, observer) => {
  if (!document.querySelector("canvas[data-sequence]")) return;
  window.firstPictureMs = performance.now();
  observer.disconnect();
}).observe(document, { subtree: true, childList: true, attributes: true });
"""
SEEN = "[...document.querySelectorAll('canvas[data-sequence]')].map(one => [+one.dataset.age, +one.dataset.sequence])"


def run(console: Console, seconds: float = SECONDS) -> None:
    """Measures the server's processor time and memory, the browser's heap, and the age of what it has drawn."""
    chromium = shutil.which("chromium")
    if chromium is None:
        console.print("page: needs Chromium (apt-get install chromium)")
        return
    console.print(f"load of this machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as name, Broker(Path(name) / "broker") as broker:
        file = Path(name) / "streamcount.toml"
        file.write_text(f'kafka.bootstrap_servers = "{broker.bootstrap_servers}"\n{TEXT}')
        settings = parse_settings(file.read_text(), environment={})
        make_topics(topic_specs(settings), replication_factor=1, bootstrap_servers=broker.bootstrap_servers)
        publisher = get_context("spawn").Process(target=_publish, args=(str(file),), daemon=True)
        publisher.start()
        with page_server(file) as (process, url):
            time.sleep(WARM_S)
            before = usage(process.pid)
            time.sleep(WARM_S)
            after = usage(process.pid)
            alone = (after[0] - before[0]) / WARM_S
            console.print(f"nobody looks: {alone:.0%} of a core, {after[1]:.0f} MiB")
            with chromium_page(chromium) as page:
                _look(console, page, url, process.pid, seconds)
        publisher.terminate()
        publisher.join()
    console.print(f"load of this machine after: {os.getloadavg()[0]:.1f}")


@contextmanager
def chromium_page(chromium: str) -> Iterator[Any]:
    """An empty page of a new Chromium, large enough for all tiles."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport={"width": 1600, "height": 1500})
        yield page
        browser.close()


def _look(console: Console, page: Any, url: str, pid: int, seconds: float) -> None:
    page.add_init_script(FIRST)
    page.goto(url)
    page.wait_for_function("window.firstPictureMs")
    console.print(f"first picture after {page.evaluate('firstPictureMs') / 1000:.2f} s")
    time.sleep(WARM_S)
    tools = page.context.new_cdp_session(page)
    ages: list[float] = []
    memory: list[tuple[float, float]] = []
    heaps = [heap_mib(tools)]
    first, before, began = page.evaluate(SEEN), usage(pid), time.monotonic()
    while (at := time.monotonic() - began) < seconds:
        ages += [age for age, _ in page.evaluate(SEEN)]
        memory.append((at, usage(pid)[1]))
        if at > seconds / 2 and len(heaps) == 1:
            heaps.append(heap_mib(tools))
        time.sleep(1)
    after, took_s, last = usage(pid), time.monotonic() - began, page.evaluate(SEEN)
    heaps.append(heap_mib(tools))
    moved = sum(then - at for (_, at), (_, then) in zip(first, last, strict=True)) / len(first) / took_s
    ages.sort()
    median, late = ages[len(ages) // 2], ages[int(len(ages) * 0.95)]
    resident = [one for _, one in memory]
    # All that is bounded has filled by then, but for the counts of an hour.
    settled = [one for one in memory if one[0] > seconds / 3]
    console.print(
        f"{len(last)} tiles for {took_s:.0f} s, {moved:.1f} frames/s each: "
        f"{(after[0] - before[0]) / took_s:.0%} of a core; "
        f"drawn at an age of {median:.0f} ms, 95th percentile {late:.0f} ms\n"
        f"server: {resident[0]:.0f} MiB at the start, {resident[len(resident) // 2]:.0f} in the middle, "
        f"{resident[-1]:.0f} at the end; {_slope(settled) * 60:+.1f} MiB a minute in the last two thirds\n"
        f"browser's heap after collection: {', '.join(f'{one:.1f}' for one in heaps)} MiB at the same times"
    )


def heap_mib(tools: Any) -> float:
    """What the page's scripts hold, MiB, garbage left out. tools: the page's DevTools session."""
    tools.send("HeapProfiler.collectGarbage")
    return float(tools.send("Runtime.getHeapUsage")["usedSize"]) / MIB


def _slope(points: list[tuple[float, float]]) -> float:
    """Of the straight line of least squares through (x, y)."""
    return float(np.polyfit(*zip(*points, strict=True), 1)[0])


@contextmanager
def page_server(file: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The page's process on the settings of a file, and its URL."""
    command = [sys.executable, "-m", "streamcount", "dashboard", "--config", str(file), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"(http://\S+)/;", process.stdout.readline())
        assert found is not None
        yield process, found.group(1)
    finally:
        process.terminate()
        process.wait()


def usage(pid: int) -> tuple[float, float]:
    """Seconds of processor time so far, and memory in MiB."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), pages * os.sysconf(
        "SC_PAGE_SIZE"
    ) / MIB


def _made(settings: Settings) -> list[tuple[bytes, StepResult]]:
    """Some frames as JPEG, and what the pipeline makes of them; all cameras send these by turns."""
    pipeline = settings.pipeline("x")
    state, made = pipeline.initial_state("x"), []
    for frame in settings.cameras["x"].source.build().frames(Run("x", "a", time.time_ns)):
        # As a worker detects.
        state, result = pipeline.advance(state, pipeline.detect(frame, outlines=True))
        made.append((encode_image(frame.image, "jpeg"), result))
        if len(made) == 12:
            break
    return made[4:]


def _publish(file: str) -> None:
    from kafka import KafkaProducer

    settings = parse_settings(Path(file).read_text(), environment={})
    made = _made(settings)
    producer = KafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers.split(","), linger_ms=2)
    began, sequence = time.monotonic(), 0
    while True:
        data, result = made[sequence % len(made)]
        for number in range(CAMERAS):
            metadata = FrameMetadata(
                camera_id=f"scope-{number + 1:02d}",
                run_id="a",
                sequence=sequence,
                acquired_at_ns=time.time_ns(),
            )
            for topic, value, headers in _records(metadata, data, result):
                name, key = settings.topics.name(topic), metadata.camera_id.encode()
                producer.send(name, value, key, headers, timestamp_ms=metadata.acquired_at_ns // 10**6)
        sequence += 1
        time.sleep(max(0.0, began + sequence / RATE_HZ - time.monotonic()))


def _records(
    metadata: FrameMetadata, data: bytes, result: StepResult
) -> Iterator[tuple[TopicName, bytes, list[Any]]]:
    detections, tracks = result.detections, result.tracks
    assert detections is not None
    assert tracks is not None
    counted = CountsUpdated(
        camera_id=metadata.camera_id,
        run_id=metadata.run_id,
        sequence=metadata.sequence,
        happened_at_ns=metadata.acquired_at_ns,
        decided_at_ns=metadata.acquired_at_ns,
        counts=detections.counts(),
        total=len(detections),
        confirmed_tracks=len(tracks),
        cells_seen=len(tracks),
    )
    moved = msgspec.structs.replace(tracks, metadata=metadata)
    yield "frames", data, frame_headers(metadata, "image/jpeg")
    yield "detections", encode_detections(msgspec.structs.replace(detections, metadata=metadata)), []
    yield "tracks", encode_tracks(moved, detections.model.class_names), []
    yield "counts", encode_event(counted), []


def main(
    seconds: float = typer.Option(SECONDS, min=10, help="How long to look."),
) -> None:
    """The live page under load."""
    run(Console(), seconds)


if __name__ == "__main__":
    typer.run(main)
