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
from streamcount.service.processes import die_with_parent, exit_on_sigterm, set_up_logging

log = logging.getLogger(__name__)

# A child that ends sooner than this after its start waits before it is started again, longer each time.
QUICK_END_S = 10.0
LONGEST_WAIT_S = 30.0
SWITCH_INTERVAL_S = 0.0005
# What is in work is seconds; what takes longer waits for a Kafka that is away, and loses nothing by being killed.
DRAIN_S = 60.0


def run_worker(settings: Settings, processes: int = 1) -> int:
    """Counts until told to stop by SIGTERM or SIGINT; returns the exit code.

    processes: children that share the work; a supervisor starts again what ends by itself, be it one child or more.
    Child i serves metrics on worker.port + i.
    """
    return _Supervisor(settings, processes).run()


def end_process(error: BaseException) -> None:
    """Ends this process at once: what it has not acknowledged will be done by who comes next."""
    log.critical("ending on a fault, to resume from what is committed: %s", error, exc_info=error)
    logging.shutdown()
    os._exit(error.exit_code if isinstance(error, StreamcountError) else ExitCode.BROKER)


def _run_one(settings: Settings) -> int:
    import cv2
    from aiokafka.errors import KafkaError

    from streamcount.service.status import StatusServer
    from streamcount.service.worker.app import create_app
    from streamcount.service.worker.health import BEAT_S, LAG_S, Health, end_when_stuck
    from streamcount.service.worker.quiet import QuietWorker

    # Parallel frames, not parallel pixels: OpenCV's own threads would fight with ours for the cores.
    cv2.setNumThreads(1)
    # The loop shares the interpreter with detecting threads; at Python's 5 ms it waits that long for each turn.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    counting = create_app(settings, end_process)
    health = Health(counting, settings.worker.stall_s)

    @counting.faust_app.timer(interval=BEAT_S)
    async def beat() -> None:
        health.beat()

    @counting.faust_app.timer(interval=LAG_S)
    async def measure_lag() -> None:
        try:
            await health.measure_lag()
        except (KafkaError, AssertionError, KeyError) as error:
            # Kafka away, or partitions that moved while they were asked for; the next look will tell.
            log.debug("lag not measured: %s", error)

    def end_stuck(error: BaseException) -> None:
        if counting.faust_app.should_stop and not counting.guard.has_begun:
            # To leave Kafka's group while it is being joined can take without end. Nothing was begun, so nothing
            # waits to be drained, and to be told to stop is no fault.
            log.warning("told to stop before anything was begun, which did not end by itself: %s", error)
            logging.shutdown()
            os._exit(ExitCode.OK)
        end_process(error)

    end_when_stuck(health, end_stuck)
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
    exit_on_sigterm()
    # Ctrl-C reaches all processes of a terminal; the supervisor tells its children by SIGTERM, once.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()
    set_up_logging()
    try:
        code = _run_one(settings)
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
        self._quick_ends = [0] * processes
        self._stopping = False

    def run(self) -> int:
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._stop)
        while not self._stopping:
            for index, child in enumerate(self._children):
                if child is None or not child.is_alive():
                    self._start(index, child)
            time.sleep(0.1)
        return self._drain()

    def _start(self, index: int, ended: SpawnProcess | None) -> None:
        if ended is not None:
            if ended.exitcode in (ExitCode.CONFIGURATION, ExitCode.MODEL):
                # It would fail in the same way for ever.
                self._stopping = True
                return
            log.error("worker %d ended with %s; starting it again", index, ended.exitcode)
            quick = time.monotonic() - self._started_at[index] < QUICK_END_S
            self._quick_ends[index] = self._quick_ends[index] + 1 if quick else 0
            self._wait(min(LONGEST_WAIT_S, 2.0 ** self._quick_ends[index] - 1))
            if self._stopping:
                return
        worker = self._settings.worker
        port = worker.port + index if worker.port else 0
        folder = worker.data_folder / str(index)
        settings = self._settings.model_copy(
            update={"worker": worker.model_copy(update={"port": port, "data_folder": folder})}
        )
        child = self._context.Process(target=_child, args=(settings,), name=f"worker-{index}")
        child.start()
        self._children[index], self._started_at[index] = child, time.monotonic()

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < deadline:
            time.sleep(0.1)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _drain(self) -> int:
        children = [child for child in self._children if child is not None]
        for child in children:
            child.terminate()
        deadline = time.monotonic() + DRAIN_S
        for child in children:
            child.join(max(0.0, deadline - time.monotonic()))
            if child.is_alive():
                log.error(
                    "%s did not drain within %.0f s; killing it, which loses nothing", child.name, DRAIN_S
                )
                child.kill()
                child.join()
        return max((self._code(child) for child in children), default=0)

    @staticmethod
    def _code(child: SpawnProcess) -> int:
        code = child.exitcode or 0
        if code == -signal.SIGTERM:
            # Told to stop before it had begun anything.
            return ExitCode.OK
        return code if code >= 0 else ExitCode.FAULT
