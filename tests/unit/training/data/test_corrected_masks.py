"""Corrections of a model with outlines as label images: its own cells outlined again, drawn ones as ellipses."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from streamcount.cli import app
from streamcount.detection import TfliteConfig
from streamcount.errors import TrainingError
from streamcount.sinks.corrections import CorrectionsFolder
from streamcount.sources.base import Run
from streamcount.sources.simulated import SimulatedConfig
from streamcount.training.data.corrected import write_corrected
from streamcount.training.data.outlined import Outliner, _draw_ellipse
from streamcount.training.data.read import read_data
from streamcount.types.corrections import CorrectedModel, Draw, FoundCell, FrameFacts, Saving, Strike
from streamcount.wire import encode_image


@pytest.fixture(scope="module")
def counted():
    """A frame of nuclei, and what the model `nuclei` finds in it, label image included."""
    source = SimulatedConfig(modality="fluorescence", seed=4).build()
    frame = next(iter(source.frames(Run("scope-1", "a", lambda: 10**18))))
    return frame, TfliteConfig(model="nuclei").build().detect(frame, labels=True)


def keep(folder: Path, counted, corrections, model_sha256: str = "") -> FrameFacts:
    frame, seen = counted
    data = encode_image(frame.image, "png")
    boxes = [tuple(map(float, box)) for box in seen.boxes_px]
    facts = FrameFacts(
        camera_id="scope-1",
        run_id="a",
        sequence=0,
        acquired_at_ns=10**18,
        frame_sha256=sha256(data).hexdigest(),
        content_type="image/png",
        width_px=frame.image.shape[1],
        height_px=frame.image.shape[0],
        pixel_size_um=frame.metadata.pixel_size_um,
        model=CorrectedModel("nuclei", model_sha256 or seen.model.sha256, ("nucleus",)),
        found=tuple(FoundCell(box, "nucleus", 0.9) for box in boxes),
    )
    saving = Saving(
        frame=facts, number=1, saved_at_ns=1, corrections=tuple(corrections), checked=True, remark=""
    )
    CorrectionsFolder(folder).keep(saving, data)
    return facts


def test_found_cells_have_the_models_outline_and_drawn_ones_an_ellipse(tmp_path: Path, counted) -> None:
    _, seen = counted
    gap = next(
        (y, x)
        for y in range(20, 440, 10)
        for x in range(20, 600, 10)
        if not seen.labels[y - 15 : y + 15, x - 20 : x + 20].any()
    )
    box = (gap[0] - 10.0, gap[1] - 15.0, gap[0] + 10.0, gap[1] + 15.0)
    keep(tmp_path / "kept", counted, [Strike(3), Draw(box, "nucleus")])
    outliner = Outliner("nuclei")
    made = write_corrected(tmp_path / "kept", tmp_path / "mine", outliner=outliner)
    number = len(seen)
    assert (made.cells, outliner.outlined, outliner.drawn) == (number, number - 1, 1)
    (image,) = read_data(tmp_path / "mine").images
    labels = image.masks()
    # What the model outlined and nobody struck is as it was; what was struck is ground.
    kept = (seen.labels > 0) & (seen.labels != 4)
    inside = np.zeros(labels.shape, bool)
    inside[gap[0] - 10 : gap[0] + 11, gap[1] - 15 : gap[1] + 16] = True
    np.testing.assert_array_equal((labels > 0) & ~inside, kept)
    assert not labels[seen.labels == 4].any()
    drawn = int(((labels > 0) & inside).sum())
    assert drawn == pytest.approx(np.pi * 10 * 15, rel=0.1)
    for cell in (1, number // 2, number):
        (told,) = np.unique(labels[seen.labels == cell])
        np.testing.assert_array_equal(labels == told, seen.labels == cell)


def test_frames_that_another_state_of_the_model_counted_are_refused_before_anything_is_written(
    tmp_path: Path, counted
) -> None:
    keep(tmp_path / "kept", counted, [], model_sha256="ab" * 32)
    with pytest.raises(TrainingError, match="was counted by nuclei abababababab"):
        write_corrected(tmp_path / "kept", tmp_path / "mine", outliner=Outliner("nuclei"))
    assert not (tmp_path / "mine").exists()


def test_a_cell_that_the_model_does_not_find_again_is_an_ellipse(tmp_path: Path, counted) -> None:
    frame, seen = counted
    moved = msgspec.structs.replace(seen, boxes_px=seen.boxes_px + np.float32(2 * 30))
    keep(tmp_path / "kept", (frame, moved), [Strike(i) for i in range(1, len(seen))])
    outliner = Outliner("nuclei")
    made = write_corrected(tmp_path / "kept", tmp_path / "mine", outliner=outliner)
    assert (made.cells, outliner.outlined, outliner.drawn) == (1, 0, 1)


def test_the_command_tells_how_many_of_each_there_are(tmp_path: Path, counted) -> None:
    keep(tmp_path / "kept", counted, [Strike(0)])
    words = ["data", "corrections", str(tmp_path / "kept"), "--output", str(tmp_path / "mine"), "--masks"]
    done = CliRunner().invoke(app, [*words, "nuclei"])
    assert done.exit_code == 0, done.output
    assert f"{len(counted[1]) - 1} cells have the model's outline, 0 the ellipse" in done.output
    done = CliRunner().invoke(app, [*words, "blood-smear"])
    assert isinstance(done.exception, TrainingError)
    assert "finds boxes and no outlines" in str(done.exception)


@pytest.mark.parametrize("side", [3, 10, 11, 40])
def test_a_drawn_cell_is_as_large_as_its_box_and_a_covered_one_keeps_its_middle(side):
    labels = np.zeros((60, 60), np.int32)
    _draw_ellipse(labels, (7.0, 9.0, 7.0 + side, 9.0 + side), 1)
    ys, xs = np.nonzero(labels)
    assert (ys.min(), ys.max() + 1, xs.min(), xs.max() + 1) == (7, 7 + side, 9, 9 + side)
    assert len(ys) == pytest.approx(np.pi * side**2 / 4, rel=0.1, abs=2)
    _draw_ellipse(labels, (8.0, 10.0, 9.0, 11.0), 2)
    assert np.count_nonzero(labels == 2) == 1
