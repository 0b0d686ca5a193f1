"""Windows of cameras made by hand, to be summed by group."""

from __future__ import annotations

from streamcount.types import WindowClosed
from streamcount.windows.figures import Key, Rule, figures_of
from tests.films import SECOND_NS as S


def window(
    camera: str,
    number: int,
    *,
    cells: float = 5.0,
    run: str = "run-1",
    length_s: int = 10,
    told_to_s: int | None = None,
    reasons: tuple[str, ...] = (),
    **more: object,
) -> WindowClosed:
    """The number-th window of 10 s of a camera that shows so many cells, told 3 s after its end."""
    start_s = number * length_s
    end_s = start_s + length_s
    decided_s = end_s + 3 if told_to_s is None else told_to_s
    figures = figures_of({Key("cells"): cells, Key("cells_variance"): cells, Key("deaths"): 1.0}, Rule())
    given = {
        "camera_id": camera, "run_id": run, "sequence": decided_s, "happened_at_ns": end_s * S,
        "decided_at_ns": decided_s * S, "window": "ten", "window_start_ns": start_s * S, "window_end_ns": end_s * S,
        "final": True, "complete": not reasons, "reasons": reasons, "frames": 10, "figures": figures,
    }  # fmt: skip
    return WindowClosed(**{**given, **more})
