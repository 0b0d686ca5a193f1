"""The figures in `model.toml` are what the command measures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("faster_coco_eval", reason="needs the `train` extra")

from streamcount.cli import app
from streamcount.detection.bundle import find_bundle
from streamcount.training.modelfile import read_model_file

DATA = Path(__file__).parents[5] / "shared" / "data" / "ldc_live_dead"
SHARES = (
    "mean error",
    "bias",
    "largest error of windows from every image on",
    "largest error of windows one after the other",
)


@pytest.mark.skipif(not DATA.is_dir(), reason="the real images lie beside the project, in ../shared/data")
def test_the_figures_of_viability_are_measured_again(tmp_path: Path) -> None:
    split = tmp_path / "split.json"
    words = ["data", "split", str(DATA), "--by", "order", "--output", str(split)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    words = ["evaluate", str(DATA), "--split", str(split), "--part", "val", "--model", "viability", "--json"]
    copy = shutil.copytree(find_bundle("viability"), tmp_path / "viability")
    result = CliRunner().invoke(app, [*words, "--share", "living", "--record", str(copy)])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout[result.stdout.index("{\n") :])
    recorded = read_model_file(find_bundle("viability"))["figures"]
    for name, figures in recorded["int8"].items():
        for key, tolerance in (("cells", 0), ("ap50", 0.01), ("f1", 0.01), ("mae", 0.03), ("bias", 0.03)):
            # The last place of int8 is not the same on all processors.
            assert told["int8"][name][key] == pytest.approx(figures[key], abs=tolerance), (name, key)
    assert len(told["shares"]) == 4
    kept = read_model_file(copy)["figures"]["int8, in points"]["share of living over 50 images"]
    assert list(kept.values()) == pytest.approx(
        [told["shares"][f"share of living over 50 successive images, {what}"] for what in SHARES], abs=0.001
    )
    # One cell is two thirds of a point.
    recorded_share = recorded["int8, in points"]["share of living over 50 images"]
    assert recorded_share == pytest.approx(kept, abs=0.7)
