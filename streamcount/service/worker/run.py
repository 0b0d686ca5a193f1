"""Running workers: one process, or several under a supervisor that starts again what ends by itself."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import sys
import time
from multiprocessing.context import SpawnProcess
from types import FrameType

from streamcount.config import Settings
from streamcount.errors import ExitCode, StreamcountError

log = logging.getLogger(__name__)

# A child that ends sooner than this after its start waits before it is started again.
QUICK_END_S = 5.0


def run_worker(settings: Settings, processes: int = 1) -> int:
    """Counts until told to stop by SIGTERM or SIGINT; returns the exit code.

    processes: above 1, a supervisor runs that many children, process i serving metrics on worker.port + i.
    Raises ConfigurationError where the metrics port is taken, ModelError where the model cannot be loaded,
    BrokerError where topics are missing.
    """
    return _run_one(settings) if processes == 1 else _Supervisor(settings, processes).run()


def end_process(error: BaseException) -> None:
    """Ends this process at once: what it has not acknowledged will be done by who comes next."""
    log.critical("ending on a fault, to resume from what is committed: %s", error, exc_info=error)
    logging.shutdown()
    os._exit(error.exit_code if isinstance(error, StreamcountError) else ExitCode.BROKER)


def _run_one(settings: Settings) -> int:
    import cv2

    from streamcount.service.status import StatusServer
    from streamcount.service.worker.app import create_app
    from streamcount.service.worker.health import BEAT_S, Health
    from streamcount.service.worker.quiet import QuietWorker

    # Parallel frames, not parallel pixels: OpenCV's own threads would fight with ours for the cores.
    cv2.setNumThreads(1)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    counting = create_app(settings, end_process)
    health = Health(counting, settings.worker.stall_s)

    @counting.faust_app.timer(interval=BEAT_S)
    async def beat() -> None:
        health.beat()

    with StatusServer(
        counting.metrics.registry,
        health.live,
        health.ready,
        host=settings.worker.host,
        port=settings.worker.port,
        port_key="worker.port",
    ) as status:
        log.info("metrics, /livez and /readyz on %s", status.url)
        worker = QuietWorker(counting.faust_app, loop=loop, redirect_stdouts=False, daemon=True, quiet=True)
        try:
            worker.execute_from_commandline()
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else ExitCode.OK
        return ExitCode.OK


def _child(settings: Settings) -> None:
    from streamcount.service.processes import die_with_parent, set_up_logging

    die_with_parent()
    set_up_logging()
    try:
        code = run_worker(settings)
    except StreamcountError as error:
        log.critical("%s", error)
        code = error.exit_code
    sys.exit(code)


class _Supervisor:
    """Keeps N children running; passes a stop on to them and waits until they have drained."""

    def __init__(self, settings: Settings, processes: int) -> None:
        self._settings = settings
        self._context = multiprocessing.get_context("spawn")
        self._children: list[SpawnProcess | None] = [None] * processes
        self._started_at = [0.0] * processes
        self._stopping = False

    def run(self) -> int:
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._stop)
        while not self._stopping:
            for index, child in enumerate(self._children):
                if child is None or not child.is_alive():
                    self._start(index, child)
            time.sleep(0.2)
        return self._drain()

    def _start(self, index: int, ended: SpawnProcess | None) -> None:
        if ended is not None:
            if ended.exitcode in (ExitCode.CONFIGURATION, ExitCode.MODEL):
                # It would fail in the same way for ever.
                self._stopping = True
                return
            log.error("worker %d ended with %s; starting it again", index, ended.exitcode)
            if time.monotonic() - self._started_at[index] < QUICK_END_S:
                time.sleep(1.0)
        worker = self._settings.worker
        port = worker.port + index if worker.port else 0
        folder = worker.data_folder.with_name(f"{worker.data_folder.name}-{index}")
        settings = self._settings.model_copy(
            update={"worker": worker.model_copy(update={"port": port, "data_folder": folder})}
        )
        child = self._context.Process(target=_child, args=(settings,), name=f"worker-{index}")
        child.start()
        self._children[index], self._started_at[index] = child, time.monotonic()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _drain(self) -> int:
        children = [child for child in self._children if child is not None]
        for child in children:
            if child.is_alive():
                child.terminate()
        for child in children:
            child.join()
        return max((abs(child.exitcode or 0) for child in children), default=0)
