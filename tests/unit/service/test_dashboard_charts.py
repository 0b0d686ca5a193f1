"""What the camera's page draws and tells, without a browser."""

from __future__ import annotations

import msgspec
import pytest

pytest.importorskip("nicegui", reason="needs the extra dashboard")

from streamcount.service.dashboard.accounting import Account
from streamcount.service.dashboard.history import FIGURES, Told
from streamcount.service.dashboard.lives import Family, FamilyCell
from streamcount.service.dashboard.model import LiveModel, Taken
from streamcount.service.dashboard.page.cell import family_html, shots_html
from streamcount.service.dashboard.page.charts import (
    band,
    bands_of,
    cut_note,
    downloads,
    legend,
    line,
    moment_line,
    title,
)
from streamcount.service.dashboard.page.doubts import doubt_note, doubted_area
from streamcount.service.dashboard.page.parts import account_words, clock
from streamcount.service.dashboard.page.windows import (
    headlines_html,
    last_over,
    past_headlines_html,
    past_rows,
)
from streamcount.service.dashboard.views import summary
from streamcount.sinks.store.questions import Answer
from streamcount.types import CellAbnormal, Figure, WindowClosed
from tests.sunk import START_NS, at, cell


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cells", "cells"),
        ("mitotic_index", "mitotic index"),
        ("doubling_time_h", "doubling time"),
        ("diameter_um", "diameter"),
        ("area_um2", "area"),
        ("cells_per_ml", "cells per mL"),
        ("cells_per_mm2", "cells per mm²"),
        ("growth_rate_per_h", "growth rate per h"),
        ("crossings_forward", "crossings forward"),
    ],
)
def test_figures_are_named_in_words_and_their_unit_stands_apart(name: str, words: str) -> None:
    assert title(name) == words


def test_a_camera_of_which_no_frame_could_be_counted_says_why_not() -> None:
    model = LiveModel()
    headers = [("streamcount.reason", b"undecodable")]
    model.take(Taken("dead-letters", 0, 7, b"scope-1", b"?", headers, 5), 0.0, START_NS)
    told = model.look("scope-1", lambda camera: summary(camera, 1.0, START_NS))
    assert told is not None
    assert account_words(told).endswith("the last that could not be: undecodable")
    account = Account(
        run_id="a", ended=False, first=0, through=9, published=10, counted=8, missing=0, dead_lettered=2, waiting=0,
        difference=0,
    )  # fmt: skip
    words = account_words(msgspec.structs.replace(told, account=account))
    assert words == "8 of 10 frames counted, dead letters 2 (the last: undecodable), difference 0"


def figure_row(
    value: float, low: float | None, high: float | None, zone: str = "", name: str = "red"
) -> tuple:
    return ("scope-1", "minute", 0, 60_000_000_000, "cells", zone, name, value, low, high, "", 1, 1, "")


def test_bands_stand_in_the_middle_of_their_windows_and_only_where_there_is_an_interval() -> None:
    rows = (figure_row(5, 4, 7), figure_row(5, None, None), figure_row(9, 8, 11, zone="well"))
    told = Told("server", Answer(FIGURES, rows))
    assert bands_of(told, "class_name") == {"red": [(30_000, 4, 7)]}
    assert bands_of(told, "") == {"red": [(30_000, 4, 7)], "red in well": [(30_000, 8, 11)]}


def test_a_band_reaches_from_low_to_high_and_has_no_entry_in_the_legend() -> None:
    lower, upper = band("red", ("#fff", 0), [(1, 4.0, 7.0), (2, 1.0, 1.0)])
    assert lower["stack"] == upper["stack"]
    reached = [[low[0], low[1] + more[1]] for low, more in zip(lower["data"], upper["data"], strict=True)]
    assert reached == [[1, 7.0], [2, 1.0]]
    drawn = [line("red", ("#fff", 1), [[1, 5.0]]), lower, upper, moment_line(3)]
    assert legend(drawn) == ["red"]
    assert drawn[0]["lineStyle"]["type"] == [7, 4]


def window_row(minute: int, complete: int, reasons: str = "") -> tuple:
    bounds = (minute * 60 * 10**9, (minute + 1) * 60 * 10**9)
    return ("scope-1", "minute", *bounds, "cells", "", "red", 5.0, 4.0, 7.0, "", 1, complete, reasons)


def test_windows_that_are_incomplete_are_shaded_in_a_chart_and_told_in_words() -> None:
    rows = (
        window_row(0, 1),
        window_row(1, 0, "bad-picture"),
        window_row(2, 0, "frames-missing,bad-picture"),
        window_row(2, 0, "frames-missing,bad-picture"),
        window_row(4, 0, "run-ended"),
    )
    told = Told("server", Answer(FIGURES, rows))
    shaded = doubted_area(told)["markArea"]["data"]
    assert [(one["xAxis"], end["xAxis"]) for one, end in shaded] == [(60_000, 180_000), (240_000, 300_000)]
    note = doubt_note(told)
    assert note.startswith("Grey: 3 of 4 windows are incomplete (bad picture 2, ")
    assert "frames missing 1" in note
    assert legend([doubted_area(told)]) == []
    well = Told("server", Answer(FIGURES, rows[:1]))
    assert (doubted_area(well)["markArea"]["data"], doubt_note(well)) == ([], "")


