"""The fold over the windows of a group's cameras: what is gathered, when it is told, and what came too late.

Nothing is known here of partitions or clocks: time is that of acquisition, as the cameras' windows tell it.
"""

from __future__ import annotations

import msgspec

from streamcount.types import WindowClosed
from streamcount.types.figures import DERIVED
from streamcount.windows.groups.config import Group
from streamcount.windows.groups.known import is_told, with_told
from streamcount.windows.groups.state import Gathering, GroupState, Reached, Source, Untold
from streamcount.windows.groups.total import group_window

KEPT_RUNS = 8


def gather(
    state: GroupState, closed: WindowClosed, group: Group
) -> tuple[GroupState, tuple[WindowClosed, ...]]:
    """The state after a window, and the group's windows that are final by it, each told once.

    One is final when all cameras have told up to its end; or when one of them has told up to `wait_ns` after it and
    has gone on for as long since the window's first part came, and then without those that are silent. What they told
    before that part says nothing of how far they are: they may have been in another time, of an older film or a wrong
    clock. That one has gone on says that time has passed even where its clock is wrong, so a leap of it counts for
    one window only. What comes later is counted in none, and the next window of that name tells of it.
    Windows that are not final, of other cameras or of groups, and repeats change nothing.
    """
    if not closed.final or closed.members or closed.camera_id not in group.cameras:
        return state, ()
    source = _after(state.sources.get(closed.camera_id, Source()), closed)
    if source is None:
        return state, ()
    name, camera = closed.window, closed.camera_id
    reached = state.reached.get(name, {})
    reached = {**reached, camera: _gone_on(reached.get(camera), closed)}
    state = msgspec.structs.replace(
        state, sources={**state.sources, camera: source}, reached={**state.reached, name: reached}
    )
    told_before = is_told(state.told.get(name, ()), closed.window_start_ns, closed.window_end_ns)
    state = _with_late(state, closed) if told_before else _with_part(state, closed)
    return _told(_since_then(state, name, camera), name, group)


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


def _gone_on(before: Reached | None, closed: WindowClosed) -> Reached:
    """How far the camera is with this window."""
    # A run that ended in a window has not told up to its end.
    at_ns = min(closed.window_end_ns, closed.decided_at_ns)
    if before is None:
        return Reached(at_ns)
    step_ns = max(0, at_ns - before.at_ns)
    # Of frames that are further apart than windows, equal steps are no leaps.
    most_ns = max(closed.window_end_ns - closed.window_start_ns, before.step_ns)
    return Reached(at_ns, step_ns, before.gone_ns + min(step_ns, most_ns))


def _since_then(state: GroupState, name: str, camera: str) -> GroupState:
    """Notes from where on the camera goes on beside the windows of this name that wait."""
    gone_ns = state.reached[name][camera].gone_ns
    gathering = tuple(
        msgspec.structs.replace(one, gone_ns={**one.gone_ns, camera: gone_ns})
        if one.window == name and camera not in one.gone_ns
        else one
        for one in state.gathering
    )
    return msgspec.structs.replace(state, gathering=gathering)


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
    before = found[0] if found else Gathering(*span)
    grown = msgspec.structs.replace(before, parts=(*before.parts, part))
    gathering = sorted((*others, grown), key=_order)
    return msgspec.structs.replace(state, gathering=tuple(gathering))


def _order(one: Gathering) -> tuple[int, str]:
    return one.end_ns, one.window


def _told(state: GroupState, name: str, group: Group) -> tuple[GroupState, tuple[WindowClosed, ...]]:
    """Tells what is final of the windows of this name."""
    reached = state.reached.get(name, {})
    events: list[WindowClosed] = []
    kept: list[Gathering] = []
    for one in state.gathering:
        since = {
            camera: reached[camera] for camera in group.cameras if camera in one.gone_ns and camera in reached
        }
        past = [camera for camera, here in since.items() if here.at_ns >= one.end_ns]
        waits = len(past) < len(group.cameras)
        if one.window != name or (waits and not any(_waited(one, since[each], each, group) for each in past)):
            kept.append(one)
            continue
        state, final = _final(state, one, group, waited=waits)
        events += final
    return msgspec.structs.replace(state, gathering=tuple(kept)), tuple(events)


def _waited(one: Gathering, here: Reached, camera: str, group: Group) -> bool:
    """Whether this camera says that the window has waited for long enough."""
    gone_ns = here.gone_ns - one.gone_ns[camera]
    return here.at_ns >= one.end_ns + group.wait_ns and gone_ns >= group.wait_ns


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
    told = with_told(state.told.get(one.window, ()), one.start_ns, one.end_ns)
    return msgspec.structs.replace(
        state,
        told={**state.told, one.window: told},
        untold={name: news for name, news in state.untold.items() if name != one.window},
    )
