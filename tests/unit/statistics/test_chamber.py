"""A haemocytometer of known concentration through the simulated microscope, the detector and the windows."""

from __future__ import annotations

import numpy as np
import pytest

from bench.chamber import fields, volume_ml

MEAN, FIELDS = 15, 24


def test_the_concentration_lies_in_the_intervals_and_the_edge_rule_is_why():
    true = MEAN / volume_ml()
    found = list(fields(MEAN, FIELDS, 77_000))
    # At 95 %, 19 or fewer of 24 happen once in two hundred times.
    assert sum(each.low <= true <= each.high for each in found) >= 20
    ruled, everyone, truth = (
        np.mean([getattr(each, name) for each in found]) / true
        for name in ("cells_per_ml", "all_per_ml", "true_per_ml")
    )
    # 360 cells are expected, give or take 19.
    assert truth == pytest.approx(1, abs=0.16)
    # The detector misses some that touch or are cut; all in sight are too many by those that the lower edges cut.
    assert ruled == pytest.approx(truth, rel=0.05)
    assert everyone > ruled + 0.04
