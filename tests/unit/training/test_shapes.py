"""The second stage's training: crops of cells that a first model finds, cleaned labels, a classifier in a bundle."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("tensorflow", reason="training needs the `train` extra")
pytest.importorskip("imagehash", reason="training needs the `train` extra")

from streamcount.cli import app
from streamcount.errors import TrainingError
from streamcount.training.data.labelled import Dataset, LabelledImage, without_classes
from streamcount.training.shapes.clean import suspect
from streamcount.training.shapes.crops import Crops, FoundCells, match_points, twice_labelled
from streamcount.training.shapes.judge import ALL_CLASSES, abnormal_told, fit_share_temperature, shape_figures


def draw_smear(rng: np.random.Generator) -> tuple[np.ndarray, list[str]]:
    """Red cells with a pale or a dark middle on a smear, and their lines of labels."""
    image = np.full((240, 320, 3), (232, 224, 222), np.uint8)
    lines = []
    for row, column in np.ndindex(3, 4):
        y, x = (int(40 + 78 * v + rng.integers(-6, 7)) for v in (row, column))
        dark = bool(rng.random() < 0.5)
        cv2.circle(image, (x, y), 28, (198, 140, 140), -1, cv2.LINE_AA)
        cv2.circle(image, (x, y), 12, (120, 60, 80) if dark else (222, 190, 188), -1, cv2.LINE_AA)
        lines.append(f"{x} {y} {int(dark)}")
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 1.2), np.uint8), lines


def write_points(root: Path, train: int, val: int) -> Path:
    rng = np.random.default_rng(4)
    for part, number in (("train", train), ("val", val)):
        for folder in ("images", "labels"):
            (root / part / folder).mkdir(parents=True)
        for i in range(number):
            image, lines = draw_smear(rng)
            name = root / part / "images" / f"{part}{i:02d}.png"
            cv2.imwrite(str(name), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
            (root / part / "labels" / f"{part}{i:02d}.txt").write_text(
                "\n".join(lines) + "\n", encoding="utf-8"
            )
    (root / "classes.txt").write_text("pale\ndark\n", encoding="utf-8")
    return root


def labelled(path: Path, boxes: list[list[float]], ids: list[int]) -> LabelledImage:
    return LabelledImage(
        path, (240, 320), np.array(boxes, np.float32).reshape(-1, 4), np.array(ids, np.int64)
    )


def test_the_commands_make_a_second_stage_and_judge_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(Path(__file__).parents[3] / "models" / "blood-smear")
    monkeypatch.chdir(tmp_path)
    write_points(tmp_path / "points", 9, 4)
    words = [
        "train",
        "points",
        "--task",
        "shapes",
        "--first",
        folder,
        "--output",
        "made/middles",
        "--width",
        "8",
    ]
    more = ["--epochs", "10", "--canvas", "64", "--diameter", "32", "--batch", "8", "--names", "pale=ring"]
    result = CliRunner().invoke(app, [*words, *more])
    assert result.exit_code == 0, result.output
    table = tomllib.loads(Path("made/middles/model.toml").read_text(encoding="utf-8"))
    assert (table["task"], table["refines"], table["input"]["crop_px"]) == ("crop-classification", "red", 64)
    assert [one["name"] for one in table["classes"]] == ["ring", "dark"]
    assert table["training"]["first"] == "blood-smear"
    for form in ("int8", "float32"):
        assert set(table["figures"][form]) == {"ring", "dark", ALL_CLASSES}
        assert table["figures"][form][ALL_CLASSES]["accuracy"] > 0.8
    words = [
        "evaluate",
        "points/val",
        "--model",
        "made/middles",
        "--first",
        folder,
        "--report",
        "report",
        "--json",
    ]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout[result.stdout.index("{") :])
    # The training took the scale from its own part, the judgement from val; the drawings are of one scale.
    assert told["int8"][ALL_CLASSES]["accuracy"] == pytest.approx(
        table["figures"]["int8"][ALL_CLASSES]["accuracy"], abs=0.05
    )
    assert "data:image/png" in Path("report/report.html").read_text(encoding="utf-8")


def test_a_label_is_suspect_that_confident_nets_contradict() -> None:
    shares = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.05, 0.95], [0.55, 0.45]])
    labels = np.array([0, 0, 1, 1, 0, 0])
    # The fifth is labelled 0 and surely 1; the sixth is unsure, and stays.
    assert suspect(shares, labels).tolist() == [False, False, False, False, True, False]


def test_a_point_and_a_cell_match_where_each_is_the_others_nearest() -> None:
    image = labelled(Path("a.png"), [[0, 0, 40, 40], [4, 4, 44, 44], [200, 200, 240, 240]], [0, 1, 0])
    found = np.array([[1, 1, 41, 41], [100, 100, 140, 140]], np.float32)
    cells, points = match_points(image, found, 40.0)
    assert (cells.tolist(), points.tolist()) == ([0], [0])
    assert match_points(image, np.empty((0, 4), np.float32), 40.0)[0].size == 0


def test_pictures_that_are_there_twice_tell_which_labels_contradict(tmp_path: Path) -> None:
    smear, _ = draw_smear(np.random.default_rng(1))
    other, _ = draw_smear(np.random.default_rng(2))
    for name, image in (("a", smear), ("b", np.clip(smear * 0.9, 0, 255).astype(np.uint8)), ("c", other)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
    boxes = [[20, 20, 60, 60], [100, 100, 140, 140]]
    dataset = Dataset(
        (
            labelled(tmp_path / "a.png", boxes, [0, 1]),
            labelled(tmp_path / "b.png", boxes, [0, 0]),
            labelled(tmp_path / "c.png", boxes, [1, 1]),
        ),
        ("pale", "dark"),
    )
    twice = twice_labelled(dataset, FoundCells((), np.full(3, 40.0), 40.0))
    assert (twice.cells, twice.agreed) == (2, 1)
    assert [wrong.tolist() for wrong in twice.contradicted] == [[False, True], [False, True], [False, False]]


def test_a_set_of_several_scales_is_cut_by_each_images_own() -> None:
    seen = np.array([40.0, 0.0, 20.0])
    alike, several = FoundCells((), seen, 30.0), FoundCells((), seen, 30.0, one_scale=False)
    assert [alike.told_px(i) for i in range(3)] == [30.0, 30.0, 30.0]
    assert (
        [several.told_px(i) for i in range(3)] == [several.seen_px(i) for i in range(3)] == [40.0, 30.0, 20.0]
    )


def test_figures_of_shapes() -> None:
    ids = np.array([0, 0, 0, 1])
    crops = Crops(np.zeros((4, 8, 8, 3), np.uint8), ids, np.array([0, 0, 1, 1]), np.arange(4), 0.8)
    figures = shape_figures(crops, ("a", "b", "never"), np.array([0, 0, 1, 1]))
    assert figures["a"].recall == pytest.approx(2 / 3, abs=1e-4)
    assert figures["b"].precision == 0.5
    over_all = figures[ALL_CLASSES]
    assert (over_all.accuracy, over_all.share_found) == (0.75, 0.8)
    # A class that is not labelled is no part of the mean.
    assert over_all.macro_f1 == pytest.approx((0.8 + 2 / 3) / 2, abs=1e-4)


def test_a_temperature_makes_sure_shares_less_sure() -> None:
    shares = np.tile([0.99, 0.01], (100, 1))
    labels = np.array([0] * 80 + [1] * 20)
    assert fit_share_temperature(shares, labels) == pytest.approx(np.log(99) / np.log(4), rel=0.01)


def test_classes_can_be_left_out() -> None:
    dataset = Dataset(
        (labelled(Path("a.png"), [[0, 0, 9, 9]] * 3, [0, 1, 2]),), ("a", "b", "c"), 0, (1.0, 2.0, 3.0)
    )
    some = without_classes(dataset, ("b",))
    assert (some.class_names, some.relative_diameters) == (("a", "c"), (1.0, 3.0))
    assert some.images[0].class_ids.tolist() == [0, 1]
    with pytest.raises(TrainingError, match="no class of the data"):
        without_classes(dataset, ("d",))


def test_what_abnormal_classes_are_worth_is_told_at_each_least_probability() -> None:
    class_ids = np.array([0, 0, 0, 0, 1, 1], np.int64)
    shares = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [1.0, 0.0], [0.05, 0.95], [0.6, 0.4]], np.float32)
    told = abnormal_told(class_ids, shares, np.array([False, True]))
    assert [(one.of_abnormal, one.of_others) for one in told] == [
        (0.5, 0.25), (0.5, 0.25), (0.5, 0.0), (0.5, 0.0), (0.5, 0.0)
    ]  # fmt: skip
    assert abnormal_told(class_ids, shares, np.array([False, False])) == []
