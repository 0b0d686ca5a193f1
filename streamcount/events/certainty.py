"""How certain the model is of a cell: by the probability of its class, and by how strange the cell is to it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamcount.events.config import EventsConfig
from streamcount.types import Detections, Float32Array, Int64Array

# The distances of the strangest usual cells fall off with this power: at twice the limit there are a 64th as many.
FALL = 6
# Where half of a frame's cells are beyond this novelty, its pictures are not those that the model was made for. Usual
# cells have a median of a third.
ODD_MEDIAN = 0.5
# So many usual cells are thought to be in each frame besides, so that a strange one alone is not its own measure.
THOUGHT_OF = 10
# Where strangeness takes less than this of the certainty, the probability is to blame.
SLIGHT = 0.1


def certainties(
    detections: Detections,
    found: Int64Array,
    class_ids: NDArray[np.integer],
    clear: NDArray[np.bool_],
    config: EventsConfig,
) -> Float32Array:
    """(n,) float32, p / (1 + (novelty / limit)^6) of cells by their rows in the detections (n,) and classes (n,).

    p is the probability of the class. At the limit there is one usual cell in 1,000; were there as many others, of
    which the model knows nothing, the cell would be as likely one of them (Bayes). clear: (n,) which lie apart from
    other cells; of the rest p is told, since what the model sees of one is of its neighbour too.
    """
    chances: Float32Array = detections.class_probabilities[found, class_ids]
    if detections.novelties is None or not config.unsure_novelty:
        return chances
    limit = _limit(detections.novelties, config)
    known = _known(detections.novelties[found], limit)
    return np.asarray(np.where(clear, chances * known, chances), np.float32)


def why_unsure(
    detections: Detections, found: int, class_id: int, certainty: float, config: EventsConfig
) -> str:
    """In words, why the mean certainty of a cell is so low, by its row in the detections."""
    name = detections.model.class_names[class_id]
    if detections.novelties is not None and config.unsure_novelty:
        novelty = detections.novelties[found : found + 1]
        if float(_known(novelty, _limit(detections.novelties, config))[0]) < 1 - SLIGHT:
            return (
                f"the mean certainty of class {name} is {certainty:.2f} over its last sightings: its probability is "
                f"{detections.class_probabilities[found, class_id]:.2f}, and what the model sees of it is "
                f"{float(novelty[0]):.2f} times as far from its usual cells as all but one in 1,000 of them"
            )
    return f"the mean probability of class {name} is {certainty:.2f} over its last sightings"


def _known(novelties: Float32Array, limit: float) -> Float32Array:
    """(n,) probability that a cell so strange is one of those that the model knows; 1 where nothing is known."""
    # A power of squares: several times as quick as one of twice that.
    return np.asarray(
        1 / (1 + np.nan_to_num((novelties / np.float32(limit)) ** 2) ** (FALL // 2)), np.float32
    )


def _limit(novelties: Float32Array, config: EventsConfig) -> float:
    """The novelty at which half of the certainty is left: higher where the frame's own cells are strange."""
    known = np.sort(novelties[~np.isnan(novelties)])
    place = (len(known) + THOUGHT_OF) // 2 - THOUGHT_OF
    middle = float(known[place]) if place >= 0 else 0.0
    return config.unsure_novelty * max(1.0, middle / ODD_MEDIAN)
