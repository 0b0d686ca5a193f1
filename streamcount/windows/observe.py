"""The fold of windows: each frame is added where it lies in time, and what is over is told once.

A window is final when a frame has come that was acquired `grace_s` after its end, and `grace_frames` frames came
after it: what the events say of a frame is known some frames later. The watermark is the latest time of acquisition,
so a camera whose clock steps back closes nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamcount.statistics import observe as observe_growth
from streamcount.types import FramesMissing, WindowClosed
from streamcount.windows.config import WindowConfig, WindowsSetup
from streamcount.windows.happened import with_events
from streamcount.windows.seen import Seen
from streamcount.windows.sightings import aligned, folded, with_sightings
from streamcount.windows.state import Late, Layout, OpenWindow, WindowsState, no_windows, opened
from streamcount.windows.sums import FrameSums, sums_of, with_frame
from streamcount.windows.told import told

# A loss that spans more windows is told in the first and the last of them; FramesMissing tells all of it.
MOST_LOST_IN = 64


def observe(
    state: WindowsState, seen: Seen, setup: WindowsSetup
) -> tuple[WindowsState, tuple[WindowClosed, ...]]:
    """The state after one more frame, and the windows that it closed, or that are told as they stand.

    A change of model, zones or lines closes what is open ("settings-changed").
    """
    if not setup.windows:
        return state, ()
    meta, layout = seen.detections.metadata, _layout(seen)
    closed: list[WindowClosed] = []
    if state.layout is not None and state.layout != layout:
        closed = _all_told(state, setup, meta.camera_id, meta.run_id, "settings-changed")
        state = msgspec.structs.replace(state, windows=(), track_ids=no_windows().track_ids)
    now_ns = meta.acquired_at_ns
    watermark_ns = max(state.last_ns, now_ns)
    windows = tuple(window for window in state.windows if window.name in setup.windows)
    state = msgspec.structs.replace(
        state,
        layout=layout,
        began_ns=now_ns if state.began_ns < 0 else state.began_ns,
        last_ns=watermark_ns,
        last_sequence=meta.sequence,
        windows=_after_the_end(windows, state.track_classes, now_ns),
        late=tuple(_late(state.late, name) for name in setup.windows),
        growth=state.growth if seen.flagged else observe_growth(state.growth, now_ns, len(seen.detections)),
    )
    state = aligned(state, seen.tracks)
    state = _opened_at(state, setup, now_ns)
    sums = sums_of(seen.detections, seen.surroundings, layout, flagged=seen.flagged)
    state = msgspec.structs.replace(state, windows=_with_this_frame(state, seen, sums, now_ns))
    state = with_events(state, seen, setup)
    for event in seen.events:
        if isinstance(event, FramesMissing):
            state = lose(state, event, setup)
    state, told_now = _told_at(state, setup, meta.camera_id, meta.run_id)
    return state, (*closed, *told_now)


def lose(state: WindowsState, missing: FramesMissing, setup: WindowsSetup) -> WindowsState:
    """The state after a loss: its frames are spread evenly over the time in which they would have been acquired."""
    if not setup.windows or state.layout is None:
        return state
    for name, config in setup.windows.items():
        final_ns = _late(state.late, name).final_ns
        for start_ns, frames in _spread(missing, config):
            if start_ns + config.length_ns <= final_ns:
                state = _with_late(state, name, frames=frames)
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
        msgspec.structs.replace(window, frames_after=window.frames_after + missing.frames)
        if missing.happened_at_ns >= window.end_ns
        else window
        for window in state.windows
    )
    return msgspec.structs.replace(state, windows=after)


def end_run(
    state: WindowsState, setup: WindowsSetup, camera_id: str, run_id: str
) -> tuple[WindowsState, tuple[WindowClosed, ...]]:
    """Close what is open, since the run is over; a window that it does not fill says "run-ended"."""
    return no_windows(), tuple(_all_told(state, setup, camera_id, run_id, "run-ended"))


def _layout(seen: Seen) -> Layout:
    around = seen.surroundings
    if around is None:
        return Layout(seen.detections.model)
    return Layout(seen.detections.model, ("", *around.zones), around.lines, around.drawn)


def _late(late: tuple[Late, ...], name: str) -> Late:
    return next((one for one in late if one.name == name), Late(name))


def _with_late(state: WindowsState, name: str, events: int = 0, frames: int = 0) -> WindowsState:
    entries = tuple(
        msgspec.structs.replace(one, events=one.events + events, frames=one.frames + frames)
        if one.name == name
        else one
        for one in state.late
    )
    return msgspec.structs.replace(state, late=entries)


def _opened_at(state: WindowsState, setup: WindowsSetup, at_ns: int) -> WindowsState:
    """With all windows in which this time lies; a frame of a time that is final already is late."""
    for name, config in setup.windows.items():
        final_ns = _late(state.late, name).final_ns
        starts = config.starts_over(at_ns)
        for start_ns in starts:
            if start_ns + config.length_ns > final_ns:
                state = _open(state, name, config, start_ns)
        if starts[0] + config.length_ns <= final_ns:
            state = _with_late(state, name, frames=1)
    return state


def _open(state: WindowsState, name: str, config: WindowConfig, start_ns: int) -> WindowsState:
    if state.layout is None or any((one.name, one.start_ns) == (name, start_ns) for one in state.windows):
        return state
    span_ns = (start_ns, start_ns + config.length_ns)
    new = opened(name, span_ns, state.layout, len(state.track_ids), state.began_ns)
    return msgspec.structs.replace(state, windows=tuple(sorted((*state.windows, new), key=_order)))


def _order(window: OpenWindow) -> tuple[int, str]:
    return window.end_ns, window.name


def _after_the_end(
    windows: tuple[OpenWindow, ...], classes: NDArray[np.int64], now_ns: int
) -> tuple[OpenWindow, ...]:
    """The windows, those that are over waiting for late news only: their cells' sightings are summed up."""
    return tuple(
        msgspec.structs.replace(folded(window, classes), frames_after=window.frames_after + 1)
        if now_ns >= window.end_ns
        else window
        for window in windows
    )


