"""Classes that are named, against those of the models."""

from __future__ import annotations

import pytest

from streamcount.config import parse_settings
from streamcount.config.classes import check_classes
from streamcount.errors import ConfigurationError

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


def test_a_model_that_cannot_be_read_is_told_and_refuses_nothing():
    (words,) = checked('[detector]\nkind = "tflite"\nmodel = "nowhere"\n' + RULE.format(name="anything"))
    assert "were not checked" in words
    assert "nowhere" in words
