"""What the summing of a group remembers between two windows of its cameras."""

from __future__ import annotations

import msgspec

from streamcount.types import WindowClosed
from streamcount.windows.groups.known import Told


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
    run ended or settings changed in it. Their figures are those that add, without intervals. gone_ns: by camera,
    Reached.gone_ns of the first window that it told since the first part came, that one included.
    """

    window: str
    start_ns: int
    end_ns: int
    parts: tuple[WindowClosed, ...] = ()
    gone_ns: dict[str, int] = {}


class Reached(msgspec.Struct, frozen=True):
    """Up to when a camera has told.

    step_ns: how far its last window brought it, 0 where it went back. gone_ns: how far it went on in all; of a leap
    beyond its own rhythm no more than a window's length counts.
    """

    at_ns: int
    step_ns: int = 0
    gone_ns: int = 0


class Untold(msgspec.Struct, frozen=True):
    """What came after the group's window was told: frames, and whose."""

    frames: int = 0
    cameras: tuple[str, ...] = ()


class GroupState(msgspec.Struct, frozen=True):
    """All of one group.

    sources: by camera. reached: by window's name and camera. gathering: by end and name. told, untold: by window's
    name.
    """

    sources: dict[str, Source] = {}
    reached: dict[str, dict[str, Reached]] = {}
    gathering: tuple[Gathering, ...] = ()
    told: dict[str, tuple[Told, ...]] = {}
    untold: dict[str, Untold] = {}
