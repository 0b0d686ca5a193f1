"""A haemocytometer of known concentration through the simulated microscope, the detector and the windows."""

from __future__ import annotations

import numpy as np
import pytest

from bench.chamber import fields, volume_ml

MEAN, FIELDS = 15, 24


def test_the_concentration_lies_in_the_intervals_and_edges_do_not_add_cells():
    true = MEAN / volume_ml()
    found = list(fields(MEAN, FIELDS, 77_000))
    # At 95 %, 19 or fewer of 24 happen once in two hundred times.
    assert sum(each.square.low <= true <= each.square.high for each in found) >= 20
    assert sum(each.field.low <= true <= each.field.high for each in found) >= 20
    square, field, whole = (
        np.mean([getattr(one, name).value for one in found]) / true for name in ("square", "field", "whole")
    )
    everyone = np.mean([one.all_per_ml for one in found]) / true
    # 270 cells are expected in the squares, give or take 16, and 360 in the fields, give or take 20.
    assert square == pytest.approx(1, abs=0.18)
    assert whole == pytest.approx(1, abs=0.16)
    # All in sight are more than those that the rule counts by the cells that the lower and right edges cut.
    assert everyone > field + 0.04
