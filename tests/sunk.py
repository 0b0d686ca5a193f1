"""Events to be kept by sinks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from streamcount.sinks.store.sqlite import SqliteSink
from streamcount.types import (
    AlertAcknowledged,
    AlertCleared,
    AlertRaised,
    AnyEvent,
    CellAbnormal,
    CellAppeared,
    CellDied,
    CellDivided,
    CountsUpdated,
    FramesMissing,
)
from streamcount.types.events import Figure, QualityChanged, RunStarted, WindowClosed, ZoneLeft

START_NS = 1_769_860_800_000_000_000
SECOND_NS = 10**9
DAY_NS = 86_400 * SECOND_NS


def at(sequence: int, camera: str = "scope-1", step_ns: int = SECOND_NS) -> dict:
    time_ns = START_NS + sequence * step_ns
    return {
        "camera_id": camera,
        "run_id": "run-1",
        "sequence": sequence,
        "happened_at_ns": time_ns,
        "decided_at_ns": time_ns,
    }


def cell(track_id: int, **more: object) -> dict:
    return {
        "track_id": track_id,
        "class_name": "cell",
        "centroid_px": (1.5, 2.5),
        "box_px": (0.0, 1.0, 3.0, 4.0),
        **more,
    }


def counts(sequence: int, cells: int, camera: str = "scope-1", step_ns: int = SECOND_NS) -> CountsUpdated:
    return CountsUpdated(
        **at(sequence, camera, step_ns),
        counts={"cell": cells, "dead": 1},
        total=cells + 1,
        confirmed_tracks=cells,
        cells_seen=cells,
    )


def window(sequence: int, value: float, final: bool) -> WindowClosed:
    return WindowClosed(
        **at(sequence),
        window="minute",
        window_start_ns=START_NS,
        window_end_ns=START_NS + 60 * SECOND_NS,
        final=final,
        complete=final,
        reasons=() if final else ("run-began",),
        frames=sequence,
        figures=(
            Figure(name="cells", value=value, low=value - 1, high=value + 1),
            Figure(name="births", value=2.0),
        ),
    )


def series(number: int, step_ns: int = SECOND_NS) -> list[AnyEvent]:
    return [counts(sequence, sequence % 7, step_ns=step_ns) for sequence in range(number)]


def every_kind() -> list[AnyEvent]:
    """Two cells of which one divides, first provisionally; one that was told to divide and did not; and the rest."""
    return [
        RunStarted(**at(0), previous_run_id=""),
        CellAppeared(**at(0), **cell(1), entered=False),
        CellAppeared(**at(0), **cell(2), entered=True),
        counts(1, 2),
        counts(1, 5, "scope-2"),
        CellDivided(**at(3), **cell(1), daughter_ids=(3, 4), certainty="provisional"),
        CellDivided(**at(3), **cell(1), daughter_ids=(3, 4), certainty="confirmed"),
        CellDivided(**at(4), **cell(2), daughter_ids=(5, 6), certainty="provisional"),
        CellDivided(**at(4), **cell(2), daughter_ids=(5, 6), certainty="retracted"),
        CellDied(**at(6), **cell(3, parent_id=1, generation=1, birth_sequence=3), reason="shrank"),
        CellAbnormal(**at(6), **cell(2), reason="size", score=4.5, explanation="area 900 µm², “usual” 300"),
        ZoneLeft(**at(7), **cell(2), zone="left", dwell_ns=5 * SECOND_NS),
        window(10, 2.5, False),
        window(20, 3.5, False),
        window(60, 4.5, True),
        AlertRaised(**at(20), rule="crowded", reason="cells 9 > 8", figure="cells", value=9.0, limit=8.0),
        AlertCleared(**at(30), rule="crowded", raised_at_ns=START_NS + 20 * SECOND_NS, reason="cells 7"),
        AlertAcknowledged(
            **at(20),
            rule="crowded",
            raised_at_ns=START_NS + 20 * SECOND_NS,
            who="ann",
            remark="I dilute it",
            acknowledged_at_ns=START_NS + 25 * SECOND_NS,
        ),
        AlertRaised(**at(40), rule="dirty", reason="blurred", severity="critical"),
        QualityChanged(**at(41), flags=("blurred",), previous=()),
        FramesMissing(**at(50), last_sequence=52, reason="dropped"),
    ]


def in_a_store(path: Path, events: Sequence[AnyEvent]) -> Path:
    """The events in a SQLite store, beside what it holds."""
    sink = SqliteSink(path)
    sink.open()
    sink.write(events)
    sink.close()
    return path
