"""Since when frames wait to be counted, from how far the workers have committed."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

# Looks that are remembered of a partition; beyond it every second one is left out, so that the oldest stays.
LOOKS = 512


class Waiting:
    """By partition, the looks at the topic's end that the workers have not reached yet."""

    def __init__(self) -> None:
        self._looks: dict[int, deque[tuple[float, int]]] = {}

    def look(self, now_s: float, ends: Mapping[int, int], done: Mapping[int, int]) -> None:
        """ends: the offset behind the last frame. done: the one that workers resume at. Both by partition."""
        for partition, end in ends.items():
            looks = self._looks.setdefault(partition, deque())
            if not looks or looks[-1][1] < end:
                looks.append((now_s, end))
            while looks and looks[0][1] <= done.get(partition, 0):
                looks.popleft()
            if len(looks) > LOOKS:
                self._looks[partition] = deque(list(looks)[::2])

    def since_s(self) -> dict[int, float]:
        """When a frame that is still not counted was first seen to wait, for each partition that has one."""
        return {partition: looks[0][0] for partition, looks in self._looks.items() if looks}
