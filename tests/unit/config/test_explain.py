"""The pages about the configuration say what the settings' types say."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from streamcount.config import Settings, parse_settings
from streamcount.config.explain import effective, example, markdown, tables, to_toml

ROOT = Path(__file__).parents[3]


def test_every_key_is_explained():
    without = [f"{table.path}.{key.name}" for table in tables() for key in table.keys if not key.meaning]
    assert [key for key in without if not key.endswith(".kind")] == []
    assert [table.path for table in tables() if not table.meaning] == []


def test_the_example_as_it_is_means_the_defaults():
    assert parse_settings(example(), "example", {}) == Settings()


def test_the_example_uncommented_still_means_the_defaults():
    """Each default that is written in a comment is the one that applies."""
    lines = []
    for table in example().split("\n\n"):
        if re.search(r"^\[", table, re.M):
            lines.append(re.sub(r"^# (\w+ = (?!   ).*)$", r"\1", table, flags=re.M))
    text = "\n".join(lines)
    assert text.count(" = ") > 30
    assert parse_settings(text, "example", {}) == Settings()


@pytest.mark.parametrize(
    ("name", "text"), [("docs/configuration.md", markdown()), ("streamcount.example.toml", example())]
)
def test_the_page_in_the_repository_is_up_to_date(name, text):
    assert (ROOT / name).read_text("utf-8") == text, "run `make docs`"


def test_effective_settings_tell_where_each_comes_from():
    text = (
        "[topics]\npartitions = 8\n[cameras.'a.b'.source]\nkind = 'folder'\npath = 'x'\n"
        "[detector]\nkind = 'tflite'\nthresholds = {red = 0.5}\n"
    )
    environment = {"STREAMCOUNT_BOOTSTRAP_SERVERS": "there:1"}
    found = {one.path: one for one in effective(parse_settings(text, "t", environment), environment)}
    assert (found["topics.partitions"].value, found["topics.partitions"].origin) == ("8", "file")
    assert found["topics.prefix"].origin == "default"
    assert (found["kafka.bootstrap_servers"].value, found["kafka.bootstrap_servers"].origin) == (
        '"there:1"',
        "environment",
    )
    assert found["detector.thresholds"].value == "{red = 0.5}"
    assert found['cameras."a.b".source.path'].value == '"x"'


def test_effective_settings_leave_none_out():
    def leaves(model: BaseModel, path: str = ""):
        for name, value in model:
            if isinstance(value, BaseModel):
                yield from leaves(value, f"{path}{name}.")
            elif isinstance(value, dict) and value:
                for key, item in value.items():
                    yield from leaves(item, f"{path}{name}.{key}.")
            else:
                yield path + name

    settings = Settings()
    assert {one.path for one in effective(settings, {})} == set(leaves(settings))


@pytest.mark.parametrize(
    "value", [True, 3, 0.5, 'with "quotes" and \\', {"a b": 1, "c": [1, 2]}, ["x", "y"], {}, 1e-9]
)
def test_values_are_written_as_toml_that_reads_back(value):
    assert tomllib.loads(f"x = {to_toml(value)}")["x"] == value
