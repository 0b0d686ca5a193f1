"""A scored trial: all that is told of results against truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from streamcount.scoring.film import Side, read_film
from streamcount.scoring.folders import find_results, find_truth
from streamcount.scoring.happenings import Happenings, find_happenings
from streamcount.scoring.measures import measure, require_extra


@dataclass(frozen=True)
class Score:
    """Results against truth. tracks, cells: true and found, lines of the tables and cells of all frames.
    measures: see `measures.measure`."""

    frames: int
    tracks: tuple[int, int]
    cells: tuple[int, int]
    measures: Mapping[str, float | None]
    happenings: Happenings


def score(
    truth: Path,
    results: Path,
    buffer: int = 2,
    begin: Callable[[int], None] = lambda frames: None,
    tick: Callable[[], None] = lambda: None,
) -> Score:
    """Score the results in a folder against the truth in another; 0 to `buffer` frames are forgiven.

    `begin` is told the number of frames, `tick` is called when one is read. Raises SourceError where one of the
    folders cannot be read or they do not belong together, ConfigurationError without the ``score`` extra.
    """
    require_extra()
    folders = find_truth(truth), find_results(results)
    begin(len(folders[0].masks))
    film = read_film(*folders, tick)
    cells = (
        sum(len(match.true_labels) for match in film.matches),
        sum(len(match.found_labels) for match in film.matches),
    )
    return Score(
        len(film.matches),
        (_tracks(film.truth), _tracks(film.found)),
        cells,
        measure(film, buffer),
        find_happenings(film, buffer),
    )


def _tracks(side: Side) -> int:
    return len(side.table)
