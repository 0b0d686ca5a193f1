"""`streamcount alerts list` and `test`, on files and stores."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import msgspec
import pytest

from streamcount.alerts import spans
from streamcount.cli.alerts import with_acknowledgements
from streamcount.sinks.store.jsonl import JsonLinesSink
from streamcount.types import Figure, WindowClosed
from streamcount.wire import encode_event
from tests.sunk import SECOND_NS, START_NS, counts, every_kind, in_a_store

RULES = """
[windows.minute]
length_s = 60
[alerts.crowded]
kind = "limit"
figure = "cells"
above = 10
clear_at = 8
[alerts.blurred]
kind = "limit"
figure = "flagged_fraction"
above = 0.5
[alerts.jump]
kind = "jump"
figure = "cells"
factor = 2
first = 2
inhibited_by = ["crowded"]
[alerts.rare]
kind = "limit"
figure = "deaths"
above = 1
[alerts.silent]
kind = "silent"
"""
# Raised by the third window and cleared by the sixth.
VALUES = (5.0, 10.0, 11.0, 9.0, 20.0, 8.0, 7.0)


def windows(camera: str = "scope-1", run: str = "run-1") -> list[WindowClosed]:
    made = []
    for number, value in enumerate(VALUES):
        start_ns = START_NS + number * 60 * SECOND_NS
        made.append(
            WindowClosed(
                camera_id=camera, run_id=run, sequence=60 * number, happened_at_ns=start_ns + 60 * SECOND_NS,
                decided_at_ns=start_ns + 60 * SECOND_NS, window="minute", window_start_ns=start_ns,
                window_end_ns=start_ns + 60 * SECOND_NS, final=True, complete=True, frames=60,
                figures=(Figure(name="cells", value=value, low=value - 1, high=value + 1),),
            )
        )  # fmt: skip
    return made


def as_cloudevents(folder: Path, events: list) -> Path:
    sink = JsonLinesSink(folder)
    sink.open()
    sink.write(events)
    sink.close()
    return folder


def as_store(folder: Path, events: list) -> Path:
    return in_a_store(folder.with_suffix(".sqlite"), events)


def as_plain(folder: Path, events: list) -> Path:
    path = folder.with_suffix(".txt")
    path.write_bytes(b"\n".join(msgspec.json.encode(event) for event in events) + b"\n")
    return path


def as_results(folder: Path, events: list) -> Path:
    path = folder.with_suffix(".jsonl")
    lines = [
        msgspec.json.encode({"source": "a", "index": n, "detections": [], "events": [msgspec.Raw(encode_event(one))]})
        for n, one in enumerate(events)
    ]  # fmt: skip
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "streamcount.toml"
    path.write_text(RULES)
    return path


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("form", [as_cloudevents, as_store, as_plain, as_results])
def test_when_a_rule_would_have_been_raised_and_cleared(streamcount, config, tmp_path, form):
    events = [counts(1, 5), *windows(), *windows()[:3]]
    run = form(tmp_path / "run", events)
    code, out, err = streamcount("alerts", "test", "crowded", "--replay", run, "--config", config, "--csv")
    assert code == 0, err
    [row] = rows(out)
    assert (row["camera"], row["figure"], row["value"], row["limit_value"]) == (
        "scope-1",
        "cells",
        "11.0",
        "10.0",
    )
    assert int(row["raised_at_ns"]) == START_NS + 180 * SECOND_NS
    assert int(row["cleared_at_ns"]) == START_NS + 360 * SECOND_NS


def test_the_sums_are_told_for_each_camera(streamcount, config, tmp_path):
    run = as_store(tmp_path / "run", [*windows(), *windows("scope-2")])
    code, out, _ = streamcount("alerts", "test", "crowded", "--replay", run, "--config", config)
    assert code == 0
    words = "crowded would have been raised once in 7 windows, and been active for 180 s of 420 s"
    assert f"scope-1: {words}" in out
    assert f"scope-2: {words}" in out
    code, out, _ = streamcount(
        "alerts", "test", "blurred", "--replay", run, "--config", config, "--camera", "scope-2"
    )
    assert (
        out
        == "scope-2: blurred would have been raised never in 7 windows, and been active for 0 s of 420 s\n"
    )


def test_rules_that_hold_it_back_are_judged_too(streamcount, config, tmp_path):
    run = as_plain(tmp_path / "run", windows())
    code, out, _ = streamcount("alerts", "test", "jump", "--replay", run, "--config", config, "--csv")
    assert (code, rows(out)) == (0, [])
    config.write_text(RULES.replace('inhibited_by = ["crowded"]', ""))
    code, out, _ = streamcount("alerts", "test", "jump", "--replay", run, "--config", config, "--csv")
    assert [row["value"] for row in rows(out)] == ["20.0"]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("silent", "by the clock"),
        ("nobody", "there are: blurred"),
        ("rare", "could never be raised"),
    ],
)
def test_a_rule_that_cannot_be_tried_is_refused(streamcount, config, tmp_path, rule, words):
    run = as_plain(tmp_path / "run", windows())
    code, _, err = streamcount("alerts", "test", rule, "--replay", run, "--config", config)
    assert code == 4
    assert words in err


def test_a_run_without_windows_and_a_file_of_something_else_are_told(streamcount, config, tmp_path):
    run = as_plain(tmp_path / "run", [counts(1, 5)])
    code, _, err = streamcount("alerts", "test", "crowded", "--replay", run, "--config", config)
    assert (code, "no final window" in err) == (5, True)
    run.write_text('{"kind": "WindowClosed"}\n')
    code, _, err = streamcount("alerts", "test", "crowded", "--replay", run, "--config", config)
    assert (code, "line 1" in err) == (5, True)


@pytest.mark.parametrize("name", ["folder/run.jsonl", "/nowhere/run-1", "store.sqlite"])
def test_a_file_that_is_not_there_is_no_run(streamcount, config, name):
    code, _, err = streamcount("alerts", "test", "crowded", "--replay", name, "--config", config)
    assert (code, "there is no such file" in err) == (5, True)


@pytest.mark.parametrize("rule", ["crowded", "jump"])
def test_the_picture(streamcount, config, tmp_path, rule):
    pytest.importorskip("matplotlib")
    run = as_plain(tmp_path / "run", [*windows(), *windows("scope-2")])
    picture = tmp_path / "rule.svg"
    code, _, err = streamcount("alerts", "test", rule, "--replay", run, "--config", config, "--plot", picture)
    assert code == 0, err
    assert picture.read_text().startswith("<?xml")


def test_the_list_from_a_store(streamcount, tmp_path):
    store = as_store(tmp_path / "store", every_kind())
    code, out, _ = streamcount("alerts", "list", "--store", store, "--csv")
    assert code == 0
    assert [(row["rule"], row["cleared_at_ns"] != "") for row in rows(out)] == [
        ("crowded", True),
        ("dirty", False),
    ]
    _, out, _ = streamcount("alerts", "list", "--store", store, "--csv", "--active")
    assert [row["rule"] for row in rows(out)] == ["dirty"]
    _, out, _ = streamcount("alerts", "list", "--store", store, "--rule", "crowded")
    assert "dirty" not in out
    assert "2026-01-31" in out


def test_the_list_of_a_topic_says_who_has_seen_each():
    answer = with_acknowledgements(spans(every_kind()))
    told = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    assert [(one["rule"], one["acknowledged"]) for one in told] == [
        ("crowded", "ann: I dilute it"),
        ("dirty", ""),
    ]


def test_without_a_rule_that_goes_by_the_clock_there_is_nothing_to_run(streamcount, config):
    config.write_text(RULES.partition("[alerts.silent]")[0])
    code, _, err = streamcount("alerts", "run", "--config", config)
    assert (code, "kind silent or latency" in err) == (4, True)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('kind = "limit"\nfigure = "cells"\nabov = 1', "did you mean 'above'"),
        ('figure = "cells"\nabove = 1', "kind"),
        ('kind = "limit"\nfigure = "cels"\nabove = 1', "'cells'"),
        ('kind = "jump"\nfigure = "cells"', "exactly one of factor and sigmas"),
    ],
)
def test_a_wrong_rule_is_told_by_its_key(streamcount, config, table, words):
    config.write_text(f"[alerts.mine]\n{table}\n")
    code, _, err = streamcount("alerts", "run", "--config", config)
    assert code == 4
    assert words in err
    assert "alerts.mine" in err
