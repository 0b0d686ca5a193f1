"""Which windows of one name were told, remembered in runs of equal steps, so that each is told once in any order."""

from __future__ import annotations

from itertools import pairwise

import msgspec

# Of each name. Regular windows take one run for each stretch of time without a hole.
KEPT_RUNS = 256
# Of a run in which every beginning counts as told.
ANY_STEP_NS = 1


class Told(msgspec.Struct, frozen=True):
    """Windows of one length that were told: those that begin at first_ns, first_ns + step_ns, ... up to last_ns.

    step_ns: 0 of a single one.
    """

    length_ns: int
    first_ns: int
    last_ns: int
    step_ns: int = 0


def is_told(told: tuple[Told, ...], start_ns: int, end_ns: int) -> bool:
    """Whether the window was told."""
    return any(
        one.length_ns == end_ns - start_ns
        and one.first_ns <= start_ns <= one.last_ns
        and (start_ns - one.first_ns) % (one.step_ns or ANY_STEP_NS) == 0
        for one in told
    )


def with_told(told: tuple[Told, ...], start_ns: int, end_ns: int) -> tuple[Told, ...]:
    """These and one more, sorted by length and beginning.

    Where they are too many, as of frames that are further apart than windows, the narrowest gap between two is
    closed: a window that begins in it and was never told counts as told from then on.
    """
    if is_told(told, start_ns, end_ns):
        return told
    new = Told(end_ns - start_ns, start_ns, start_ns)
    others = list(told)
    # The new one may close the gap between two; it joins a run rather than a lone one.
    for _ in range(2):
        joined = [
            (one.step_ns == 0, abs(one.first_ns - start_ns), one) for one in others if _together(one, new)
        ]
        if not joined:
            break
        nearest = min(joined, key=lambda each: each[:2])[2]
        others.remove(nearest)
        new = _joined(nearest, new)
    runs = sorted((*others, new), key=lambda one: (one.length_ns, one.first_ns))
    return tuple(runs if len(runs) <= KEPT_RUNS else _fewer(runs))


def _together(one: Told, other: Told) -> bool:
    """Whether both are one run of equal steps. Lone ones are where they touch or overlap."""
    before, after = sorted((one, other), key=lambda each: each.first_ns)
    steps = {one.step_ns, other.step_ns} - {0}
    gap_ns = after.first_ns - before.last_ns
    return one.length_ns == other.length_ns and 0 < gap_ns <= one.length_ns and steps <= {gap_ns}


def _joined(one: Told, other: Told) -> Told:
    before, after = sorted((one, other), key=lambda each: each.first_ns)
    return Told(one.length_ns, before.first_ns, after.last_ns, after.first_ns - before.last_ns)


def _fewer(runs: list[Told]) -> list[Told]:
    gaps = [
        (after.first_ns - before.last_ns, number)
        for number, (before, after) in enumerate(pairwise(runs))
        if before.length_ns == after.length_ns
    ]
    if not gaps:
        return runs[1:]
    _, number = min(gaps)
    before, after = runs[number : number + 2]
    last_ns = max(before.last_ns, after.last_ns)
    return [
        *runs[:number],
        Told(before.length_ns, before.first_ns, last_ns, ANY_STEP_NS),
        *runs[number + 2 :],
    ]
