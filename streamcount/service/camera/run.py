"""Cameras in one process: started, watched, and ended with every frame accounted for."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from types import FrameType
from typing import Any

from prometheus_client import CollectorRegistry

from streamcount.config import Settings
from streamcount.config.settings import CameraConfig
from streamcount.errors import BrokerError, ConfigurationError
from streamcount.service.camera.buffer import FrameBuffer
from streamcount.service.camera.capture import Capture, Encoder
from streamcount.service.camera.metrics import CameraMetrics
from streamcount.service.camera.publisher import Destination, Publisher
from streamcount.service.status import StatusServer
from streamcount.types import IDENTIFIER

log = logging.getLogger(__name__)

POLL_S = 0.1


def run_id_for(time_ns: int) -> str:
    """A run's name from when it began, such as 20260131T120000.250Z: later runs sort after earlier ones."""
    seconds, rest_ns = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y%m%dT%H%M%S}.{rest_ns // 1_000_000:03d}Z"


@dataclass(frozen=True)
class CameraReport:
    """What became of one camera's run.

    unconfirmed: frames taken, of which Kafka never said that it has them, or knows them missing.
    """

    camera_id: str
    run_id: str
    sent: int
    dropped: int
    failed: int
    unconfirmed: int
    sent_bytes: int
    seconds: float

    def __str__(self) -> str:
        rate = self.sent / self.seconds if self.seconds else 0.0
        parts = [f"{self.sent} frames sent ({self.sent_bytes / 1e6:.1f} MB, {rate:.1f} a second)"]
        for frames, what in (
            (self.dropped, "dropped from a full buffer"),
            (self.failed, "could not be sent"),
            (self.unconfirmed, "unconfirmed at the end"),
        ):
            if frames:
                parts.append(f"{frames} {what}")
        return f"camera {self.camera_id}, run {self.run_id}: {', '.join(parts)}"


class CameraRun:
    """One camera: a thread that takes and encodes frames, one that sends them, and a buffer between them."""

    def __init__(
        self, camera_id: str, config: CameraConfig, settings: Settings, run_id: str, metrics: CameraMetrics
    ) -> None:
        """Opens nothing of Kafka yet. Raises SourceError where the source cannot be built."""
        self.camera_id = camera_id
        self.meter = metrics.for_camera(camera_id)
        self.buffer = FrameBuffer(config.buffer_bytes, config.when_full)
        self.capture = Capture(
            source=config.source.build(),
            camera_id=camera_id,
            run_id=run_id,
            encoder=Encoder(
                config.encoding, config.jpeg_quality, config.pixel_size_um, settings.limits.frame_bytes
            ),
            buffer=self.buffer,
            meter=self.meter,
        )
        destination = Destination(
            bootstrap_servers=settings.kafka.bootstrap_servers,
            topic=settings.topics.name("frames"),
            max_message_bytes=settings.topics.max_message_bytes,
            camera_id=camera_id,
            run_id=run_id,
        )
        self.publisher = Publisher(destination, self.buffer, self.meter)
        self.error: BaseException | None = None
        self._started_s = 0.0
        self._ended_s: float | None = None
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Starts both threads."""
        self._started_s = time.monotonic()
        for name, run in (("capture", self._run_capture), ("publish", self._run_publisher)):
            thread = threading.Thread(target=run, name=f"{name} {self.camera_id}", daemon=True)
            self._threads.append(thread)
            thread.start()

    @property
    def running(self) -> bool:
        """Frames are still taken or sent."""
        running = any(thread.is_alive() for thread in self._threads)
        if not running and self._ended_s is None:
            self._ended_s = time.monotonic()
        return running

    def report(self) -> CameraReport:
        """What became of the run so far."""
        return CameraReport(
            camera_id=self.camera_id,
            run_id=self.capture.run_id,
            sent=self.meter.sent,
            dropped=self.meter.dropped,
            failed=self.meter.failed,
            unconfirmed=self.publisher.unconfirmed_frames,
            sent_bytes=self.meter.sent_bytes,
            seconds=(self._ended_s or time.monotonic()) - self._started_s,
        )

    def join(self, timeout_s: float) -> None:
        """Waits for both threads."""
        for thread in self._threads:
            thread.join(timeout_s)

    def _run_capture(self) -> None:
        try:
            self.capture.run()
        except BaseException as error:
            # Kept for the main thread to raise; what was taken before is still sent.
            log.error("camera %s: %s", self.camera_id, error)
            self.error = self.error or error

    def _run_publisher(self) -> None:
        try:
            self.publisher.run()
        except BaseException as error:
            self.error = self.error or error
            self.capture.stop()


class CameraGroup:
    """Several cameras in one process, and their metrics; `with` starts and ends them."""

    def __init__(
        self,
        settings: Settings,
        cameras: Mapping[str, CameraConfig],
        *,
        run_id: str | None = None,
        frames: int | None = None,
        metrics_port: int | None = None,
    ) -> None:
        """Raises SourceError where a source cannot be built, ConfigurationError without any camera.

        run_id: the same for all; None for a name made of the time. frames: how many of each camera at most.
        metrics_port: for /metrics, /livez and /readyz; 0 for any free one, None for none.
        """
        if not cameras:
            raise ConfigurationError(
                "there is no camera: add [cameras.NAME] to the configuration, or use --source"
            )
        if run_id is not None and not IDENTIFIER.fullmatch(run_id):
            raise ConfigurationError(f"run id {run_id!r}: use up to 64 letters, digits, '.', '_' or '-'")
        self.registry = CollectorRegistry()
        metrics = CameraMetrics(self.registry)
        self.run_id = run_id or run_id_for(time.time_ns())
        self.runs = [
            CameraRun(name, config, settings, self.run_id, metrics) for name, config in cameras.items()
        ]
        for run in self.runs:
            run.capture.frames = frames
        self.status: StatusServer | None = None
        if metrics_port is not None:
            self.status = StatusServer(
                self.registry,
                self.live,
                self.ready,
                host=settings.worker.host,
                port=metrics_port,
                port_key="--metrics-port",
            )

    def __enter__(self) -> CameraGroup:
        if self.status is not None:
            self.status.start()
        for run in self.runs:
            run.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.abort()
        if self.status is not None:
            self.status.close()

    @property
    def running(self) -> bool:
        """A camera is still taking or sending frames."""
        return bool([run for run in self.runs if run.running])

    @property
    def broken(self) -> bool:
        """Kafka refuses what a camera sends, which no waiting mends."""
        return any(isinstance(run.error, BrokerError) for run in self.runs)

    @property
    def failed(self) -> list[str]:
        """The cameras that ended with an error."""
        return [run.camera_id for run in self.runs if run.error is not None]

    def stop(self) -> None:
        """Takes no more frames; what was taken is still sent."""
        for run in self.runs:
            run.capture.stop()

    def abort(self) -> None:
        """Ends at once; what is not confirmed by now stays so."""
        self.stop()
        for run in self.runs:
            run.publisher.abort()
        for run in self.runs:
            run.join(10)

    def live(self) -> tuple[bool, dict[str, Any]]:
        """Whether every camera works, or has ended well."""
        faults = {run.camera_id: str(run.error) for run in self.runs if run.error is not None}
        return not faults, {"faults": faults, "running": [run.camera_id for run in self.runs if run.running]}

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether Kafka has confirmed each camera's first frame, and answers."""
        waiting = [
            run.camera_id
            for run in self.runs
            if run.error is not None
            or run.publisher.away
            or not run.meter.sent
            or not run.publisher.connected
        ]
        return not waiting, {"waiting_for_kafka": waiting}


def run_cameras(
    group: CameraGroup, flush_timeout_s: float, show: Callable[[Sequence[CameraRun]], Any] | None = None
) -> list[CameraReport]:
    """Runs cameras until their sources end or a signal comes; call it from the main thread.

    The first SIGINT or SIGTERM ends the taking of frames and gives what waits `flush_timeout_s` to be sent;
    the second ends at once. A source that fails ends the others too, once what was taken is sent: a process
    that went on would keep its dead camera for as long as the others live, and a supervisor could not start
    it again. Cameras that are not to share their fate run in processes of their own.
    show: a context manager made for the runs, such as a progress bar.
    Raises BrokerError where frames are left unconfirmed, or the first error of a camera.
    """
    signals: list[int] = []

    def on_signal(number: int, _: FrameType | None) -> None:
        signals.append(number)

    with ExitStack() as stack:
        for number in (signal.SIGINT, signal.SIGTERM):
            stack.callback(signal.signal, number, signal.signal(number, on_signal))
        stack.enter_context(group)
        if show is not None:
            stack.enter_context(show(group.runs))
        names = ", ".join(run.camera_id for run in group.runs)
        metrics = f"; metrics at {group.status.url}/metrics" if group.status is not None else ""
        log.info("run %s of %s begins%s", group.run_id, names, metrics)
        deadline_s: float | None = None
        told = False
        while group.running:
            if group.failed and not told:
                told = True
                if len(group.runs) > 1:
                    log.error("%s failed, which ends all cameras of this process", ", ".join(group.failed))
                group.stop()
            if (signals or group.broken) and deadline_s is None:
                group.stop()
                deadline_s = time.monotonic() + flush_timeout_s
            if deadline_s is not None and (len(signals) > 1 or group.broken or time.monotonic() > deadline_s):
                group.abort()
            time.sleep(POLL_S)
        reports = [run.report() for run in group.runs]
    for report in reports:
        log.info("%s", report)
    errors = [run.error for run in group.runs if run.error is not None]
    if errors:
        raise errors[0]
    left = sum(report.unconfirmed for report in reports)
    if left:
        raise BrokerError(
            f"{left} frames were taken but not confirmed by Kafka within {flush_timeout_s:g} s: look at the "
            "broker, or give --flush-timeout more seconds"
        )
    return reports