def test_a_chart_of_windows_that_were_cut_says_where_they_end() -> None:
    rows = (window_row(0, 1), window_row(5, 1), window_row(3, 1))
    assert cut_note(Told("store", Answer(FIGURES, rows))) == ""
    assert cut_note(Told("store", Answer(FIGURES, rows, truncated=True))).endswith(clock(360 * 10**9) + ".")


def test_headlines_say_what_is_wrong_with_their_window() -> None:
    common = {"camera_id": "scope-1", "run_id": "a", "sequence": 1, "happened_at_ns": 1, "decided_at_ns": 1}
    bounds = {"window": "minute", "window_start_ns": 0, "window_end_ns": 60 * 10**9, "final": True}
    cut = WindowClosed(**common, **bounds, complete=False, reasons=("bad-picture", "frames-missing"))
    assert '<span class="chip">incomplete: bad picture, frames missing</span>' in headlines_html(cut)
    assert "incomplete" not in headlines_html(WindowClosed(**common, **bounds, complete=True))
    columns = dict(zip(FIGURES, window_row(1, 0, "run-began"), strict=True))
    assert "incomplete: run began" in past_headlines_html([columns])


def test_what_was_found_abnormal_has_its_picture_or_the_word_that_none_is_kept() -> None:
    def odd(reason: str) -> CellAbnormal:
        return CellAbnormal(**at(1), **cell(1), reason=reason, snapshot=f"x/{reason}")

    html = shots_html([(odd("size"), True), (odd("shape"), False)], "/api/v1/x", "run-1")
    assert html.count("<img") == html.count("no picture was kept") == 1
    assert "reason=size" in html
    assert "reason=shape" not in html
    assert "streamcount snapshots run" in html
    assert "streamcount snapshots run" not in shots_html([(odd("size"), True)], "/api/v1/x", "run-1")
    assert shots_html([], "/api/v1/x", "run-1") == ""


def test_links_to_files_are_escaped() -> None:
    html = downloads("Counts", "/api/v1/x", 'a=1&b="<')
    assert 'href="/api/v1/x?a=1&amp;b=&quot;&lt;&amp;format=csv"' in html
    assert 'aria-label="Counts as Parquet"' in html


def test_headlines_say_what_is_not_measured() -> None:
    common = {"camera_id": "scope-1", "run_id": "a", "sequence": 1, "happened_at_ns": 1, "decided_at_ns": 1}
    bounds = {"window": "minute", "window_start_ns": 0, "window_end_ns": 60 * 10**9}
    figures = (
        Figure(name="viability", value=0.912, low=0.85, high=0.95),
        Figure(name="viability", zone="well", value=0.1),
        Figure(name="doubling_time_h", value=21.3, unit="h", low=19.0, high=25.0),
    )
    html = headlines_html(WindowClosed(**common, **bounds, final=False, complete=True, figures=figures))
    assert ">0.912<" in html
    assert "0.85 – 0.95" in html
    assert ">21.3<" in html
    assert ">h<" in html
    assert "not over yet" in html
    assert html.count("not measured") == 3
    assert "No window" in headlines_html(None)


def test_of_the_past_the_last_windows_that_were_over_are_told() -> None:
    s = 10**9

    def row(name: str, start: int, end: int, value: float, **more: object) -> dict[str, object]:
        told = {
            "window_name": name,
            "window_start_ns": start * s,
            "window_end_ns": end * s,
            "name": "viability",
        }
        usual = {"zone": "", "class_name": "", "low": 0.5, "high": None, "unit": "", "reasons": ""}
        return {**told, **usual, "value": value, "final": 1, "complete": 1, **more}

    rows = [
        row("minute", 0, 60, 0.81), row("minute", 60, 120, 0.82, complete=0, reasons="run-ended,late-frames"),
        row("minute", 120, 180, 0.83), row("hour", 0, 3600, 0.84), row("ten", 90, 100, 0.85, final=0),
        row("minute", 60, 120, 0.1, zone="well", low=0.05, high=0.2),
    ]  # fmt: skip
    over = last_over(rows, 150 * s)
    assert [(one["window_name"], one["value"]) for one in over] == [("minute", 0.82), ("minute", 0.1)]
    shown = past_rows(over)
    assert [row[0] for row in shown] == ["minute (run-ended, late-frames)", "minute"]
    assert shown[1][3:] == ["well", "0.1", "0.05 – 0.2", ""]
    assert past_rows(rows[4:5])[0][0] == "ten (so far)"
    html = past_headlines_html(over)
    assert ">0.82<" in html
    assert ">0.1<" not in html
    assert "over by then" in past_headlines_html(last_over(rows, 30 * s))


def test_a_family_is_told_as_a_table_beside_its_tree() -> None:
    def member(track_id: int, parent_id: int) -> FamilyCell:
        return FamilyCell(
            track_id=track_id,
            parent_id=parent_id,
            generation=1 if parent_id else 0,
            birth="divided" if parent_id else "at-start",
            fate="at-end",
            first_ms=0,
            last_ms=0,
            class_name="<b>",
        )

    alone = Family(root=1, generations=1, members=[member(1, 0)])
    assert "No division is known" in family_html(alone, 1, "/tree")
    three = Family(root=1, generations=2, members=[member(1, 0), member(2, 1), member(3, 1)])
    html = family_html(three, 2, "/tree?run=a&x")
    assert "3 cells in 2 generations" in html
    assert 'src="/tree?run=a&amp;x"' in html
    assert "2 (chosen)" in html
    assert "<b>" not in html
