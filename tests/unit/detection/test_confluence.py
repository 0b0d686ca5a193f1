"""The phase-contrast model's confluence on images that it was not trained on, beside hand-drawn masks."""

from __future__ import annotations

import numpy as np
import pytest

from bench import confluence


def test_halos_are_no_cell_and_dark_insides_are():
    grey = np.full((60, 60), 100, np.uint8)
    grey[20:40, 20:40] = 70
    grey[17:20, 17:43] = 130
    cells, with_halo, hollow = (np.zeros((60, 60), np.bool_) for _ in range(3))
    cells[20:40, 20:40] = True
    with_halo[17:40, 17:43] = True
    hollow[20:40, 20:40] = True
    hollow[25:35, 25:35] = False
    assert confluence.cover(grey, cells, cells) == (1 / 9, 1 / 9, 0, 0, 1)
    assert confluence.cover(grey, cells, with_halo)[2:4] == (1, 0)
    assert confluence.cover(grey, cells, hollow)[2:] == (0, 0.25, 0.75)


@pytest.mark.skipif(not confluence.DATA.is_dir(), reason=f"needs the images of Usiigaci in {confluence.DATA}")
def test_confluence_is_near_that_of_masks():
    found = confluence.covers("phase-contrast")
    assert len(found) == len(confluence.HELD_OUT)
    off = np.array([each.found - each.true for each in found])
    assert np.abs(off).max() < 0.015
    assert np.mean([each.halo for each in found]) < 0.25
    assert np.mean([each.missed for each in found]) < 0.12
