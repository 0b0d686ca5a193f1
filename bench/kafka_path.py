"""The whole path on a real broker: frames a second, latency from capture to count, bytes, memory, processor time.

Broker, publisher and worker share this machine's cores, as on a laptop beside a microscope. The images are drawn and
encoded beforehand and published as they are, so that it is the path that is measured and not the drawing; what
`streamcount camera` takes to read, encode and send is measured by itself.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from kafka import KafkaConsumer, TopicPartition
from rich.console import Console
from rich.table import Table

from bench.processes import Part, Waiting, cpu_seconds, part, wait_for_end
from streamcount.config import Settings, parse_settings
from streamcount.service.broker import Broker
from streamcount.service.topics import make_topics, topic_specs
from streamcount.sources.base import Run
from streamcount.sources.simulated import SimulatedConfig
from streamcount.types import CountsUpdated
from streamcount.wire import decode_event, encode_image

CAMERAS = 2
FLOOD_FRAMES = 800
STEADY_FRAMES = 450
STEADY_HZ = 30
WARM_FRAMES = 40
CAMERA_FRAMES = 400
DRAWN_FRAMES = 40
TRIAL_S = 180.0

TEXT = """
[kafka]
bootstrap_servers = "{servers}"
[topics]
prefix = "{name}"
partitions = 2
[worker]
app_id = "{name}"
port = 0
data_folder = "{folder}/worker"
[detector]
{detector}
[cameras.bench-0]
encoding = "{encoding}"
[cameras.bench-0.source]
kind = "folder"
path = "{images}"
loop = true
"""

WATERSHED = 'kind = "watershed"'
BLOOD_SMEAR = 'kind = "tflite"\nmodel = "blood-smear"'


@dataclass(frozen=True)
class Scene:
    """Images of one kind, on disk. pixel_size_um: what their sender says; it spares the detector a first look."""

    folder: Path
    pixel_size_um: float
    cells: int

    @property
    def mean_bytes(self) -> float:
        """Of an encoded image."""
        return float(np.mean([file.stat().st_size for file in self.folder.iterdir()]))


@dataclass
class Figures:
    """What one trial gave: of the timed frames only, processor time too."""

    frames: int
    seconds: float
    megabytes: float
    latencies_ms: list[float] = field(default_factory=list)
    peak_mb: float = 0.0
    cpu_ms: dict[str, float] = field(default_factory=dict)


def run(console: Console) -> None:
    """Measures and prints."""
    console.print(f"load of this machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        scenes = {
            "98 px": draw_scene(folder / "large", pixel_size_um=0.0766, cells=12),
            "44 px": draw_scene(folder / "dense", pixel_size_um=0.17, cells=45),
        }
        with Broker(folder / "broker", say=console.print) as broker:
            console.print(_whole_path(broker, folder, scenes))
            console.print(_cameras(broker, folder, scenes["44 px"]))


def draw_scene(folder: Path, *, pixel_size_um: float, cells: int) -> Scene:
    """Draws and encodes a simulated film into a new folder."""
    folder.mkdir()
    source = SimulatedConfig(
        seed=1, width_px=640, height_px=480, cells=cells, pixel_size_um=pixel_size_um, frames=DRAWN_FRAMES
    ).build()
    for index, frame in enumerate(source.frames(Run("bench", "run-1", lambda: 0))):
        (folder / f"{index:03d}.jpg").write_bytes(encode_image(frame.image, "jpeg"))
    return Scene(folder, pixel_size_um, cells)


def _whole_path(broker: Broker, folder: Path, scenes: dict[str, Scene]) -> Table:
    kinds = ", ".join(
        f"{name} ({scene.cells} of them, {scene.pixel_size_um} µm/px)" for name, scene in scenes.items()
    )
    table = Table(
        "detector",
        "cells",
        "trial",
        "fps",
        "MB/s",
        "p50 ms",
        "p99 ms",
        "peak MB",
        "worker",
        "broker",
        "sender",
        title=f"640x480 JPEG through Kafka; cells of {kinds}",
        caption="peak MB: the worker's. Last three: CPU ms per frame (the sender's start included). "
        f"{STEADY_HZ}/s: {CAMERAS} cameras x {STEADY_HZ // CAMERAS}.",
    )
    trials = [
        ("blood-smear", "98 px", BLOOD_SMEAR),
        ("blood-smear", "44 px", BLOOD_SMEAR),
        ("watershed", "44 px", WATERSHED),
    ]
    for number, (detector, cells, section) in enumerate(trials):
        scene = scenes[cells]
        file, settings = scene_settings(broker, folder, scene, f"bench{number}", section, "jpeg")
        command = [sys.executable, "-m", "streamcount", "worker", "--config", str(file)]
        with part("the worker", command, file.with_suffix(".worker.log")) as worker:
            # A first short run brings up model, threads and connections, as in a service that has been running.
            _trial(broker, settings, worker, scene, "warm", WARM_FRAMES, 0)
            flood = _trial(broker, settings, worker, scene, "flood", FLOOD_FRAMES, 0)
            steady = _trial(broker, settings, worker, scene, "steady", STEADY_FRAMES, STEADY_HZ)
        _row(table, [detector, cells, "flood"], flood, latency=False)
        _row(table, [detector, cells, f"{STEADY_HZ}/s"], steady, latency=True)
    return table


def _row(table: Table, names: list[str], figures: Figures, *, latency: bool) -> None:
    table.add_row(
        *names,
        f"{figures.frames / figures.seconds:.1f}",
        f"{figures.megabytes / figures.seconds:.1f}",
        *[f"{np.percentile(figures.latencies_ms, q):.0f}" if latency else "" for q in (50, 99)],
        f"{figures.peak_mb:.0f}",
        *[f"{figures.cpu_ms[name]:.1f}" for name in ("worker", "broker", "sender")],
    )


def scene_settings(
    broker: Broker, folder: Path, scene: Scene, name: str, detector: str, encoding: str
) -> tuple[Path, Settings]:
    """A service's settings, in a file of the folder, with its topics made. detector: the lines of that section."""
    text = TEXT.format(
        servers=broker.bootstrap_servers,
        name=name,
        folder=folder / name,
        images=scene.folder,
        detector=detector,
        encoding=encoding,
    )
    file = folder / f"{name}.toml"
    file.write_text(text)
    settings = parse_settings(text, name, environment={})
    make_topics(topic_specs(settings), replication_factor=1, bootstrap_servers=broker.bootstrap_servers)
    return file, settings


