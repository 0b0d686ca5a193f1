"""Processes under measure: what they cost by the system's own account, and an end to waiting for them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PAUSE_S = 0.05


@dataclass
class Part:
    """A process that runs beside the measurement, and the file that has its words.

    peak_mb, cpu_s: of it and its children, as last seen by `look`; what has ended has no account any more.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    peak_mb: float = 0.0
    cpu_s: float = 0.0

    def look(self) -> None:
        """Reads its account; fails where it has ended badly."""
        if self.process.poll():
            lines = self.log.read_text(errors="replace").splitlines()[-12:]
            raise RuntimeError(f"{self.name} ended with {self.process.returncode}:\n" + "\n".join(lines))
        family = [self.process.pid, *children(self.process.pid)]
        self.peak_mb = max(self.peak_mb, sum(map(peak_mb, family)))
        self.cpu_s = max(self.cpu_s, sum(map(cpu_seconds, family)))


@dataclass
class Waiting:
    """A wait that ends: at its deadline, or when one of its parts ends badly."""

    what: str
    allowed_s: float
    parts: list[Part] = field(default_factory=list)
    began_s: float = field(default_factory=time.monotonic)

    def check(self) -> None:
        """To be called in the loop that waits."""
        for part in self.parts:
            part.look()
        if time.monotonic() - self.began_s > self.allowed_s:
            raise TimeoutError(f"{self.what}: not within {self.allowed_s:g} s")


@contextmanager
def part(name: str, command: list[str], log: Path) -> Iterator[Part]:
    """A process that is ended, by force if need be, when the block is left."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield Part(name, process, log)
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_end(one: Part, allowed_s: float) -> None:
    """Until it has ended well."""
    waiting = Waiting(f"the end of {one.name}", allowed_s, [one])
    while one.process.poll() is None:
        waiting.check()
        time.sleep(PAUSE_S)
    one.look()


def children(pid: int) -> list[int]:
    """The processes that it, or any of its children, has started and that run."""
    try:
        lists = [file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    direct = [int(one) for text in lists for one in text.split()]
    return direct + [one for child in direct for one in children(child)]


def peak_mb(pid: int) -> float:
    """Most memory that a process has had, MB; 0 where it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    lines = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(lines[0].split()[1]) / 1024 if lines else 0.0


def cpu_seconds(pid: int) -> float:
    """Processor time of a process, all threads, user and system, s; 0 where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
