"""One training after the other, for curves and for sources left out."""

from __future__ import annotations

import tempfile
from pathlib import Path

from streamcount.training.compile import Naming, Parts, make_bundle
from streamcount.training.data.labelled import Dataset, split_calibration
from streamcount.training.dense import fit
from streamcount.training.judge import ANY_CLASS, ClassFigures
from streamcount.training.plan import Asked, plan


def train_and_judge(train: Dataset, val: Dataset, asked: Asked) -> tuple[ClassFigures, ClassFigures]:
    """Figures, of all cells as one class, of the int8 form of a model trained on `train`, as the command makes it.

    First of all cells, then of whole ones only.
    """
    kept, held = split_calibration(train, 0.1)
    recipe = plan(asked, kept)
    with tempfile.TemporaryDirectory() as folder:
        net = fit(kept, recipe, Path(folder) / "work")
        naming = Naming(
            "trial", train.class_names, (), (), (), int(kept.class_counts().argmax()), 10.0, "", "", ""
        )
        measured = make_bundle(
            net, Parts(kept, held, val), recipe, naming, Path(folder) / "trial", lambda text: None
        )
    return measured["int8"][ANY_CLASS], measured["int8, whole cells"][ANY_CLASS]
