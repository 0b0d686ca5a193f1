"""How large cells are where nobody tells: by looks at drawn maps, as a net would see discs of one size."""

from __future__ import annotations

import numpy as np
import pytest

from streamcount.detection.postprocess import Cells, Maps, QuantisedMap
from streamcount.detection.scale import Look, ScaleRules, first_look

NET_PX, FRAME_PX = 32.0, 512
RULES = ScaleRules(NET_PX, 18.0, 0, np.ones(1, np.float32), np.full(1, 0.3, np.float32))


def cells_of(centres: np.ndarray, diameter_px: float) -> Cells:
    number = len(centres)
    boxes = np.hstack([centres - diameter_px / 2, centres + diameter_px / 2]).astype(np.float32)
    return Cells(
        boxes,
        np.zeros(number, np.int64),
        np.full(number, 0.9, np.float32),
        np.full((number, 1), 0.9, np.float32),
        centres.astype(np.float32),
    )


class Specimen:
    """Discs of one diameter. The net finds them where they are of half to double its size; where they are larger it
    finds specks of about its own size between them."""

    def __init__(self, diameter_px: float, specks: int = 0) -> None:
        self.diameter_px, self.specks, self.scales = diameter_px, specks, list[float]()
        y, x = np.mgrid[1:5, 1:5]
        self.centres = np.stack([y.ravel(), x.ravel()], axis=1) * FRAME_PX / 5

    def look(self, scale: float) -> Look:
        self.scales.append(scale)
        seen, side = self.diameter_px * scale, round(FRAME_PX * scale)
        centres, found = self.centres * scale, seen
        if not 0.5 <= seen / NET_PX <= 2:
            found = NET_PX
            centres = centres[: self.specks] + (seen if seen > NET_PX else 0)
        cells = -(-side // 4)
        rows, columns = (np.mgrid[:cells, :cells] + 0.5) * 4
        away = np.min([np.hypot(rows - y, columns - x) for y, x in self.centres * scale], axis=0)
        foreground = (away < seen / 2).astype(np.float32)[..., None]
        nothing = QuantisedMap(np.zeros((cells, cells, 2), np.float32))
        maps = Maps(nothing, nothing, nothing, QuantisedMap(foreground))
        return Look(cells_of(centres, found), maps, (scale, scale), (side, side))


@pytest.mark.parametrize("diameter_px", [12.0, 18.0, 40.0, 90.0])
def test_a_diameter_is_found(diameter_px: float) -> None:
    specimen = Specimen(diameter_px)
    _, found = first_look(specimen.look, FRAME_PX, RULES)
    assert found == pytest.approx(diameter_px, rel=0.01)


def test_the_usual_scale_is_looked_at_first_and_is_enough() -> None:
    specimen = Specimen(20.0)
    first_look(specimen.look, FRAME_PX, RULES)
    assert specimen.scales == [pytest.approx(NET_PX / 18.0)]


def test_specks_between_large_cells_are_not_what_is_measured() -> None:
    specimen = Specimen(90.0, specks=6)
    _, found = first_look(specimen.look, FRAME_PX, RULES)
    assert found == pytest.approx(90.0, rel=0.01)
    assert len(specimen.scales) > 1


def test_where_nothing_is_found_the_usual_look_is_given_and_no_diameter() -> None:
    seen, found = first_look(empty_look, FRAME_PX, RULES)
    assert found is None
    assert seen.scale == pytest.approx(NET_PX / 18.0, rel=0.01)


def empty_look(scale: float) -> Look:
    cells = -(-round(FRAME_PX * scale) // 4)
    one, two = (QuantisedMap(np.zeros((cells, cells, n), np.float32)) for n in (1, 2))
    side = round(FRAME_PX * scale)
    return Look(cells_of(np.empty((0, 2)), NET_PX), Maps(one, two, two, one), (scale, scale), (side, side))