def _trial(
    broker: Broker, settings: Settings, worker: Part, scene: Scene, run_id: str, frames: int, rate_hz: float
) -> Figures:
    """One run of the bench's publisher through a worker that is up, until each frame's count is seen."""
    topic = settings.topics.name("counts")
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap_servers, auto_offset_reset="earliest")
    consumer.assign([TopicPartition(topic, number) for number in range(settings.topics.partitions)])
    numbers = (CAMERAS, frames, rate_hz, scene.pixel_size_um)
    command = [sys.executable, "-m", "bench.publish", broker.bootstrap_servers]
    command += [settings.topics.name("frames"), run_id, str(scene.folder), *map(str, numbers)]
    node = broker.pids[1]
    worker.look()
    before = {"worker": worker.cpu_s, "broker": cpu_seconds(node)}
    arrivals: dict[str, float] = {}
    latencies_ms: list[float] = []
    try:
        with part("the publisher", command, worker.log.with_suffix(".publish.log")) as sender:
            waiting = Waiting(f"{frames} counts of {run_id}", TRIAL_S, [worker, sender])
            while len(arrivals) < frames:
                waiting.check()
                for batch in consumer.poll(timeout_ms=50).values():
                    now_s = time.time()
                    for record in batch:
                        event = decode_event(record.value)
                        if not isinstance(event, CountsUpdated) or event.run_id != run_id:
                            continue
                        # Delivery is at least once: only the first word of a frame counts.
                        if event.message_id not in arrivals:
                            arrivals[event.message_id] = now_s
                            latencies_ms.append(1e3 * now_s - record.timestamp)
            worker.look()
    finally:
        consumer.close()
    spent_s = {
        "worker": worker.cpu_s - before["worker"],
        "broker": cpu_seconds(node) - before["broker"],
        "sender": sender.cpu_s,
    }
    return Figures(
        frames,
        max(arrivals.values()) - min(arrivals.values()),
        frames * scene.mean_bytes / 1e6,
        latencies_ms,
        worker.peak_mb,
        {name: 1e3 * seconds / frames for name, seconds in spent_s.items()},
    )


def _cameras(broker: Broker, folder: Path, scene: Scene) -> Table:
    """`streamcount camera` alone: it reads, decodes and encodes each JPEG of a folder anew, and sends it."""
    table = Table(
        "encoding",
        "fps",
        "MB/s",
        "peak MB",
        "camera CPU ms",
        "broker CPU ms",
        title="`streamcount camera` alone, one camera, 640x480 from a folder of JPEGs",
    )
    for encoding in ("jpeg", "raw"):
        file, _ = scene_settings(broker, folder, scene, f"camera-{encoding}", WATERSHED, encoding)
        figures = _camera_trial(broker, file)
        table.add_row(
            encoding,
            f"{figures.frames / figures.seconds:.1f}",
            f"{figures.megabytes / figures.seconds:.1f}",
            f"{figures.peak_mb:.0f}",
            *[f"{figures.cpu_ms[name]:.1f}" for name in ("camera", "broker")],
        )
    return table


def _camera_trial(broker: Broker, file: Path) -> Figures:
    log = file.with_suffix(".camera.log")
    command = [sys.executable, "-m", "streamcount", "camera", "--config", str(file)]
    before_s = cpu_seconds(broker.pids[1])
    with part("the camera", [*command, "--frames", str(CAMERA_FRAMES)], log) as camera:
        wait_for_end(camera, TRIAL_S)
    broker_s = cpu_seconds(broker.pids[1]) - before_s
    # Its own account: from its start, before it was connected, to the last confirmation.
    report = re.search(r"(\d+) frames sent \(([\d.]+) MB, ([\d.]+) a second", log.read_text())
    if report is None or int(report[1]) != CAMERA_FRAMES:
        raise RuntimeError(
            f"the camera did not say that it sent {CAMERA_FRAMES} frames:\n{log.read_text()[-2000:]}"
        )
    cpu_ms = {"camera": 1e3 * camera.cpu_s / CAMERA_FRAMES, "broker": 1e3 * broker_s / CAMERA_FRAMES}
    seconds = CAMERA_FRAMES / float(report[3])
    return Figures(CAMERA_FRAMES, seconds, float(report[2]), [], camera.peak_mb, cpu_ms)
