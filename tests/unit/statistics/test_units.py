"""Units against examples worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcount.statistics import (
    cells_per_ml,
    cells_per_mm2,
    confluence,
    counted,
    counted_in,
    diameter_um,
    field_area_um2,
    viability,
)

MM2 = 1e6


@pytest.mark.parametrize(
    ("cells", "area_um2", "depth_um", "dilution", "per_ml"),
    [
        # A large square of an improved Neubauer chamber: 1 mm2, 0.1 mm deep.
        (25, MM2, 100, 1, 2.5e5),
        (25, MM2, 100, 2, 5e5),
        # Its middle square counted for red cells: 5 of 25 small squares of 0.04 mm2, diluted 1:200.
        (500, 0.2 * MM2, 100, 200, 5e9),
        # A Fuchs-Rosenthal chamber: 16 mm2, 0.2 mm deep, 3.2 µL.
        (32, 16 * MM2, 200, 1, 1e4),
    ],
)
def test_chambers(cells, area_um2, depth_um, dilution, per_ml):
    found = cells_per_ml(counted(cells), area_um2, depth_um, dilution)
    assert found.value == pytest.approx(per_ml)
    assert (found.low, found.high) == pytest.approx(tuple(per_ml / cells * b for b in counted(cells)[1:]))


def test_a_field_in_mm2():
    # 1,000 x 2,000 pixels of half a µm are half a mm2.
    area = field_area_um2((1000, 2000), 0.5)
    assert area == 0.5 * MM2
    assert cells_per_mm2(counted(10), area).value == pytest.approx(20)


def test_a_diameter_is_of_the_circle_of_the_same_area():
    assert diameter_um([0, np.pi * 25, np.pi]).tolist() == pytest.approx([0, 10, 2])


SQUARE = (100, 100, 200, 200)


@pytest.mark.parametrize(
    ("box", "counts"),
    [
        ((140, 140, 160, 160), True),
        ((90, 140, 110, 160), True),
        ((140, 90, 160, 110), True),
        ((90, 90, 110, 110), True),
        ((190, 140, 210, 160), False),
        ((140, 190, 160, 210), False),
        ((190, 90, 210, 110), False),
        ((90, 190, 110, 210), False),
        ((70, 140, 90, 160), False),
        ((210, 140, 230, 160), False),
    ],
    ids=["inside", "top", "left", "both", "bottom", "right", "bottom left", "top right", "above", "below"],
)
def test_top_and_left_edges_count_bottom_and_right_do_not(box, counts):
    assert counted_in([box], SQUARE).tolist() == [counts]


@given(
    st.lists(
        st.tuples(st.integers(0, 280), st.integers(0, 280), st.integers(1, 60), st.integers(1, 60)),
        max_size=30,
    )
)
@settings(max_examples=60, deadline=None)
def test_each_cell_counts_in_exactly_one_square_of_a_grid(cells):
    boxes = np.array([(y, x, y + h, x + w) for y, x, h, w in cells], np.float64).reshape(-1, 4)
    times = np.zeros(len(boxes), int)
    for y in range(0, 400, 50):
        for x in range(0, 400, 50):
            times += counted_in(boxes, (y, x, y + 50, x + 50))
    assert (times == 1).all()


def test_viability_is_of_cells_that_live_or_are_dead():
    assert viability(90, 10) == pytest.approx((0.9, 0.8256, 0.9448), abs=1e-4)
    assert viability(0, 0) is None


def test_confluence_is_as_sure_as_the_patches_that_cells_could_fill():
    # 100 cells of 100 µm2 cover a quarter of the field, which has room for 400: Wilson's interval of 100 of 400.
    found = confluence(0.25, np.full(100, 100.0), 40_000)
    assert found == pytest.approx((0.25, 0.2101, 0.2946), abs=1e-4)
    # Half as many cells of twice the area cover as much, and tell it less surely.
    wider = confluence(0.25, np.full(50, 200.0), 40_000)
    assert wider.low < found.low
    assert wider.high > found.high
    assert confluence(0.0, [], 40_000) == (0, 0, 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: cells_per_mm2(counted(1), 0),
        lambda: cells_per_ml(counted(1), MM2, 0),
        lambda: cells_per_ml(counted(1), MM2, 100, 0.5),
        lambda: cells_per_ml(counted(1), MM2, 100, float("nan")),
        lambda: field_area_um2((0, 10), 1),
        lambda: field_area_um2((10, 10), -1),
        lambda: diameter_um([-1]),
        lambda: diameter_um([float("nan")]),
        lambda: counted_in([(0, 0, 1, 1)], (0, 0, 0, 5)),
        lambda: viability(-1, 2),
        lambda: confluence(1.5, [1], 10),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(ValueError):
        call()
