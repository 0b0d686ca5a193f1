"""Which divisions, births and ends were found, when up to some frames of difference are forgiven.

A division found earlier or later than it was counts, as in traccuracy and in BC(i) of the Cell Tracking Challenge,
where the mothers are the same cell in the last frame of the one that divides first, and each daughter is the same
cell as another one's in the first frame in which both are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from streamcount.scoring.film import Film
from streamcount.scoring.lives import Life, Lives, lives_of

# How far apart two happenings are, in frames, or None where they are not the same.
Apart = Callable[[int, int], int | None]


@dataclass(frozen=True)
class Found:
    """Happenings of one kind. buffer: frames forgiven. true, found: how many there are and how many the results
    have. matched: how many are in both. missed, false: frame and label of those in the truth only, in the results
    only."""

    buffer: int
    true: int
    found: int
    matched: int
    missed: tuple[tuple[int, int], ...]
    false: tuple[tuple[int, int], ...]

    @property
    def precision(self) -> float | None:
        """Share of the found ones that are true; None where none was found."""
        return self.matched / self.found if self.found else None

    @property
    def recall(self) -> float | None:
        """Share of the true ones that were found; None where there are none."""
        return self.matched / self.true if self.true else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of both; None where there are neither true nor found ones."""
        return 2 * self.matched / (self.true + self.found) if self.true + self.found else None


@dataclass(frozen=True)
class Happenings:
    """By kind, one `Found` for each buffer from 0 on."""

    divisions: list[Found]
    births: list[Found]
    ends: list[Found]


def find_happenings(film: Film, buffer: int) -> Happenings:
    """Divisions, births and ends, with 0 to `buffer` frames forgiven."""
    sides = _Sides(film)
    last = len(film.matches) - 1
    truth, found = sides.truth, sides.found
    return Happenings(
        _count(sides, (truth.divisions(), found.divisions()), sides.division_apart, buffer, _end),
        _count(sides, (truth.births(), found.births()), sides.birth_apart, buffer, _begin),
        _count(sides, (truth.ends(last), found.ends(last)), sides.end_apart, buffer, _end),
    )


class _Sides:
    """Lives of both sides, and when they are the same cell. Numbers of lives are given true one first."""

    def __init__(self, film: Film) -> None:
        self.first_frame = film.first_frame
        self.truth, self.found = lives_of(film.truth), lives_of(film.found)
        self._same = [
            {
                self.truth.by_label[true]: self.found.by_label[found]
                for true, found in match.one_to_one().items()
            }
            for match in film.matches
        ]

    def same(self, true: int, found: int, frame: int) -> bool:
        """Whether both are the same cell in the frame."""
        return self._same[frame].get(true) == found

    def birth_apart(self, true: int, found: int) -> int | None:
        begins = (self.truth.lives[true].begin, self.found.lives[found].begin)
        return abs(begins[0] - begins[1]) if self.same(true, found, max(begins)) else None

    def end_apart(self, true: int, found: int) -> int | None:
        ends = (self.truth.lives[true].end, self.found.lives[found].end)
        return abs(ends[0] - ends[1]) if self.same(true, found, min(ends)) else None

    def division_apart(self, true: int, found: int) -> int | None:
        """The most by which the mothers' ends and the daughters' beginnings differ."""
        apart = self.end_apart(true, found)
        daughters = self.truth.lives[true].daughters
        others = list(self.found.lives[found].daughters)
        if apart is None or len(daughters) != len(others):
            return None
        for daughter in daughters:
            fitting = [
                (late, other) for other in others if (late := self.birth_apart(daughter, other)) is not None
            ]
            if not fitting:
                return None
            late, other = min(fitting)
            others.remove(other)
            apart = max(apart, late)
        return apart


def _count(
    sides: _Sides, both: tuple[list[int], list[int]], apart: Apart, buffer: int, when: Callable[[Life], int]
) -> list[Found]:
    """Pair the happenings, the closest in time first, so that a larger buffer unmakes no pair of a smaller one."""
    pairs = _pairs(sides, both, apart, buffer, when)
    counted = []
    for forgiven in range(buffer + 1):
        taken = [(true, found) for late, true, found in pairs if late <= forgiven]
        missed = set(both[0]) - {true for true, _ in taken}
        false = set(both[1]) - {found for _, found in taken}
        counted.append(
            Found(
                forgiven, len(both[0]), len(both[1]), len(taken),
                _places(sides, sides.truth, missed, when), _places(sides, sides.found, false, when),
            )
        )  # fmt: skip
    return counted


def _pairs(
    sides: _Sides, both: tuple[list[int], list[int]], apart: Apart, buffer: int, when: Callable[[Life], int]
) -> list[tuple[int, int, int]]:
    """Frames apart, true and found: each happening in one pair at most."""
    at: dict[int, list[int]] = {}
    for found in both[1]:
        at.setdefault(when(sides.found.lives[found]), []).append(found)
    candidates = []
    for true in both[0]:
        frame = when(sides.truth.lives[true])
        for other in range(frame - buffer, frame + buffer + 1):
            for found in at.get(other, []):
                late = apart(true, found)
                if late is not None and late <= buffer:
                    candidates.append((late, true, found))
    taken: tuple[set[int], set[int]] = (set(), set())
    pairs = []
    for late, true, found in sorted(candidates):
        if true not in taken[0] and found not in taken[1]:
            taken[0].add(true)
            taken[1].add(found)
            pairs.append((late, true, found))
    return pairs


def _places(
    sides: _Sides, lives: Lives, numbers: Iterable[int], when: Callable[[Life], int]
) -> tuple[tuple[int, int], ...]:
    chosen = [lives.lives[number] for number in numbers]
    return tuple(sorted((sides.first_frame + when(life), life.label) for life in chosen))


def _begin(life: Life) -> int:
    return life.begin


def _end(life: Life) -> int:
    return life.end