def _with_this_frame(state: WindowsState, seen: Seen, sums: FrameSums, now_ns: int) -> tuple[OpenWindow, ...]:
    in_zones = None if seen.surroundings is None else seen.surroundings.tracks
    return tuple(
        with_sightings(with_frame(window, sums), state.track_ids, seen.tracks, in_zones)
        if window.start_ns <= now_ns < window.end_ns
        else window
        for window in state.windows
    )


def _spread(missing: FramesMissing, config: WindowConfig) -> Iterator[tuple[int, int]]:
    """Beginnings of windows, and how many of the lost frames lie in each."""
    first_ns, span_ns, frames = (
        missing.happened_at_ns,
        missing.decided_at_ns - missing.happened_at_ns,
        missing.frames,
    )
    # Frames i = 1..n of n lie at first + span * i / (n + 1): between the frames that were seen.
    step_ns = max(span_ns, 0) / (frames + 1)
    earliest = config.starts_over(first_ns)[0]
    number = (first_ns + max(span_ns, 0) - earliest) // config.every_ns + 1
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
    state: WindowsState, setup: WindowsSetup, camera_id: str, run_id: str
) -> tuple[WindowsState, tuple[WindowClosed, ...]]:
    """Close what is final at the watermark, and tell what is asked for before."""
    events: list[WindowClosed] = []
    kept: list[OpenWindow] = []
    late = {one.name: one for one in state.late}
    for window in state.windows:
        config = setup.windows[window.name]
        waited_ns = state.last_ns - window.end_ns
        over = waited_ns >= config.grace_s * 1e9 and window.frames_after >= config.grace_frames
        if over and waited_ns >= 0:
            ledger = late[window.name]
            final = msgspec.structs.replace(
                window,
                late_events=window.late_events + ledger.events,
                late_frames=window.late_frames + ledger.frames,
            )
            late[window.name] = msgspec.structs.replace(
                ledger, events=0, frames=0, final_ns=max(ledger.final_ns, window.end_ns)
            )
            events.append(told(final, state, setup, (camera_id, run_id)))
        else:
            kept.append(window)
            ledger = late[window.name]
            due_ns = ledger.current_ns + round(config.current_s * 1e9)
            if (
                config.current_s
                and window.start_ns <= state.last_ns < window.end_ns
                and state.last_ns >= due_ns
            ):
                late[window.name] = msgspec.structs.replace(ledger, current_ns=state.last_ns)
                events.append(told(window, state, setup, (camera_id, run_id), final=False))
    state = msgspec.structs.replace(state, windows=tuple(kept), late=tuple(late.values()))
    return state, tuple(events)


def _all_told(
    state: WindowsState, setup: WindowsSetup, camera_id: str, run_id: str, reason: str
) -> list[WindowClosed]:
    events = []
    for window in state.windows:
        if window.name not in setup.windows:
            continue
        ledger = _late(state.late, window.name)
        final = msgspec.structs.replace(
            folded(window, state.track_classes),
            late_events=window.late_events + ledger.events,
            late_frames=window.late_frames + ledger.frames,
        )
        cut = window.end_ns > state.last_ns
        events.append(told(final, state, setup, (camera_id, run_id), reason=reason if cut else ""))
    return events
