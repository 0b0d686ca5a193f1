"""What a run's lineages come to, in numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from streamcount.lineage.model import BIRTHS, FATES, Divisions, Family, Lineage, families


@dataclass(frozen=True)
class Summary:
    """births, fates: tracks by each, in the order of `model`, zeros included. deaths: by reason. generations: tracks
    by generation, from 0 on. largest: families in which a cell divided, the largest first."""

    tracks: int
    frames: int
    sightings: int
    divisions: Divisions
    births: dict[str, int]
    fates: dict[str, int]
    deaths: dict[str, int]
    generations: list[int]
    largest: list[Family]


def summarise(lineage: Lineage, most: int = 5) -> Summary:
    """Count tracks, births, fates and generations; `most` families are named."""
    tracks = lineage.tracks
    births, fates = Counter(track.birth for track in tracks), Counter(track.fate for track in tracks)
    deaths = Counter(track.reason or "unknown" for track in tracks if track.fate == "died")
    generations = Counter(track.generation for track in tracks)
    grown = [family for family in families(lineage) if family.generations > 1]
    grown.sort(key=lambda family: (-len(family), family.root.track_id))
    return Summary(
        tracks=len(tracks),
        frames=len(lineage.frames),
        sightings=len(lineage.points),
        divisions=lineage.divisions,
        births={name: births[name] for name in BIRTHS},
        fates={name: fates[name] for name in FATES},
        deaths=dict(sorted(deaths.items())),
        generations=[generations[number] for number in range(max(generations, default=-1) + 1)],
        largest=grown[:most],
    )
