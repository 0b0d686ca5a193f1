"""Sizes, and the rule of haemocytometers, against examples worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcount.statistics import counted_in, counted_in_image, diameter_um, stand_for


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


@pytest.mark.parametrize(
    ("box", "counts"),
    [((0, 0, 20, 20), True), ((380, 0, 398.9, 20), True), ((380, 0, 399.2, 20), False), ((0, 580, 20, 600), False)],
    ids=["top left", "inside", "a fraction from the bottom", "right"],
)  # fmt: skip
def test_at_the_edge_of_an_image_a_cell_that_ends_less_than_a_pixel_before_it_touches_it(box, counts):
    assert counted_in_image([box], (400, 600)).tolist() == [counts]


@pytest.mark.parametrize(("height", "width"), [(4, 4), (8, 12), (12, 3)])
def test_a_cell_anywhere_in_and_around_an_image_counts_for_its_area_whatever_its_size(height, width):
    """Summed over all places each stands for as many cells as there are places in the image."""
    shape = (50, 60)
    tops, lefts = np.mgrid[-height : shape[0] + 1, -width : shape[1] + 1].reshape(2, -1)
    boxes = np.stack([tops, lefts, tops + height, lefts + width], axis=1)
    # What is cut is found in part, or not at all.
    in_part = np.clip(boxes, 0, [*shape, *shape])
    for found in (boxes, in_part):
        assert stand_for(found, shape).sum() == pytest.approx(shape[0] * shape[1])


def test_a_cell_that_hardly_fits_stands_for_four_at_most():
    assert stand_for([(20, 20, 75, 75)], (100, 100)).tolist() == [4.0]
    assert stand_for([(2, 2, 96, 100), (0.5, 2, 4, 4), (40, 40, 60, 96)], (100, 100)).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "call",
    [
        lambda: diameter_um([-1]),
        lambda: diameter_um([float("nan")]),
        lambda: counted_in([(0, 0, 1, 1)], (0, 0, 0, 5)),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(ValueError):
        call()
