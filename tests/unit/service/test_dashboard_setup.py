"""Setting up without a browser: each step leaves right settings, and what is wrong is told by its field."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("tomlkit", reason="needs the extra dashboard")

from streamcount.cli import app
from streamcount.config import Settings, load_settings, parse_settings
from streamcount.config.settings import CameraConfig
from streamcount.errors import ConfigurationError
from streamcount.service.dashboard.camera_form import (
    COMMON_DETECTOR,
    FormError,
    FormField,
    camera_step,
    detectors,
    fields_of,
    kinds,
)
from streamcount.service.dashboard.setup import (
    PlaceOptions,
    SetupDraft,
    camera_removal_step,
    place_step,
    places_px,
    removal_step,
    scale_step,
)
from streamcount.service.dashboard.writing import Writing

TEXT = """\
# ours
[cameras.scope-1]
pixel_size_um = 0.5   # 10x

[cameras.scope-1.source]
kind = "simulated"

[cameras.scope-1.zones.well]   # the left one
points_um = [[10, 10], [10, 50], [40, 50], [40, 10]]
classes = ["red"]
"""
SQUARE = [(5.0, 5.0), (5.0, 50.5), (40.0, 50.0), (40.0, 5.0)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "streamcount.toml"
    path.write_text(TEXT)
    return path


@pytest.fixture
def draft(file: Path) -> SetupDraft:
    return SetupDraft(Writing(settings_file=file, may_set_up=True))


def new_camera(settings: Settings, name: str = "scope-2", kind: str = "simulated", **source: Any) -> Any:
    return camera_step(settings, name, kind, source, {"encoding": "png", "detector": "watershed"})


def test_steps_are_shown_taken_back_and_written_with_the_comments(draft: SetupDraft, file: Path) -> None:
    draft.add(new_camera(draft.settings, cells="30", rate_hz="2,5"))
    draft.add(place_step(draft.settings, "scope-2", "zones", "left", SQUARE))
    draft.add(place_step(draft.settings, "scope-2", "lines", "gate", SQUARE[:2]))
    draft.add(scale_step("scope-2", [(0, 0), (30, 40)], "25"))
    assert file.read_text() == TEXT
    assert "+pixel_size_um = 0.5" in draft.diff()
    draft.add(removal_step("scope-2", "lines", "gate"))
    draft.undo()
    assert len(draft.steps) == 4
    assert draft.save() == file
    assert (draft.steps, draft.diff()) == ((), "")
    assert "# ours\n" in file.read_text()
    camera = load_settings(file, {}).cameras["scope-2"]
    assert (camera.pixel_size_um, camera.encoding, camera.detector.kind) == (0.5, "png", "watershed")
    assert camera.zones["left"].points_px == tuple(SQUARE)
    assert camera.lines["gate"].points_px == tuple(SQUARE[:2])
    written = tomllib.loads(file.read_text())["cameras"]["scope-2"]["source"]
    assert written == {"kind": "simulated", "cells": 30, "rate_hz": 2.5}
    checked = CliRunner().invoke(app, ["check-config", "--config", str(file)])
    assert (checked.exit_code, "The configuration is right." in checked.output) == (0, True)


def test_a_zone_drawn_again_has_the_new_points_and_keeps_all_else(draft: SetupDraft) -> None:
    assert places_px(draft.settings, "scope-1") == [
        ("zones", "well", ((20, 20), (20, 100), (80, 100), (80, 20)))
    ]
    draft.add(place_step(draft.settings, "scope-1", "zones", "well", SQUARE))
    zone = draft.settings.cameras["scope-1"].zones["well"]
    assert (zone.points_px, zone.points_um, zone.classes) == (tuple(SQUARE), None, ("red",))


@pytest.mark.parametrize(
    ("points", "name", "words"),
    [
        (SQUARE[:2], "a", "at least 3 points"),
        ([SQUARE[0], SQUARE[2], SQUARE[1], SQUARE[3]], "a", "crosses or touches itself"),
        (SQUARE, "the left one", "a name has"),
        (SQUARE, "", "a name has"),
    ],
)
def test_zones_that_are_none_are_refused_and_change_nothing(
    draft: SetupDraft, points: list[tuple[float, float]], name: str, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        draft.add(place_step(draft.settings, "scope-1", "zones", name, points))
    assert draft.diff() == ""


def test_what_alerts_speak_of_is_not_taken_out(tmp_path: Path) -> None:
    path = tmp_path / "streamcount.toml"
    path.write_text(TEXT + '[alerts.full]\nkind = "limit"\nfigure = "cells"\nzone = "well"\nabove = 4\n')
    draft = SetupDraft(Writing(settings_file=path))
    with pytest.raises(ConfigurationError, match="well"):
        draft.add(removal_step("scope-1", "zones", "well"))


def test_classes_hysteresis_and_micrometres_of_a_zone_are_said_changed_and_taken_back(
    draft: SetupDraft,
) -> None:
    said = PlaceOptions(("red", "white"), "2,5", "px", in_um=True)
    draft.add(place_step(draft.settings, "scope-1", "zones", "right", SQUARE, said))
    zone = draft.settings.cameras["scope-1"].zones["right"]
    assert (zone.classes, zone.hysteresis_px, zone.points_px) == (("red", "white"), 2.5, None)
    assert zone.points_um == ((2.5, 2.5), (2.5, 25.25), (20, 25), (20, 2.5))
    assert ("zones", "right", tuple(SQUARE)) in places_px(draft.settings, "scope-1")
    draft.add(
        place_step(
            draft.settings, "scope-1", "zones", "right", SQUARE, PlaceOptions(None, "0.5", "diameters")
        )
    )
    zone = draft.settings.cameras["scope-1"].zones["right"]
    assert (zone.classes, zone.hysteresis_px, zone.hysteresis_diameters) == (("red", "white"), None, 0.5)
    assert (zone.points_px, zone.points_um) == (tuple(SQUARE), None)
    draft.add(place_step(draft.settings, "scope-1", "zones", "right", SQUARE, PlaceOptions((), "")))
    zone = draft.settings.cameras["scope-1"].zones["right"]
    assert (zone.classes, zone.hysteresis_diameters) == ((), None)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (PlaceOptions(hysteresis="far"), "no number"),
        (PlaceOptions(hysteresis="-1"), "greater than or equal to 0"),
        (PlaceOptions(in_um=True), "draw a known length first"),
    ],
)
def test_what_cannot_be_said_of_a_zone_is_refused(
    draft: SetupDraft, options: PlaceOptions, words: str
) -> None:
    draft.add(new_camera(draft.settings))
    before = draft.diff()
    with pytest.raises(ConfigurationError, match=words):
        draft.add(place_step(draft.settings, "scope-2", "zones", "a", SQUARE, options))
    assert draft.diff() == before


def test_a_camera_is_taken_out_of_its_groups_too_and_the_last_takes_its_group_with_it(tmp_path: Path) -> None:
    path = tmp_path / "streamcount.toml"
    groups = '[groups.plate]\ncameras = ["scope-1", "scope-2"]\n[groups.alone]\ncameras = ["scope-1"]\n'
    path.write_text(TEXT + '[cameras.scope-2.source]\nkind = "simulated"\n' + groups)
    draft = SetupDraft(Writing(settings_file=path, may_set_up=True))
    draft.add(camera_removal_step(draft.settings, "scope-1"))
    assert list(draft.settings.cameras) == ["scope-2"]
    assert {name: one.cameras for name, one in draft.settings.groups.items()} == {"plate": ("scope-2",)}
    draft.add(camera_removal_step(draft.settings, "scope-2"))
    assert (draft.settings.cameras, draft.settings.groups) == ({}, {})
    draft.undo()
    draft.save()
    assert set(load_settings(path, {}).cameras) == {"scope-2"}
    assert "# ours" in path.read_text()


@pytest.mark.parametrize("length", ["", "0", "-3", "ten", "inf", "nan"])
def test_a_length_that_is_none_is_refused(length: str) -> None:
    with pytest.raises(ConfigurationError, match="above 0"):
        scale_step("scope-1", [(0, 0), (30, 40)], length)


def test_without_leave_nothing_is_written_and_a_changed_file_is_not_overwritten(file: Path) -> None:
    reader = SetupDraft(Writing(settings_file=file))
    reader.add(new_camera(reader.settings))
    with pytest.raises(ConfigurationError, match="--allow-setup"):
        reader.save()
    writer = SetupDraft(Writing(settings_file=file, may_set_up=True))
    writer.add(new_camera(writer.settings))
    file.write_text(TEXT + "# and more\n")
    with pytest.raises(ConfigurationError, match="changed meanwhile"):
        writer.save()
    assert file.read_text() == TEXT + "# and more\n"


def test_a_file_that_is_not_there_is_begun_and_a_wrong_one_is_told(tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    draft = SetupDraft(Writing(settings_file=path, may_set_up=True))
    draft.add(new_camera(draft.settings))
    draft.save()
    assert set(load_settings(path, {}).cameras) == {"scope-2"}
    path.write_text("[topcis]\n")
    with pytest.raises(ConfigurationError, match="did you mean 'topics'"):
        SetupDraft(Writing(settings_file=path))


@pytest.mark.parametrize(
    ("kind", "source", "field", "words"),
    [
        ("simulated", {"rate_hz": "fast"}, "rate_hz", "valid number"),
        ("simulated", {"cells": "-1"}, "cells", "greater than or equal to 0"),
        ("simulated", {"width_px": "12.5"}, "width_px", "valid integer"),
        ("folder", {}, "path", "must be given"),
        ("video", {"location": " "}, "location", "must be given"),
        ("tiff", {"path": "a.tif", "z": "top"}, "z", "or Input should be 'time'"),
    ],
)
def test_what_is_wrong_is_told_by_its_field(
    kind: str, source: dict[str, str], field: str, words: str
) -> None:
    with pytest.raises(FormError) as caught:
        new_camera(Settings(), kind=kind, **source)
    assert words in caught.value.fields[field]


def test_names_are_checked(draft: SetupDraft) -> None:
    for name, words in (("scope-1", "already"), ("my scope", "a name has"), ("", "a name has")):
        with pytest.raises(FormError) as caught:
            new_camera(draft.settings, name)
        assert words in caught.value.fields["name"]


def chosen(field: FormField) -> str | int:
    """The default as the form has it."""
    return next((one for one in field.choices if str(one) == field.default), field.default)


def test_every_kind_is_a_form_and_what_its_fields_say_is_what_the_settings_take() -> None:
    assert kinds() == ("simulated", "folder", "tiff", "video")
    needed = {"folder": {"path": "x"}, "tiff": {"path": "x"}, "video": {"location": "0"}}
    for kind in kinds():
        fields = list(fields_of(kind))
        given = {field.name: chosen(field) for field in fields if not field.is_switch}
        step = camera_step(Settings(), "a", kind, {**given, **needed.get(kind, {})}, {})
        table = step.changes[0].value
        assert isinstance(table, dict)
        assert set(table["source"]) == {"kind", *needed.get(kind, {})}
        assert CameraConfig.model_validate(table).source.kind == kind
    assert {field.label for field in fields_of("simulated")} >= {"rate (Hz)", "speed (µm/min)", "width (px)"}
    video = camera_step(Settings(), "a", "video", {"location": "0", "loop": True}, {})
    assert video.changes[0].value == {"source": {"kind": "video", "location": 0, "loop": True}}


def test_models_that_find_cells_are_offered() -> None:
    assert detectors()[:2] == (COMMON_DETECTOR, "watershed")
    assert "red-cell-shapes" not in detectors()
    step = camera_step(Settings(), "a", "simulated", {}, {"detector": "nuclei", "encoding": "jpeg"})
    assert step.changes[0].value == {
        "source": {"kind": "simulated"}, "detector": {"kind": "tflite", "model": "nuclei"}
    }  # fmt: skip
    assert parse_settings("", environment={}).cameras == {}
