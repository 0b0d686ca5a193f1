"""The whole path on a real broker: frames a second, latency from capture to event, bytes a second, memory.

Broker, cameras and worker share this machine's cores, as on a laptop beside a microscope. The frames are drawn
beforehand and published from a folder, so that it is the path that is measured and not the drawing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from kafka import KafkaConsumer, TopicPartition
from rich.console import Console
from rich.table import Table

from bench.stages import frames_of
from streamcount.config import Settings, parse_settings
from streamcount.service.broker import Broker
from streamcount.service.topics import make_topics, topic_specs
from streamcount.types import CountsUpdated
from streamcount.wire import decode_event, encode_image

FLOOD_FRAMES = 1000
STEADY_FRAMES = 600
STEADY_HZ = 30

TEXT = """
[kafka]
bootstrap_servers = "{servers}"
[topics]
prefix = "{name}"
partitions = 4
[worker]
app_id = "{name}"
port = 0
data_folder = "{folder}/worker"
[detector]
{detector}
[cameras.bench-1]
encoding = "{encoding}"
[cameras.bench-1.source]
kind = "folder"
path = "{images}"
loop = true
{rate}
"""

DETECTORS = {
    "watershed": 'kind = "watershed"',
    "blood-smear int8": 'kind = "tflite"\nmodel = "blood-smear"\ncell_diameter_px = 44.0',
}


@dataclass
class Figures:
    """What one trial gave."""

    frames: int
    seconds: float
    megabytes: float
    latencies_ms: list[float]
    worker_peak_mb: float
    camera_peak_mb: float


def run(console: Console) -> None:
    """Measures and prints."""
    table = Table(
        "trial",
        "frames/s",
        "MB/s of images",
        "p50 ms",
        "p99 ms",
        "worker peak MB",
        "camera peak MB",
        title="640x480 through Kafka, broker and camera on the same machine",
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        images = folder / "images"
        images.mkdir()
        for index, frame in enumerate(frames_of(640, 480, 45)):
            (images / f"{index:03d}.jpg").write_bytes(encode_image(frame.image, "jpeg"))
        with Broker(folder / "broker", say=console.print) as broker:
            number = 0
            for detector, section in DETECTORS.items():
                for trial, frames, rate in (
                    ("flood, JPEG", FLOOD_FRAMES, ""),
                    (f"{STEADY_HZ} frames/s, JPEG", STEADY_FRAMES, f"rate_hz = {STEADY_HZ}"),
                ):
                    number += 1
                    settings = _settings(broker, folder, images, f"bench{number}", section, "jpeg", rate)
                    figures = _trial(settings, folder / f"bench{number}.toml", frames, whole_path=True)
                    _row(table, f"{trial}, {detector}", figures, steady=bool(rate))
            settings = _settings(broker, folder, images, "raw", DETECTORS["watershed"], "raw", "")
            figures = _trial(settings, folder / "raw.toml", FLOOD_FRAMES, whole_path=False)
            _row(table, "camera alone, raw", figures, steady=False)
    console.print(table)


def _row(table: Table, name: str, figures: Figures, *, steady: bool) -> None:
    latency = [f"{np.percentile(figures.latencies_ms, q):.0f}" if steady else "" for q in (50, 99)]
    table.add_row(
        name,
        f"{figures.frames / figures.seconds:.1f}",
        f"{figures.megabytes / figures.seconds:.1f}",
        *latency,
        f"{figures.worker_peak_mb:.0f}" if figures.worker_peak_mb else "",
        f"{figures.camera_peak_mb:.0f}",
    )


def _settings(
    broker: Broker, folder: Path, images: Path, name: str, detector: str, encoding: str, rate: str
) -> Settings:
    text = TEXT.format(
        servers=broker.bootstrap_servers,
        name=name,
        folder=folder,
        images=images,
        detector=detector,
        encoding=encoding,
        rate=rate,
    )
    (folder / f"{name}.toml").write_text(text)
    settings = parse_settings(text, name, environment={})
    make_topics(topic_specs(settings), replication_factor=1, bootstrap_servers=broker.bootstrap_servers)
    return settings


def _trial(settings: Settings, file: Path, frames: int, *, whole_path: bool) -> Figures:
    watched = settings.topics.name("counts" if whole_path else "frames")
    consumer = KafkaConsumer(bootstrap_servers=settings.kafka.bootstrap_servers, auto_offset_reset="earliest")
    consumer.assign([TopicPartition(watched, number) for number in range(settings.topics.partitions)])
    arrivals: list[float] = []
    latencies_ms: list[float] = []
    bytes_seen = 0
    worker_peak_mb = 0.0
    try:
        with _process("worker", file, used=whole_path) as worker:
            # A first short run brings up model, threads and connections, as in a service that has been running.
            warm = 40 if whole_path else 0
            if whole_path:
                _publish(file, warm, "warm")
                _drain(consumer, warm, settings, "warm")
            with _process("camera", file, "--run-id", "timed", "--frames", str(frames)) as camera:
                while len(arrivals) < frames:
                    for batch in consumer.poll(timeout_ms=100).values():
                        now = time.time()
                        for record in batch:
                            bytes_seen += 0 if whole_path else len(record.value)
                            if whole_path and not _is_timed(record.value):
                                continue
                            arrivals.append(now)
                            latencies_ms.append(1e3 * now - record.timestamp)
                    camera_peak_mb = _peak_mb(camera) or locals().get("camera_peak_mb", 0.0)
            worker_peak_mb = _peak_mb(worker) if worker else 0.0
    finally:
        consumer.close()
    if whole_path:
        bytes_seen = frames * _mean_bytes(settings)
    seconds = arrivals[-1] - arrivals[0]
    return Figures(frames, seconds, bytes_seen / 1e6, latencies_ms, worker_peak_mb, camera_peak_mb)


def _is_timed(value: bytes) -> bool:
    event = decode_event(value)
    return isinstance(event, CountsUpdated) and event.run_id == "timed"


def _mean_bytes(settings: Settings) -> int:
    source = settings.cameras["bench-1"].source
    sizes = [file.stat().st_size for file in Path(source.path).iterdir()]  # type: ignore[union-attr]
    return int(np.mean(sizes))


def _publish(file: Path, frames: int, run_id: str) -> None:
    with _process("camera", file, "--run-id", run_id, "--frames", str(frames)) as camera:
        camera.wait()


def _drain(consumer: KafkaConsumer, frames: int, settings: Settings, run_id: str) -> None:
    seen = 0
    while seen < frames:
        for batch in consumer.poll(timeout_ms=200).values():
            seen += sum(decode_event(record.value).run_id == run_id for record in batch)


@contextmanager
def _process(
    command: str, file: Path, *arguments: str, used: bool = True
) -> Iterator[subprocess.Popen[bytes]]:
    if not used:
        yield None  # type: ignore[misc]
        return
    log = file.with_suffix(f".{command}.log").open("ab")
    process = subprocess.Popen(
        [sys.executable, "-m", "streamcount", command, "--config", str(file), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env={**os.environ},
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()
        log.close()


def _peak_mb(process: subprocess.Popen[bytes]) -> float:
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return 0.0
    lines = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(lines[0].split()[1]) / 1024 if lines else 0.0
