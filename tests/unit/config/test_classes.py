"""Classes and figures that are named, against what the models and cameras can tell."""

from __future__ import annotations

import re

import pytest

from streamcount.config import parse_settings
from streamcount.config.classes import check_classes
from streamcount.detection import TfliteConfig
from streamcount.errors import ConfigurationError, ModelError

CAMERA = """
[cameras.a.source]
kind = "simulated"
[cameras.b.source]
kind = "simulated"
[cameras.b.detector]
kind = "watershed"
"""
ZONE = '[cameras.{camera}.zones.well]\npoints_px = [[0, 0], [0, 9], [9, 9]]\nclasses = ["{name}"]\n'
RULE = '[alerts.many]\nkind = "limit"\nfigure = "cells"\nabove = 1\nclass = "{name}"\n'


@pytest.fixture
def not_installed(monkeypatch):
    """What runs the model is not installed on this machine."""

    def refuse(self):
        raise ImportError("no such extra")

    monkeypatch.setattr(TfliteConfig, "build", refuse)


def checked(text):
    return check_classes(parse_settings(text, environment={}))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CAMERA + ZONE.format(camera="a", name="rde"), r"cameras.a.zones.well.classes = 'rde' .*'red'"),
        (
            CAMERA + ZONE.format(camera="b", name="red"),
            r"cameras.b.zones.well.classes = 'red' .*there are: cell",
        ),
        (CAMERA + RULE.format(name="whte"), r"alerts.many.class = 'whte' .*'white'"),
        (RULE.format(name="dead"), r"alerts.many.class"),
    ],
)
def test_a_class_that_the_model_lacks_is_told_with_its_key(text, words):
    with pytest.raises(ConfigurationError, match=words):
        checked(text)


@pytest.mark.parametrize("name", ["red", "cell"])
def test_a_rule_s_class_may_be_that_of_any_camera_s_model(name):
    assert checked(CAMERA + RULE.format(name=name) + ZONE.format(camera="a", name="red")) == ()


NOWHERE = 'kind = "tflite"\nmodel = "nowhere"\n'


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[detector]\n" + NOWHERE, "detector"),
        (CAMERA.replace('kind = "watershed"\n', NOWHERE), "cameras.b.detector"),
    ],
)
def test_a_model_that_is_missing_is_refused_with_its_key(text, key):
    with pytest.raises(ModelError, match=f"^{key}: There is no model 'nowhere'.*blood-smear"):
        checked(text)


def test_what_is_not_installed_here_is_told_and_refuses_nothing(not_installed):
    (words,) = checked(RULE.format(name="anything"))
    assert words == "the classes of detector were not checked: no such extra"


WATCHED = '[alerts.watched]\nkind = "limit"\nabove = 1\nfigure = "{figure}"\n{more}'
WATERSHED = '[detector]\nkind = "watershed"\n'
VIDEO = '[cameras.v.source]\nkind = "video"\nlocation = 0\n'
FOLDER = '[cameras.f.source]\nkind = "folder"\npath = "pictures"\n'
CHAMBER = "[chamber]\ndepth_um = 100\n"
LINE = "[cameras.v.lines.gate]\npoints_px = [[0, 0], [0, 9]]\n"
FIELD = "[cameras.v.zones.well]\npoints_px = [[0, 0], [0, 9], [9, 9]]\n"
GROUP = '[groups.plate]\ncameras = ["a", "b"]\n'
IN_GROUP = 'groups = ["plate"]\n'


