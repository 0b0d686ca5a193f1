"""The fold of windows: each frame is added where it lies in time, and what is over is told once.

A window is final when a frame has come that was acquired `grace_s` after its end, and `grace_frames` frames came
after it: what the events say of a frame is known some frames later. The watermark is the latest time of acquisition,
so a camera whose clock steps back closes nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from streamcount.statistics import observe as observe_growth
from streamcount.types import FramesMissing, WindowClosed
from streamcount.windows.config import NS_PER_S, WindowConfig, WindowsSetup
from streamcount.windows.happened import with_events
from streamcount.windows.seen import Seen
from streamcount.windows.sightings import aligned, sighted
from streamcount.windows.state import Late, Layout, Loss, OpenWindow, WindowsState, no_windows, opened
from streamcount.windows.sums import FrameSums, sums_of, with_frame
from streamcount.windows.told import told

# A loss that spans more windows is told in the first and the last of them; FramesMissing tells all of it.
MOST_LOST_IN = 64


def observe(
    state: WindowsState, seen: Seen, setup: WindowsSetup
) -> tuple[WindowsState, tuple[WindowClosed, ...]]:
    """The state after one more frame, and the windows that it closed, or that are told as they stand.

    A change of model, zones, lines or the windows' own settings closes what is open ("settings-changed").
    """
    if not setup.windows:
        return state, ()
    meta = seen.detections.metadata
    now_ns, whose = meta.acquired_at_ns, (meta.camera_id, meta.run_id)
    state, closed = _under_these_settings(state, _layout(seen), setup, now_ns, whose)
    growth = state.growth if seen.flagged else observe_growth(state.growth, now_ns, len(seen.detections))
    state = msgspec.structs.replace(
        _later(state, now_ns, meta.sequence),
        windows=_one_frame_older(state.windows, now_ns),
        growth=growth,
    )
    state = _opened_at(aligned(state, seen.tracks), setup, now_ns)
    sums = sums_of(seen.detections, seen.surroundings, _layout(seen), setup.edges, flagged=seen.flagged)
    state = msgspec.structs.replace(state, windows=_with_this_frame(state, seen, sums, now_ns))
    state = with_events(state, seen, setup)
    losses = [_loss(event) for event in seen.events if isinstance(event, FramesMissing)]
    for loss in losses if state.lost_first is None else [state.lost_first, *losses]:
        state = _with_loss(state, loss, setup)
    state, told_now = _told_at(msgspec.structs.replace(state, lost_first=None), setup, whose)
    return state, (*closed, *told_now)


def lose(
    state: WindowsState, missing: FramesMissing, setup: WindowsSetup
) -> tuple[WindowsState, tuple[WindowClosed, ...]]:
    """The state after a declared loss, and the windows that are over by it.

    Its frames are spread evenly over the time in which they would have been acquired.
    """
    if not setup.windows:
        return state, ()
    loss, whose = _loss(missing), (missing.camera_id, missing.run_id)
    if state.layout is None:
        before = state.lost_first
        if before is not None:
            loss = Loss(before.first_ns, loss.last_ns, before.frames + loss.frames)
        return msgspec.structs.replace(state, lost_first=loss), ()
    state, closed = _under_these_settings(state, state.layout, setup, loss.last_ns, whose)
    state = _with_loss(_later(state, loss.last_ns, missing.last_sequence), loss, setup)
    state, told_now = _told_at(state, setup, whose)
    return state, (*closed, *told_now)


def end_run(
    state: WindowsState, setup: WindowsSetup, camera_id: str, run_id: str
) -> tuple[WindowsState, tuple[WindowClosed, ...]]:
    """Close what is open, since the run is over; a window that it does not fill says "run-ended"."""
    closed = _all_told(state, state.windows, setup, (camera_id, run_id), "run-ended")
    return no_windows(), tuple(closed)


def _loss(missing: FramesMissing) -> Loss:
    return Loss(missing.happened_at_ns, max(missing.decided_at_ns, missing.happened_at_ns), missing.frames)


def _later(state: WindowsState, now_ns: int, sequence: int) -> WindowsState:
    return msgspec.structs.replace(
        state, now_ns=now_ns, last_ns=max(state.last_ns, now_ns), last_sequence=sequence
    )


def _under_these_settings(
    state: WindowsState, layout: Layout, setup: WindowsSetup, now_ns: int, whose: tuple[str, str]
) -> tuple[WindowsState, list[WindowClosed]]:
    """The state as these settings go on with it, and the windows that they cannot go on with."""
    first = state.layout is None
    known = {one.name: one for one in state.late}
    late, stay = [], set()
    for name, config in setup.windows.items():
        spans_ns, old = (config.length_ns, config.every_ns), known.get(name)
        same = old is not None and old.spans_ns == spans_ns
        if old is not None and same and state.layout == layout:
            late.append(old)
            stay.add(name)
            continue
        # What had ended is told now and for good; what had not is told in two parts, neither complete.
        ended = [one.end_ns for one in state.windows if one.name == name and one.end_ns <= state.last_ns]
        final_ns = max([old.final_ns, *ended]) if old is not None and same else 0
        late.append(Late(name, spans_ns, -1 if first else now_ns, final_ns))
    gone = [one for one in state.windows if one.name not in stay]
    closed = _all_told(state, gone, setup, whose, "settings-changed")
    another = not first and state.layout != layout
    state = msgspec.structs.replace(
        state,
        layout=layout,
        began_ns=now_ns if first else state.began_ns,
        late=tuple(late),
        windows=tuple(one for one in state.windows if one.name in stay),
        track_ids=no_windows().track_ids if another else state.track_ids,
        track_classes=no_windows().track_classes if another else state.track_classes,
    )
    return state, closed


def _with_loss(state: WindowsState, loss: Loss, setup: WindowsSetup) -> WindowsState:
    for name, config in setup.windows.items():
        final_ns = _late(state, name).final_ns
        for start_ns, frames in _spread(loss, config):
            if start_ns + config.length_ns <= final_ns:
                state = _with_late_frames(state, name, frames)
                continue
            state = _open(state, name, config, start_ns)
            windows = tuple(
                msgspec.structs.replace(window, frames_missing=window.frames_missing + frames)
                if (window.name, window.start_ns) == (name, start_ns)
                else window
                for window in state.windows
            )
            state = msgspec.structs.replace(state, windows=windows)
    after = tuple(
        msgspec.structs.replace(window, frames_after=window.frames_after + loss.frames)
        if loss.first_ns >= window.end_ns
        else window
        for window in state.windows
    )
    return msgspec.structs.replace(state, windows=after)


def _layout(seen: Seen) -> Layout:
    around = seen.surroundings
    if around is None:
        return Layout(seen.detections.model)
    return Layout(seen.detections.model, ("", *around.zones), around.lines, around.drawn)


def _late(state: WindowsState, name: str) -> Late:
    return next(one for one in state.late if one.name == name)


def _with_late_frames(state: WindowsState, name: str, frames: int) -> WindowsState:
    entries = tuple(
        msgspec.structs.replace(one, frames=one.frames + frames) if one.name == name else one
        for one in state.late
    )
    return msgspec.structs.replace(state, late=entries)


def _opened_at(state: WindowsState, setup: WindowsSetup, at_ns: int) -> WindowsState:
    """With all windows in which this time lies; a frame of a time that is final already is late."""
    for name, config in setup.windows.items():
        final_ns = _late(state, name).final_ns
        starts = config.starts_over(at_ns)
        for start_ns in starts:
            if start_ns + config.length_ns > final_ns:
                state = _open(state, name, config, start_ns)
        if starts[0] + config.length_ns <= final_ns:
            state = _with_late_frames(state, name, 1)
    return state


def _open(state: WindowsState, name: str, config: WindowConfig, start_ns: int) -> WindowsState:
    if state.layout is None or any((one.name, one.start_ns) == (name, start_ns) for one in state.windows):
        return state
    cut = "run-began" if start_ns < state.began_ns else ""
    if not cut and start_ns < _late(state, name).since_ns:
        cut = "settings-changed"
    span_ns = (start_ns, start_ns + config.length_ns)
    new = opened(name, span_ns, state.layout, len(state.track_ids), cut)
    return msgspec.structs.replace(state, windows=tuple(sorted((*state.windows, new), key=_order)))


def _order(window: OpenWindow) -> tuple[int, str]:
    return window.end_ns, window.name


def _one_frame_older(windows: tuple[OpenWindow, ...], now_ns: int) -> tuple[OpenWindow, ...]:
    return tuple(
        msgspec.structs.replace(window, frames_after=window.frames_after + 1)
        if now_ns >= window.end_ns
        else window
        for window in windows
    )


def _with_this_frame(state: WindowsState, seen: Seen, sums: FrameSums, now_ns: int) -> tuple[OpenWindow, ...]:
    added = sighted(state, _layout(seen), seen)
    return tuple(
        msgspec.structs.replace(with_frame(window, sums), sightings=window.sightings + added)
        if window.start_ns <= now_ns < window.end_ns
        else window
        for window in state.windows
    )


def _spread(loss: Loss, config: WindowConfig) -> Iterator[tuple[int, int]]:
    """Beginnings of windows, and how many of the lost frames lie in each."""
    first_ns, span_ns, frames = loss.first_ns, loss.last_ns - loss.first_ns, loss.frames
    # Frames i = 1..n of n lie at first + span * i / (n + 1): between the frames that were seen.
    step_ns = span_ns / (frames + 1)
    earliest = config.starts_over(first_ns)[0]
    number = (loss.last_ns - earliest) // config.every_ns + 1
    first_ones = number if number <= MOST_LOST_IN else MOST_LOST_IN // 2
    last_ones = 0 if number <= MOST_LOST_IN else MOST_LOST_IN // 2
    for index in (*range(first_ones), *range(number - last_ones, number)):
        start_ns = earliest + index * config.every_ns
        if step_ns == 0:
            count = frames if start_ns <= first_ns < start_ns + config.length_ns else 0
        else:
            until = np.clip(np.ceil((start_ns + config.length_ns - first_ns) / step_ns) - 1, 0, frames)
            before = np.clip(np.ceil((start_ns - first_ns) / step_ns) - 1, 0, frames)
            count = int(until - before)
        if count:
            yield start_ns, count


def _told_at(
    state: WindowsState, setup: WindowsSetup, whose: tuple[str, str]
) -> tuple[WindowsState, tuple[WindowClosed, ...]]:
    """Close what is final at the watermark, and tell what is asked for before."""
    events: list[WindowClosed] = []
    kept: list[OpenWindow] = []
    late = {one.name: one for one in state.late}
    for window in state.windows:
        config, ledger = setup.windows[window.name], late[window.name]
        waited_ns = state.last_ns - window.end_ns
        # At least one frame after its end: a single time from the future must not close what is yet to come.
        if waited_ns >= config.grace_s * NS_PER_S and window.frames_after >= max(1, config.grace_frames):
            events.append(told(_with_news(window, ledger), state, setup, whose))
            late[window.name] = msgspec.structs.replace(
                ledger, events=0, frames=0, final_ns=max(ledger.final_ns, window.end_ns)
            )
            continue
        kept.append(window)
        since_ns = state.now_ns - ledger.current_ns
        due = since_ns < 0 or since_ns >= config.current_s * NS_PER_S
        if config.current_s and window.start_ns <= state.now_ns < window.end_ns and due:
            late[window.name] = msgspec.structs.replace(ledger, current_ns=state.now_ns)
            events.append(told(window, state, setup, whose, final=False))
    state = msgspec.structs.replace(state, windows=tuple(kept), late=tuple(late.values()))
    return state, tuple(events)


def _with_news(window: OpenWindow, ledger: Late) -> OpenWindow:
    return msgspec.structs.replace(
        window,
        late_events=window.late_events + ledger.events,
        late_frames=window.late_frames + ledger.frames,
    )


def _all_told(
    state: WindowsState,
    windows: Sequence[OpenWindow],
    setup: WindowsSetup,
    whose: tuple[str, str],
    reason: str,
) -> list[WindowClosed]:
    """What is open, as it stands; news that came late is told by the first of each kind."""
    events, told_of = [], set[str]()
    for window in windows:
        if window.name not in told_of:
            window = _with_news(window, _late(state, window.name))
        told_of.add(window.name)
        cut = window.end_ns > state.last_ns
        events.append(told(window, state, setup, whose, reason=reason if cut else ""))
    return events
