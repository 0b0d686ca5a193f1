"""Pictures at half their size."""

from __future__ import annotations

import numpy as np
import pytest

from streamcount.types.halves import halved


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(4, 6), (5, 7), (4, 6, 3), (5, 7, 3)])
def test_each_pixel_is_the_mean_of_four(shape: tuple[int, ...], dtype: type) -> None:
    image = np.random.default_rng(1).integers(0, np.iinfo(dtype).max, shape).astype(dtype)
    half = halved(image)
    assert (half.shape, half.dtype) == ((2, 3, *shape[2:]), dtype)
    four = image[:4, :6].astype(np.float64).reshape(2, 2, 3, 2, *shape[2:]).mean(axis=(1, 3))
    np.testing.assert_allclose(half, four, atol=0.5)


def test_a_single_row_has_no_half() -> None:
    with pytest.raises(ValueError, match="no half"):
        halved(np.zeros((1, 6), np.uint8))
