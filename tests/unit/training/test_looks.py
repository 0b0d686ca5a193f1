"""A net whose looks are remembered."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamcount.detection.bundle import load_bundle
from streamcount.detection.net import ThreadedNet
from streamcount.detection.postprocess import Maps
from streamcount.training.looks import RememberedNet


class CountedNet:
    """The nuclei's net, and how often it was run."""

    def __init__(self) -> None:
        bundle = load_bundle("nuclei")
        self._net = ThreadedNet(bundle.read_model("int8"), bundle.form("int8").outputs)
        self.passes = 0

    def infer(self, batch: NDArray[np.uint8]) -> Maps:
        self.passes += 1
        return self._net.infer(batch)


def pictures() -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 255, (1, height, 64, 1), np.uint8) for height in (32, 32, 64)]


def same(one: Maps, other: Maps) -> bool:
    return all(
        np.array_equal(getattr(one, name).raw, getattr(other, name).raw)
        for name in ("centre", "log_size", "offset", "foreground")
    )


def test_each_picture_is_looked_at_once() -> None:
    net = CountedNet()
    remembered = RememberedNet(net)
    first = [remembered.infer(picture) for picture in pictures()]
    again = [remembered.infer(picture) for picture in pictures()]
    assert net.passes == 3
    plain = [net.infer(picture) for picture in pictures()]
    assert all(same(*three) for three in zip(first, plain, strict=True))
    assert all(same(*three) for three in zip(again, plain, strict=True))
    assert not same(first[0], first[1])


def test_what_does_not_fit_is_looked_at_anew() -> None:
    net = CountedNet()
    # Of a picture of 32 x 64 px there are 8 x 16 map cells of six numbers.
    remembered = RememberedNet(net, most_bytes=8 * 16 * 6)
    for _ in range(2):
        maps = [remembered.infer(picture) for picture in pictures()]
    assert net.passes == 5
    assert same(maps[2], net.infer(pictures()[2]))
