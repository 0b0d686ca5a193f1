"""What is full white in a picture whose camera does not tell how many bits it has."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Of cameras of 10, 12, 14 and 16 bits, whose numbers come in 16.
WHITES = (1023, 4095, 16383, 65535)


def full_white(image: NDArray[np.uint8 | np.uint16]) -> int:
    """255 of an 8-bit image; of a 16-bit one the least of `WHITES` that no pixel exceeds."""
    if image.dtype == np.uint8:
        return 255
    brightest = int(image.max())
    return next(white for white in WHITES if brightest <= white)
