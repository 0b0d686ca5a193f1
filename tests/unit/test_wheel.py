"""The wheel: what it carries, and that it counts without a checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_it_carries_every_compiled_model(unpacked):
    models = {path.relative_to(ROOT / "models") for path in (ROOT / "models").glob("*/*.tflite")}
    assert Path("blood-smear") in {path.parent for path in models}
    packed = unpacked / "streamcount" / "models"
    for path in models:
        assert (packed / path).read_bytes() == (ROOT / "models" / path).read_bytes()
        assert (packed / path.parent / "model.toml").is_file()


def test_it_carries_the_broker_s_lock_file_and_the_types_marker(unpacked):
    assert (unpacked / "streamcount/service/broker/kafka.lock.toml").stat().st_size > 1000
    assert (unpacked / "streamcount/py.typed").is_file()


def test_it_carries_every_module_and_nothing_but_the_package(unpacked):
    packed = {path.relative_to(unpacked) for path in unpacked.rglob("*.py")}
    assert packed == {path.relative_to(ROOT) for path in (ROOT / "streamcount").rglob("*.py")}
    assert not list(unpacked.rglob("*.pyc"))
    tops = {path.name for path in unpacked.iterdir()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"streamcount"}


def test_it_registers_the_command_and_the_store(unpacked):
    (text,) = [path.read_text("utf-8") for path in unpacked.glob("*.dist-info/entry_points.txt")]
    assert "streamcount = streamcount.cli:main" in text
    assert "streamcount.service.worker.state:NewestStateStore" in text


def test_it_finds_its_models_without_a_checkout(unpacked, tmp_path):
    code = (
        "import streamcount; from streamcount.detection.bundle import load_bundle; "
        "bundle = load_bundle('blood-smear'); "
        "print(streamcount.__file__, bundle.folder, len(bundle.read_model()))"
    )
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    module, folder, size = done.stdout.split()
    assert Path(module).is_relative_to(unpacked)
    assert Path(folder).is_relative_to(unpacked)
    assert int(size) > 10_000
