"""The live page under load: many cameras straight into Kafka, one browser with all tiles in view."""

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
SECONDS = float(os.environ.get("STREAMCOUNT_BENCH_PAGE_S", "60"))
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
SEEN = "[...document.querySelectorAll('canvas')].map(one => [+one.dataset.age, +one.dataset.sequence])"


def run(console: Console) -> None:
    """Measures the server's processor time and memory, the browser's heap, and the age of what it has drawn."""
    chromium = shutil.which("chromium")
    if chromium is None:
        console.print("page: needs Chromium (apt-get install chromium)")
        return
    with tempfile.TemporaryDirectory() as name, Broker(Path(name) / "broker") as broker:
        file = Path(name) / "streamcount.toml"
        file.write_text(f'kafka.bootstrap_servers = "{broker.bootstrap_servers}"\n{TEXT}')
        settings = parse_settings(file.read_text(), environment={})
        make_topics(topic_specs(settings), replication_factor=1, bootstrap_servers=broker.bootstrap_servers)
        publisher = get_context("spawn").Process(target=_publish, args=(str(file),), daemon=True)
        publisher.start()
        with _page(file) as (process, url):
            time.sleep(WARM_S)
            before = _usage(process.pid)
            time.sleep(WARM_S)
            after = _usage(process.pid)
            alone = (after[0] - before[0]) / WARM_S
            console.print(f"nobody looks: {alone:.0%} of a core, {after[1]:.0f} MiB")
            _look(console, chromium, url, process.pid)
        publisher.terminate()
        publisher.join()


def _look(console: Console, chromium: str, url: str, pid: int) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport={"width": 1600, "height": 1500})
        began = time.monotonic()
        page.goto(url)
        page.wait_for_selector("canvas[data-sequence]")
        console.print(f"first picture after {time.monotonic() - began:.1f} s")
        time.sleep(WARM_S)
        ages: list[float] = []
        heaps: list[float] = []
        first, before, began = page.evaluate(SEEN), _usage(pid), time.monotonic()
        while time.monotonic() - began < SECONDS:
            ages += [age for age, _ in page.evaluate(SEEN)]
            heaps.append(page.evaluate("performance.memory.usedJSHeapSize / 1048576"))
            time.sleep(1)
        after, took_s, last = _usage(pid), time.monotonic() - began, page.evaluate(SEEN)
        browser.close()
    moved = sum(then - at for (_, at), (_, then) in zip(first, last, strict=True)) / len(first) / took_s
    ages.sort()
    median, late = ages[len(ages) // 2], ages[int(len(ages) * 0.95)]
    half = len(heaps) // 2
    console.print(
        f"{len(last)} tiles for {took_s:.0f} s, {moved:.1f} frames/s each: "
        f"{(after[0] - before[0]) / took_s:.0%} of a core, "
        f"{before[1]:.0f} to {after[1]:.0f} MiB; browser's heap at most {max(heaps[:half]):.0f}, then "
        f"{max(heaps[half:]):.0f} MiB; drawn at an age of {median:.0f} ms, 95th percentile {late:.0f} ms"
    )


@contextmanager
def _page(file: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
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


def _usage(pid: int) -> tuple[float, float]:
    """Seconds of processor time so far, and memory in MiB."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), pages * 4096 / 2**20


def _made(settings: Settings) -> list[tuple[bytes, StepResult]]:
    """Some frames as JPEG, and what the pipeline makes of them; all cameras send these by turns."""
    pipeline = settings.pipeline("x")
    state, made = pipeline.initial_state("x"), []
    for frame in settings.cameras["x"].source.build().frames(Run("x", "a", time.time_ns)):
        state, result = pipeline.step(state, frame)
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
