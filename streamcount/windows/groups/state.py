"""What the summing of a group remembers between two windows of its cameras."""

from __future__ import annotations

import msgspec

from streamcount.types import WindowClosed


class Source(msgspec.Struct, frozen=True):
    """How far one camera's windows were taken in; what is not beyond is a repeat.

    run_id, sequence: of its last window. told: the ids of its windows of that sequence. past_runs: those before.
    """

    run_id: str = ""
    sequence: int = -1
    told: tuple[str, ...] = ()
    past_runs: tuple[str, ...] = ()


class Gathering(msgspec.Struct, frozen=True):
    """One window of the group that is not told yet.

    parts: the windows of its cameras that are there, in the order in which they came. A camera has several where a
    run ended or settings changed in it. Their figures are those that add, without intervals. since: the number of
    the first of them in GroupState.taken.
    """

    window: str
    start_ns: int
    end_ns: int
    parts: tuple[WindowClosed, ...] = ()
    since: int = 0


class Reached(msgspec.Struct, frozen=True):
    """Up to when a camera has told, and the number in GroupState.taken of the window by which it did."""

    at_ns: int
    taken: int


class Untold(msgspec.Struct, frozen=True):
    """What came after the group's window was told: frames, and whose."""

    frames: int = 0
    cameras: tuple[str, ...] = ()


class GroupState(msgspec.Struct, frozen=True):
    """All of one group.

    sources: by camera. taken: how many windows were taken in. reached: by window's name and camera. gathering: by end
    and name. told: by window's name, the (start_ns, end_ns) of the newest that were told. told_to_ns: by window's
    name; what ends there or earlier was told. untold: by window's name.
    """

    sources: dict[str, Source] = {}
    taken: int = 0
    reached: dict[str, dict[str, Reached]] = {}
    gathering: tuple[Gathering, ...] = ()
    told: dict[str, tuple[tuple[int, int], ...]] = {}
    told_to_ns: dict[str, int] = {}
    untold: dict[str, Untold] = {}
