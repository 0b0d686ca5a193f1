"""The state of an unfinished training: whose it is, and how it goes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamcount.errors import TrainingError
from streamcount.training.data.labelled import Dataset, LabelledImage
from streamcount.training.loop import HISTORY_FILE, LOGS, RECIPE_FILE, check_same_run, forget


def dataset(boxes: list[list[float]], name: str = "a.png") -> Dataset:
    image = LabelledImage(Path(name), (64, 64), np.array(boxes, np.float32), np.zeros(len(boxes), np.int64))
    return Dataset((image,), ("cell",))


def test_the_digest_tells_other_images_and_other_labels() -> None:
    first = dataset([[1, 1, 9, 9]])
    assert first.digest() == dataset([[1, 1, 9, 9]]).digest()
    others = {dataset([[1, 1, 9, 8]]).digest(), dataset([[1, 1, 9, 9]], "b.png").digest()}
    assert len({first.digest(), *others}) == 3


def test_a_training_of_other_data_is_not_gone_on_with(tmp_path: Path) -> None:
    check_same_run(tmp_path, {"epochs": 2, "data": "one"})
    check_same_run(tmp_path, {"epochs": 2, "data": "one"})
    with pytest.raises(TrainingError, match="differs in data, epochs"):
        check_same_run(tmp_path, {"epochs": 3, "data": "another"})


def test_a_finished_training_stands_in_no_ones_way_and_leaves_its_losses(tmp_path: Path) -> None:
    for work in (tmp_path / "mine", tmp_path / "mine" / "fold-1"):
        check_same_run(work, {"data": "one"})
        (work / "state").mkdir()
        (work / LOGS).mkdir()
        (work / HISTORY_FILE).write_text("{}")
    forget(tmp_path / "mine")
    left = sorted(path.name for path in (tmp_path / "mine").rglob("*"))
    assert left == ["fold-1", HISTORY_FILE, HISTORY_FILE, LOGS, LOGS]
    check_same_run(tmp_path / "mine", {"data": "another"})
    assert [path.name for path in (tmp_path / "mine").iterdir() if path.is_file()] == [RECIPE_FILE]
