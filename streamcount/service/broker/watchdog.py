"""Ends the broker's processes when the process that started them is gone, however it went (`kill -9` too).

Run as a script with no packages; it reads lines `+PID` and `-PID` (leaders of process groups) from standard
input. When that ends, or its parent changes, it ends all groups that are left: SIGTERM, ten seconds, SIGKILL.
It also inherits the lock of the data folder, so that the folder stays taken until the last node has ended.
"""

import os
import select
import signal
import sys
import time


def main() -> None:
    """Keeps the list of groups until there is nobody left to serve, then ends them."""
    parent = os.getppid()
    groups: set[int] = set()
    rest = b""
    while os.getppid() == parent:
        # The time-out is for a parent that forked: its child holds the pipe open after the parent's end.
        if not select.select([0], [], [], 1.0)[0]:
            continue
        got = os.read(0, 4096)
        if not got:
            break
        *lines, rest = (rest + got).split(b"\n")
        for line in lines:
            pid = int(line[1:])
            if line.startswith(b"+"):
                groups.add(pid)
            else:
                groups.discard(pid)
    end(groups)


def end(groups: set[int]) -> None:
    """SIGTERM to all groups, then SIGKILL to those that are still there after ten seconds."""
    left = {group for group in groups if send(group, signal.SIGTERM)}
    deadline = time.monotonic() + 10
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = {group for group in left if send(group, 0)}
    for group in left:
        send(group, signal.SIGKILL)


def send(group: int, signal_number: int) -> bool:
    """Whether the group was there to get the signal."""
    try:
        os.killpg(group, signal_number)
    except (ProcessLookupError, PermissionError):  # macOS refuses to signal a group of zombies
        return False
    return True


if __name__ == "__main__":
    # Ctrl-C on a terminal is for the parent; this process must outlive it by a moment.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    main()
    sys.exit(0)
