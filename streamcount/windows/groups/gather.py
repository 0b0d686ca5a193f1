"""The fold over the windows of a group's cameras: what is gathered, when it is told, and what came too late.

Nothing is known here of partitions or clocks: time is that of acquisition, as the cameras' windows tell it.
"""

from __future__ import annotations

import msgspec

from streamcount.types import WindowClosed
from streamcount.types.figures import DERIVED
from streamcount.windows.groups.config import Group
from streamcount.windows.groups.state import Gathering, GroupState, Reached, Source, Untold
from streamcount.windows.groups.total import group_window

# By name of a window, so many that were told are known one by one; before them all count as told.
KEPT_TOLD = 512
KEPT_RUNS = 8
NOWHERE = Reached(-1, -1)


def gather(
    state: GroupState, closed: WindowClosed, group: Group
) -> tuple[GroupState, tuple[WindowClosed, ...]]:
    """The state after a window, and the group's windows that are final by it, each told once.

    One is final when all cameras have told up to its end; or when one of them has told up to `wait_ns` after it, and
    then without those that are silent. Only what they told since the window's first part came says how far they are:
    before, they may have been in another time, of an older film or a wrong clock. What comes later is counted in
    none, and the next window of that name tells of it.
    Windows that are not final, of other cameras or of groups, and repeats change nothing.
    """
    if not closed.final or closed.members or closed.camera_id not in group.cameras:
        return state, ()
    source = _after(state.sources.get(closed.camera_id, Source()), closed)
    if source is None:
        return state, ()
    name, camera = closed.window, closed.camera_id
    # A run that ended in a window has not told up to its end.
    here = Reached(min(closed.window_end_ns, closed.decided_at_ns), state.taken + 1)
    reached = {**state.reached.get(name, {}), camera: here}
    state = msgspec.structs.replace(
        state,
        sources={**state.sources, camera: source},
        taken=here.taken,
        reached={**state.reached, name: reached},
    )
    state = _with_late(state, closed) if _is_told(state, closed) else _with_part(state, closed)
    return _told(state, name, group)


def _after(source: Source, closed: WindowClosed) -> Source | None:
    """How far the camera is with this window; None where it was there before: a killed worker tells again."""
    name = closed.event_id
    if closed.run_id != source.run_id:
        if closed.run_id in source.past_runs:
            return None
        past = (*source.past_runs, source.run_id)[-KEPT_RUNS:] if source.run_id else source.past_runs
        return Source(closed.run_id, closed.sequence, (name,), past)
    if closed.sequence < source.sequence or name in source.told:
        return None
    told = (*source.told, name) if closed.sequence == source.sequence else (name,)
    return Source(closed.run_id, closed.sequence, told, source.past_runs)


def _is_told(state: GroupState, closed: WindowClosed) -> bool:
    span = (closed.window_start_ns, closed.window_end_ns)
    return span in state.told.get(closed.window, ()) or span[1] <= state.told_to_ns.get(closed.window, 0)


def _with_late(state: GroupState, closed: WindowClosed) -> GroupState:
    before = state.untold.get(closed.window, Untold())
    cameras = tuple(sorted({*before.cameras, closed.camera_id}))
    untold = Untold(before.frames + closed.frames, cameras)
    return msgspec.structs.replace(state, untold={**state.untold, closed.window: untold})


def _with_part(state: GroupState, closed: WindowClosed) -> GroupState:
    adding = tuple(
        msgspec.structs.replace(one, low=None, high=None) for one in closed.figures if one.name not in DERIVED
    )
    part = msgspec.structs.replace(closed, figures=adding)
    span = (closed.window, closed.window_start_ns, closed.window_end_ns)
    others = [one for one in state.gathering if (one.window, one.start_ns, one.end_ns) != span]
    found = [one for one in state.gathering if (one.window, one.start_ns, one.end_ns) == span]
    before = found[0] if found else Gathering(*span, since=state.taken)
    grown = msgspec.structs.replace(before, parts=(*before.parts, part))
    gathering = sorted((*others, grown), key=_order)
    return msgspec.structs.replace(state, gathering=tuple(gathering))


def _order(one: Gathering) -> tuple[int, str]:
    return one.end_ns, one.window


def _told(state: GroupState, name: str, group: Group) -> tuple[GroupState, tuple[WindowClosed, ...]]:
    """Tells what is final of the windows of this name."""
    reached = [state.reached.get(name, {}).get(camera, NOWHERE) for camera in group.cameras]
    events: list[WindowClosed] = []
    kept: list[Gathering] = []
    for one in state.gathering:
        since_ns = [each.at_ns if each.taken >= one.since else NOWHERE.at_ns for each in reached]
        slowest_ns, farthest_ns = min(since_ns), max(since_ns)
        waits = slowest_ns < one.end_ns
        if one.window != name or (waits and farthest_ns < one.end_ns + group.wait_ns):
            kept.append(one)
            continue
        state, final = _final(state, one, group, waited=waits)
        events += final
    return msgspec.structs.replace(state, gathering=tuple(kept)), tuple(events)


def relieve(state: GroupState, group: Group) -> tuple[GroupState, tuple[WindowClosed, ...]]:
    """Tells the older half of what is gathered as it stands, where no more can be kept."""
    number = (len(state.gathering) + 1) // 2
    oldest, kept = state.gathering[:number], state.gathering[number:]
    events: list[WindowClosed] = []
    for one in oldest:
        state, final = _final(state, one, group)
        events += final
    return msgspec.structs.replace(state, gathering=kept), tuple(events)


def _final(
    state: GroupState, one: Gathering, group: Group, *, waited: bool = False
) -> tuple[GroupState, list[WindowClosed]]:
    """The group's window of what was gathered; none where no camera of it is in the group any more."""
    parts = tuple(part for part in one.parts if part.camera_id in group.cameras)
    if not parts:
        return state, []
    gathered = msgspec.structs.replace(one, parts=parts)
    closed = group_window(group, gathered, state.untold.get(one.window, Untold()), waited=waited)
    return _with_told(state, one), [closed]


def _with_told(state: GroupState, one: Gathering) -> GroupState:
    told = sorted((*state.told.get(one.window, ()), (one.start_ns, one.end_ns)))
    told_to_ns = state.told_to_ns
    if len(told) > KEPT_TOLD:
        told_to_ns = {**told_to_ns, one.window: max(told_to_ns.get(one.window, 0), told[0][1])}
    return msgspec.structs.replace(
        state,
        told={**state.told, one.window: tuple(told[-KEPT_TOLD:])},
        told_to_ns=told_to_ns,
        untold={name: news for name, news in state.untold.items() if name != one.window},
    )
