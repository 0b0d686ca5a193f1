"""What decides the weights of a dense net, beside the data: one recipe, kept in the model's `model.toml`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from streamcount.detection.prepare import Normalisation

OWN_BACKBONE = "streamcount"


@dataclass(frozen=True)
class Recipe:
    """A training.

    instances: learn masks (label images) and not only boxes. channels: 3 for colour, 1 for grey. normalise: as in
    the bundle's [input]. diameter_px: the reference cell at the net's scale. width: the net's channels.
    backbone: the project's own, or the name of one of Keras Applications'. parent: the bundle whose backbone is kept,
    its sha256 with it. frozen_share: of the epochs, in which only the new last layers learn.
    """

    epochs: int = 30
    seed: int = 1
    width: int = 16
    diameter_px: float = 44.0
    canvas_px: int = 224
    batch: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    ema_decay: float = 0.998
    instances: bool = False
    channels: int = 3
    normalise: Normalisation = "none"
    backbone: str = OWN_BACKBONE
    parent: str = ""
    frozen_share: float = 0.0

    def described(self) -> dict[str, Any]:
        """Plain values by name."""
        return asdict(self)


def multiple_px(recipe: Recipe) -> int:
    """What the sides of the net's input must be a multiple of: its coarsest features are that many times coarser."""
    return 16 if recipe.backbone == OWN_BACKBONE else 32
