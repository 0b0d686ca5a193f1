"""Other trackers on the films of `bench.tracking`, in an environment of their own: milliseconds a frame, as JSON.

Run by `bench.tracking`: python peers_tracking.py FILM.npz SEARCH_RANGE_PX
"""

from __future__ import annotations

import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np


def laptrack(frames: list[np.ndarray], reach_px: float) -> list[float]:
    """Two frames at a time, which is how a tracker that wants all frames can be used on a stream."""
    from laptrack import LapTrack

    tracker = LapTrack(
        cutoff=reach_px**2, splitting_cutoff=reach_px**2, gap_closing_cutoff=False, merging_cutoff=False
    )
    return [_timed(partial(tracker.predict, [one, other])) for one, other in itertools.pairwise(frames)]


def trackpy(frames: list[np.ndarray], reach_px: float) -> list[float]:
    """Frame by frame, remembering cells for two frames. It knows no divisions."""
    import trackpy as tp

    tp.quiet()
    times, linked = [], tp.link_iter(iter(frames), search_range=reach_px, memory=2)
    for _ in frames:
        times.append(_timed(lambda: next(linked)))
    return times[1:]


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - started)


def main() -> None:
    """Measures each peer on the film."""
    film = np.load(sys.argv[1])
    frames = [film[name] for name in sorted(film.files)]
    told = {}
    for peer in (trackpy, laptrack):
        try:
            times = peer(frames, float(sys.argv[2]))
        except Exception as error:  # a peer that gives up is a result as well
            told[peer.__name__] = f"{type(error).__name__}: {error}"[:100]
        else:
            told[peer.__name__] = statistics.median(times)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
