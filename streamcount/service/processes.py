"""Processes: ending with their parent, and speaking in one form."""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

PR_SET_PDEATHSIG = 1


def die_with_parent(number: int = signal.SIGTERM, parent_pid: int | None = None) -> None:
    """Asks the kernel to send this process a signal when its parent ends, even by SIGKILL; on Linux only.

    It outlives exec, so it can be called between fork and exec (`preexec_fn`). parent_pid: whose child this is,
    to notice a parent that has ended before; multiprocessing's own if not given. A parent of id 1 proves
    nothing: in a container it is the command itself.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
    parent = multiprocessing.parent_process()
    if parent_pid is None and parent is not None:
        parent_pid = parent.pid
    if parent_pid is not None and os.getppid() != parent_pid:
        os.kill(os.getpid(), number)


def exit_on_sigterm() -> None:
    """Ends with exit code 0 on SIGTERM, while a process has begun nothing that it would have to finish."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


@contextmanager
def handling_signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Gives Ctrl-C, SIGTERM and a closed terminal to `handler` for a while; call it from the main thread."""
    before = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # What the shell ignores on purpose (nohup, a background job) stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def set_up_logging(level: int = logging.INFO) -> None:
    """One line an event on standard error; the libraries speak only when something is wrong."""
    logging.basicConfig(
        level=level,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )
    for name in ("faust", "mode", "aiokafka", "kafka"):
        logging.getLogger(name).setLevel(logging.WARNING)