@pytest.mark.parametrize(
    ("cameras", "figure", "more", "words"),
    [
        (WATERSHED, "viability", "", "no camera can tell viability: no class of the model watershed is marked dead"),
        (WATERSHED, "abnormal_fraction", "", "marked abnormal"),
        (WATERSHED, "mitotic_index", "", "marked mitotic"),
        (WATERSHED, "confluence", "", "watershed tells no outlines"),
        (WATERSHED, "cells_per_ml", "", r"no chamber is set; add \[chamber\] \(cameras not listed\)"),
        (CAMERA + WATERSHED, "cells_per_ml", "", r"no chamber is set.*\(a, b\)"),
        (VIDEO, "cells_per_mm2", "", r"the pixel size is not known; set pixel_size_um \(v\)"),
        (VIDEO, "diameter_um", "", "set pixel_size_um"),
        (VIDEO + LINE, "cells", 'zone = "gate"\n', "'gate' is a line.*name a zone"),
        (VIDEO + FIELD, "crossings_forward", 'zone = "well"\n', "'well' is a zone.*name a line"),
        (CAMERA + VIDEO, "cells_per_mm2", 'class = "nothing"\n', "class = 'nothing' is not known"),
        (CAMERA + GROUP, "cells", IN_GROUP + 'class = "red"\n', r"'plate' cannot tell cells.*class 'red'.*\(b\)"),
        (CAMERA + GROUP, "confluence", IN_GROUP, r"'plate' cannot tell confluence"),
        (CAMERA + GROUP + VIDEO + FIELD, "cells", IN_GROUP + 'zone = "well"\n', "has a zone 'well'"),
    ],
)  # fmt: skip
def test_a_figure_that_no_camera_can_tell_is_refused_with_the_remedy(cameras, figure, more, words):
    with pytest.raises(ConfigurationError, match=words):
        checked(cameras + WATCHED.format(figure=figure, more=more))


def test_a_class_of_one_camera_and_the_size_of_another_tell_nothing_together():
    text = CAMERA.replace('"simulated"', '"video"\nlocation = 0', 1)
    rule = WATCHED.format(figure="cells_per_mm2", more='class = "red"\n')
    with pytest.raises(ConfigurationError, match=r"no camera can tell .*\(a\)"):
        checked(text + rule)


@pytest.mark.parametrize(
    ("cameras", "figure", "words"),
    [
        (CAMERA + VIDEO, "cells_per_mm2", r"alerts.watched: some cameras cannot tell cells_per_mm2.*\(v\)"),
        (FOLDER, "cells_per_mm2", r"only where the pictures carry the pixel size \(f\)"),
        (FOLDER + CHAMBER, "cells_per_ml", r"only where the pictures carry the pixel size \(f\)"),
        ("", "diameter_um", r"only where the pictures carry the pixel size \(cameras not listed\)"),
    ],
)
def test_what_only_some_cameras_tell_is_a_warning_that_names_them(cameras, figure, words):
    (told,) = checked(cameras + WATCHED.format(figure=figure, more=""))
    assert re.search(words, told)


def test_a_group_has_the_sizes_of_those_of_its_cameras_that_tell_them():
    video = CAMERA.replace('"simulated"', '"video"\nlocation = 0', 1) + GROUP
    assert checked(video + WATCHED.format(figure="diameter_um", more=IN_GROUP)) == ()
    with pytest.raises(ConfigurationError, match=r"'plate' cannot tell cells_per_mm2.*\(a\)"):
        checked(video + WATCHED.format(figure="cells_per_mm2", more=IN_GROUP))


@pytest.mark.parametrize(
    ("text", "figure"),
    [
        ('[detector]\nkind = "tflite"\nmodel = "viability"\n', "viability"),
        ('[detector]\nkind = "tflite"\nmodel = "phase-contrast"\n', "confluence"),
        ('[detector]\nkind = "labels"\n', "confluence"),
        (CAMERA + CHAMBER, "cells_per_ml"),
        (VIDEO.replace("location", "pixel_size_um = 0.2\nlocation"), "area_um2"),
        (WATERSHED, "flagged_fraction"),
        (WATERSHED, "doubling_time_h"),
    ],
)
def test_figures_that_can_be_told_are_let_through_without_a_word(text, figure):
    assert checked(text + WATCHED.format(figure=figure, more="")) == ()


def test_a_camera_whose_detector_cannot_be_built_here_may_tell_anything(not_installed):
    (words,) = checked(WATCHED.format(figure="viability", more=""))
    assert "were not checked" in words
