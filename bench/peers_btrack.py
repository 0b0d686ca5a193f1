"""btrack on the films of `bench.tracking`, in an environment of its own: milliseconds a frame, as JSON.

Run by `bench.tracking`: python peers_btrack.py FILM.npz SEARCH_RANGE_PX
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from btrack import BayesianTracker
from btrack.btypes import PyTrackObject
from btrack.config import TrackerConfig
from btrack.constants import BayesianUpdates
from btrack.models import HypothesisModel, MotionModel

# Frames at a time; of so many cells all distances are too many, and only near ones are looked at, as btrack advises.
STEP, MANY = 100, 1000
FLAT_PX = 1e5


def settings(reach_px: float, side_px: float, cells: int) -> TrackerConfig:
    """Constant velocity and all hypotheses, with the numbers of btrack's own example of cells."""
    eye, none = np.eye(3), np.zeros((3, 3))
    motion = MotionModel(
        name="creep", measurements=3, states=6, accuracy=7.5, prob_not_assign=0.1, max_lost=2,
        A=np.block([[eye, eye], [none, eye]]), H=np.hstack([eye, none]),
        P=0.1 * np.diag([150.0, 150.0, 150.0, 4.0, 4.0, 4.0]),
        G=15 * np.concatenate([np.full(3, 0.5), np.ones(3)])[None], R=5 * eye,
    )  # fmt: skip
    hypotheses = HypothesisModel(
        name="cells", hypotheses=["P_FP", "P_init", "P_term", "P_link", "P_branch", "P_dead"],
        lambda_time=5.0, lambda_dist=3.0, lambda_link=10.0, lambda_branch=50.0, eta=1e-10, theta_dist=20.0,
        theta_time=5.0, dist_thresh=2 * reach_px, time_thresh=2, apop_thresh=5, segmentation_miss_rate=0.1,
        apoptosis_rate=0.001, relax=True,
    )  # fmt: skip
    return TrackerConfig(
        motion_model=motion,
        hypothesis_model=hypotheses,
        max_search_radius=reach_px,
        volume=((0, side_px), (0, side_px), (-FLAT_PX, FLAT_PX)),
        tracking_updates=["MOTION"],
        update_method=BayesianUpdates.APPROXIMATE if cells > MANY else BayesianUpdates.EXACT,
    )


def main() -> None:
    """Follows the film as a whole, divisions included, which is how btrack works."""
    film, reach_px = np.load(sys.argv[1]), float(sys.argv[2])
    frames = [film[name] for name in sorted(film.files)]
    places = [(number, y, x) for number, frame in enumerate(frames) for y, x in frame.tolist()]
    objects = [
        PyTrackObject.from_dict({"ID": row, "t": number, "x": x, "y": y, "z": 0.0})
        for row, (number, y, x) in enumerate(places)
    ]
    side_px = float(np.concatenate(frames).max())
    with BayesianTracker(verbose=False) as tracker:
        tracker.configure(settings(reach_px, side_px, len(frames[0])))
        tracker.append(objects)
        started = time.perf_counter()
        tracker.track(step_size=STEP)
        tracker.optimize()
        took_ms = 1e3 * (time.perf_counter() - started)
    print(json.dumps({"btrack": took_ms / len(frames)}))


if __name__ == "__main__":
    main()
