"""`streamcount query`: tables, CSV, pictures, and what it refuses."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import msgspec
import pytest

from streamcount.types import Figure, LineCrossed
from tests.sunk import SECOND_NS, at, cell, every_kind, in_a_store, series, window

pytestmark = pytest.mark.filterwarnings("error::UserWarning")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return in_a_store(tmp_path / "store.sqlite", [*series(120), *every_kind()[2:]])


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def words_of(picture: Path) -> str:
    """What an SVG says; its letters are drawn, and stand beside in comments."""
    return " | ".join(re.findall(r"<!-- (.*?) -->", picture.read_text()))


def test_counts_as_csv(streamcount, store):
    _, out, _ = streamcount(
        "query", "counts", "--store", store, "--csv", "--class", "cell", "--camera", "scope-1"
    )
    assert out.splitlines()[0] == "camera,class_name,start_ns,mean,low,high,frames"
    assert [row["frames"] for row in rows(out)] == ["60", "60"]
    _, out, _ = streamcount(
        "query",
        "counts",
        "--store",
        store,
        "--csv",
        "--class",
        "cell",
        "--camera",
        "scope-1",
        "--every",
        "30s",
    )
    assert [row["frames"] for row in rows(out)] == ["30"] * 4


def test_events_tell_zone_line_dwell_reason_and_flags(streamcount, store):
    in_a_store(store, [LineCrossed(**at(8), **cell(2), line="gate", direction="backward")])
    _, out, _ = streamcount("query", "events", "--store", store, "--csv")
    told = {row["kind"]: row for row in rows(out)}
    assert (told["ZoneLeft"]["zone"], told["ZoneLeft"]["dwell_s"]) == ("left", "5.0")
    assert (told["LineCrossed"]["line"], told["LineCrossed"]["direction"]) == ("gate", "backward")
    assert told["CellDied"]["reason"] == "shrank"
    assert told["QualityChanged"]["flags"] == "blurred"
    assert told["FramesMissing"]["reason"] == "dropped"
    _, out, _ = streamcount("query", "events", "--store", store, "--kind", "CellDied")
    assert "shrank" in out
    assert "dwell" not in out
    _, out, _ = streamcount("query", "events", "--store", store, "--csv", "--track", "3")
    assert [row["kind"] for row in rows(out)] == ["CellDied"]


def test_alerts_of_one_figure(streamcount, store):
    _, out, _ = streamcount("query", "alerts", "--store", store, "--csv")
    assert [row["rule"] for row in rows(out)] == ["crowded", "dirty"]
    figure = rows(out)[0]["figure"]
    _, out, _ = streamcount("query", "alerts", "--store", store, "--csv", "--figure", figure)
    assert [row["rule"] for row in rows(out)] == ["crowded"]


@pytest.mark.parametrize("question", ["counts", "figures", "events", "alerts"])
def test_an_unknown_camera_is_told_with_those_that_are_known(streamcount, store, question):
    code, _, err = streamcount("query", question, "--store", store, "--camera", "none")
    assert (code, "there is no camera" in err or "has no camera none; it has: scope-1, scope-2" in err) == (
        9,
        True,
    )
    code, _, _ = streamcount(
        "query", question, "--store", store, "--camera", "scope-2", "--from", "2031-01-01"
    )
    assert code == 0


@pytest.mark.parametrize(
    ("question", "options", "words"),
    [
        ("figures", ("--figure", "viabilty"), "'viabilty' is not known to the store; did you mean 'viability'?"),
        ("figures", ("--figure", "nope"), "abnormal_cells"),
        ("alerts", ("--figure", "nope"), "abnormal_cells"),
        ("figures", ("--window", "hour"), "there are: minute"),
        ("figures", ("--window", "minute", "--camera", "scope-2"), "of camera scope-2 is not known"),
        ("figures", ("--zone", "well"), "there are: none"),
        ("events", ("--kind", "CellDyed"), "did you mean 'CellDied'?"),
        ("events", ("--kind", "xyz"), "AlertAcknowledged, AlertCleared"),
        ("events", ("--run", "run-2"), "did you mean 'run-1'?"),
        ("counts", ("--class", "xyz"), "there are: cell, dead"),
        ("figures", ("--figure", "nope", "--csv"), "is not known"),
    ],
)  # fmt: skip
def test_an_unknown_name_is_told_with_those_that_are_known(streamcount, store, question, options, words):
    code, out, err = streamcount("query", question, "--store", store, *options)
    assert (code, out) == (9, "")
    assert words in err


@pytest.mark.parametrize(
    ("question", "options"),
    [
        ("figures", ("--figure", "viability")),
        ("events", ("--kind", "LineCrossed")),
        ("counts", ("--class", "cell", "--from", "2031-01-01")),
    ],
)
def test_what_is_known_and_did_not_happen_is_an_empty_answer(streamcount, store, question, options):
    assert streamcount("query", question, "--store", store, *options)[0] == 0


@pytest.mark.parametrize(
    ("question", "option"),
    [
        ("alerts", ("--class", "cell")), ("alerts", ("--every", "5m")), ("alerts", ("--zone", "left")),
        ("counts", ("--figure", "cells")), ("figures", ("--kind", "CellDied")), ("events", ("--window", "minute")),
        ("cameras", ("--camera", "scope-1")), ("events", ("--plot", "events.svg")), ("counts", ("--track", "1")),
    ],
)  # fmt: skip
def test_an_option_that_does_not_go_with_the_question_is_refused(streamcount, store, question, option):
    code, _, err = streamcount("query", question, "--store", store, *option)
    assert code == 2
    assert option[0] in err
    assert f"does not go with the question {question}, which takes" in " ".join(err.replace("│", " ").split())


def test_what_a_question_without_options_takes_is_said(streamcount, store):
    _, _, err = streamcount("query", "cameras", "--store", store, "--limit", "3")
    assert "which takes only --sink, --store, --config and --csv" in " ".join(err.replace("│", " ").split())


def test_what_cannot_be_asked_is_refused(streamcount, store, tmp_path):
    assert streamcount("query", "counts", "--store", store, "--from", "yesterday")[0] == 2
    assert streamcount("query", "counts", "--store", store, "--every", "soon")[0] == 2
    assert streamcount("query", "lineage", "--store", store)[0] == 2
    assert streamcount("query", "counts", "--store", store, "--plot", tmp_path / "a.jpg")[0] == 2
    code, _, err = streamcount("query", "counts", "--store", tmp_path / "absent")
    assert (code, "streamcount sink" in err) == (9, True)
    code, _, err = streamcount(
        "query", "counts", "--store", store, "--from", "2031-01-01", "--plot", tmp_path / "no.svg"
    )
    assert (code, "nothing to draw" in err) == (9, True)


def drawn(streamcount, store: Path, question: str, *options: object) -> str:
    pytest.importorskip("matplotlib")
    picture = store.with_name(f"{question}.svg")
    code, out, err = streamcount("query", question, "--store", store, "--plot", picture, *options)
    assert (code, out) == (0, ""), err
    assert f"{picture}: the picture of {question} is written" in err
    return words_of(picture)


def test_the_picture_of_counts(streamcount, store):
    words = drawn(streamcount, store, "counts")
    assert all(
        f"{camera} {of}" in words for camera in ("scope-1", "scope-2") for of in ("all", "cell", "dead")
    )


def test_figures_stand_in_panels_of_one_unit_each(streamcount, store):
    figures = tuple(
        Figure(name=name, value=value, unit=unit)
        for name, value, unit in (("viability", 0.9, ""), ("diameter_um", 8.0, "µm"), ("cells", 4.0, ""))
    )
    whole = msgspec.structs.replace(window(60, 4.5, True), figures=figures)
    later = msgspec.structs.replace(
        whole, complete=False, window_start_ns=whole.window_end_ns,
        window_end_ns=whole.window_end_ns + 60 * SECOND_NS, sequence=120,
    )  # fmt: skip
    path = store.with_name("figures.sqlite")
    in_a_store(path, [whole, later])
    words = drawn(streamcount, path, "figures").split(" | ")
    # The title of each, and its unit.
    assert all(
        words.count(one) == 1 for one in ("viability", "diameter_um", "cells", "share", "number", "µm")
    )
    assert "window not complete" in words
    assert "scope-1" in words


def test_more_lines_than_can_be_told_apart_are_refused(streamcount, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "many.sqlite"
    in_a_store(
        path, [msgspec.structs.replace(window(60, 4.5, True), camera_id=f"scope-{n}") for n in range(40)]
    )
    code, _, err = streamcount("query", "figures", "--store", path, "--plot", tmp_path / "many.svg")
    assert (code, "40 lines cannot be told apart; choose fewer by --camera" in err) == (9, True)


def test_the_picture_of_alerts(streamcount, store):
    words = drawn(streamcount, store, "alerts")
    assert "scope-1: crowded" in words
    assert "scope-1: dirty" in words
    assert "not cleared" in words
    assert "critical" in words
    words = drawn(streamcount, store, "alerts", "--figure", "cells")
    assert "dirty" not in words
    assert "not cleared" not in words


def test_the_tree_of_a_lineage_is_of_the_whole_family(streamcount, store):
    words = drawn(streamcount, store, "lineage", "--camera", "scope-1", "--track", "3")
    assert "scope-1 run-1: family of cell 1, 3 cells, 1 division" in words
    assert "died" in words
    code, _, err = streamcount(
        "query",
        "lineage",
        "--store",
        store,
        "--camera",
        "none",
        "--track",
        "3",
        "--plot",
        store.with_name("x.svg"),
    )
    assert (code, "it has: scope-1, scope-2" in err) == (9, True)
