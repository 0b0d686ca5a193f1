"""The package as a whole: what importing it costs, and what it says of itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import streamcount

ROOT = Path(__file__).parents[2]
HEAVY = ("faust", "kafka", "tensorflow", "cv2", "numpy", "pydantic", "ai_edge_litert", "jgo", "scipy", "rich")


def modules_after(statement: str) -> set[str]:
    """Names of the top modules that a fresh interpreter has loaded after the statement."""
    listing = "sorted({name.partition('.')[0] for name in sys.modules})"
    code = f"{statement}\nimport json, sys; print(json.dumps({listing}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_package_loads_nothing_heavy():
    assert modules_after("import streamcount").isdisjoint(HEAVY)


def test_the_command_s_help_loads_nothing_heavy():
    heavy = {"faust", "kafka", "tensorflow", "cv2", "ai_edge_litert", "jgo", "scipy"}
    assert modules_after("import streamcount.cli").isdisjoint(heavy)


def test_configuration_does_not_load_faust_kafka_or_tensorflow():
    assert modules_after("import streamcount.config").isdisjoint({"faust", "kafka", "tensorflow", "jgo"})


@pytest.mark.parametrize("name", streamcount.__all__)
def test_every_exported_name_is_there(name):
    assert getattr(streamcount, name) is not None


def test_a_name_that_is_not_exported_is_refused_as_usual():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = streamcount.nonsense


def test_the_version_is_in_the_changelog():
    assert f"## [{version('streamcount')}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def pinned(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / name).read_text("utf-8")
    return {match[1]: match[2] for match in re.finditer(r"^([A-Za-z0-9._-]+)==([^ \\]+)", text, re.M)}


@pytest.mark.parametrize(
    "name", ["dev.txt", "demo.txt", "runtime.txt", "container.txt", "build.txt", "tflite-runtime.txt"]
)
def test_pins_have_hashes_and_name_no_registry(name):
    text = (ROOT / "requirements" / name).read_text("utf-8")
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.M)[1:]
    assert blocks
    assert all("--hash=sha256:" in block for block in blocks)
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links|^-", text, re.M)


def test_every_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = {re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for line in project["dependencies"]}
    assert wanted <= set(pinned("runtime.txt"))
    assert wanted <= set(pinned("dev.txt"))
    assert wanted - {"ai-edge-litert"} <= set(pinned("tflite-runtime.txt"))


def test_the_image_and_the_demo_have_the_versions_that_the_tests_ran_with():
    tested = pinned("dev.txt")
    for name in ("runtime.txt", "container.txt", "demo.txt", "build.txt"):
        assert pinned(name).items() <= tested.items()


def test_the_older_runtime_is_pinned_with_what_it_works_with():
    pins = pinned("tflite-runtime.txt")
    assert pins["tflite-runtime"] == "2.14.0"
    assert pins["numpy"] == "1.26.4"
    assert pins["opencv-python-headless"] == "4.11.0.86"
    assert "ai-edge-litert" not in pins
