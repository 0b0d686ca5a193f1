"""Figures against examples worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from streamcount.statistics import poisson_interval, wilson_interval
from streamcount.types import Figure
from streamcount.windows.figures import Key, Rule, figures_of

MM2_ML = 1e-3  # of 1 mm2, 1 mm deep


def told(sums, name, rule=None) -> Figure | None:
    found = figures_of({Key(one): float(value) for one, value in sums.items()}, rule or Rule())
    return next((one for one in found if one.name == name), None)


def of_cells(number, **more):
    return {"cells": number, "cells_variance": number, **more}


@pytest.mark.parametrize(
    ("cells", "area_mm2", "depth_mm", "dilution", "per_ml"),
    [
        # A large square of an improved Neubauer chamber: 1 mm2, 0.1 mm deep.
        (25, 1, 0.1, 1, 2.5e5),
        (25, 1, 0.1, 2, 5e5),
        # Its middle square counted for red cells: 5 of 25 small squares of 0.04 mm2, diluted 1:200.
        (500, 0.2, 0.1, 200, 5e9),
        # A Fuchs-Rosenthal chamber: 16 mm2, 0.2 mm deep, 3.2 µL.
        (32, 16, 0.2, 1, 1e4),
    ],
)
def test_chambers(cells, area_mm2, depth_mm, dilution, per_ml):
    found = told(of_cells(cells, volume_ml=area_mm2 * depth_mm * MM2_ML / dilution), "cells_per_ml")
    assert found.value == pytest.approx(per_ml)
    bounds = tuple(per_ml / cells * bound for bound in poisson_interval(float(cells)))
    assert (found.low, found.high) == pytest.approx(bounds)


def test_a_field_in_mm2():
    assert told(of_cells(10, field_mm2=0.5), "cells_per_mm2").value == pytest.approx(20)


def test_an_area_that_is_not_known_makes_no_density():
    assert told(of_cells(10, field_mm2=0), "cells_per_mm2") is None


def test_viability_is_of_cells_that_live_or_are_dead():
    found = told(of_cells(100, dead_cells=10), "viability")
    assert (found.value, found.low, found.high) == pytest.approx((0.9, 0.8256, 0.9448), abs=1e-4)
    assert told(of_cells(0, dead_cells=0), "viability") is None


def of_spells(spells, cells, frames=50):
    """The mitotic index where each of the first cells is in mitosis for so many of the frames."""
    shares = np.asarray(spells, np.float64) / frames
    sums = {"mitotic_cells": shares.sum(), "mitotic_variance": shares @ shares}
    return told(of_cells(cells, mitotic_covariance=shares.sum(), **sums), "mitotic_index")


def test_many_short_spells_tell_the_mitotic_index_better_than_few_long_ones():
    # Two of 20 throughout: Wilson's interval of 2 of 20.
    throughout = of_spells([50, 50], 20)
    assert (throughout.value, throughout.low, throughout.high) == pytest.approx(
        (0.1, 0.0279, 0.3010), abs=1e-4
    )
    # By the sum of squares: half of the cells for a fifth, (0.04 x 10 - 2 x 0.1 x 2 + 0.01 x 20) / 400 = 0.0005.
    halves = of_spells([10] * 10, 20)
    assert (halves.low, halves.high) == pytest.approx(wilson_interval(0.1 * 180, 180.0))
    assert throughout.low < halves.low
    assert halves.high < throughout.high


def test_a_share_of_which_no_variance_is_told_is_of_cells_that_were_so_throughout():
    sums = {"cells": 40.0, "cells_variance": 20.0, "dead_cells": 10.0}
    found = told(sums, "viability")
    assert (found.low, found.high) == pytest.approx(wilson_interval(60.0, 80.0))


def sizes(areas):
    areas = np.asarray(areas, np.float64)
    sums = {"cells_sized": len(areas), "cell_area_um2": areas.sum(), "cell_area_squares_um4": areas @ areas}
    sums = of_cells(len(areas), **sums)
    return told(sums, "area_um2"), told(sums, "diameter_um")


def test_a_mean_size_has_students_interval():
    # A mean of 10 and a standard deviation of 2, five cells: 10 +- 2.776 x 2 / sqrt(5).
    area, diameter = sizes([10 - 2 * 2**0.5, 10, 10, 10, 10 + 2 * 2**0.5])
    assert (area.value, area.low, area.high) == pytest.approx((10, 7.517, 12.483), abs=1e-3)
    assert (diameter.low, diameter.high) == pytest.approx(
        (2 * (7.517 / np.pi) ** 0.5, 2 * (12.483 / np.pi) ** 0.5), abs=1e-3
    )
    alone, _ = sizes([10])
    assert (alone.value, alone.low, alone.high) == (10, None, None)


def confluence(covered, areas, field):
    areas = np.asarray(areas, np.float64)
    patches = field * areas.sum() / np.square(areas).sum() if len(areas) else 0.0
    return told({"fields": 1, "foreground": covered, "patches": patches}, "confluence")


def test_confluence_is_as_sure_as_the_patches_that_cells_could_fill():
    # 100 cells of 100 µm2 cover a quarter of the field, which has room for 400: Wilson's interval of 100 of 400.
    found = confluence(0.25, np.full(100, 100.0), 40_000)
    assert (found.value, found.low, found.high) == pytest.approx((0.25, 0.2101, 0.2946), abs=1e-4)
    # Half as many cells of twice the area cover as much, and tell it less surely.
    wider = confluence(0.25, np.full(50, 200.0), 40_000)
    assert wider.low < found.low
    assert wider.high > found.high
    nothing = confluence(0.0, [], 40_000)
    assert (nothing.value, nothing.low, nothing.high) == (0, 0, 1)


def of_sightings(sightings, frames):
    weights = np.asarray(sightings, np.float64) / frames
    found = told({"cells": weights.sum(), "cells_variance": np.square(weights).sum()}, "cells")
    return found.value, found.low, found.high


def test_a_mean_of_cells_that_stay_is_no_better_than_one_frame_and_of_ones_that_go_is():
    staying = of_sightings([100] * 20, 100)
    # Garwood's interval of 20.
    assert staying == pytest.approx((20, 12.217, 30.888), rel=1e-3)
    # 2,000 cells, each in one frame of a hundred: the lower bound is that of 2,000 cells, and the upper one allows
    # for one more that stays throughout.
    value, low, high = of_sightings([1] * 2000, 100)
    assert value == pytest.approx(20)
    assert 20 - low == pytest.approx(1.96 * np.sqrt(2000) / 100, rel=0.05)
    assert high < 24.5 < staying[2]
    assert of_sightings([], 100) == pytest.approx((0, 0, 3.689), rel=1e-3)


def test_births_come_in_pairs():
    found = told({"births": 20}, "births")
    assert (found.value, found.low, found.high) == pytest.approx((20, 2 * 4.795, 2 * 18.390), rel=1e-3)


def test_time_in_a_zone_is_shared_among_those_that_left_it():
    sums = {Key("dwell_total_s", "gate"): 30.0, Key("exits", "gate"): 4.0, Key("exits"): 9.0}
    assert [(one.zone, one.value) for one in figures_of(sums, Rule()) if one.name == "dwell_s"] == [
        ("gate", 7.5)
    ]
