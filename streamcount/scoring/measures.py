"""The Challenge's measures, computed by py-ctcmetrics (needs the ``score`` extra)."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamcount.errors import ConfigurationError
from streamcount.scoring.film import Film

Labels = list[list[int]]


def require_extra() -> None:
    """Raises ConfigurationError where py-ctcmetrics is not installed."""
    if find_spec("ctc_metrics") is None:
        raise ConfigurationError("Scoring needs the `score` extra: pip install 'streamcount[score]'.")


def measure(film: Film, buffer: int) -> dict[str, float | None]:
    """SEG, DET, TRA, LNK, CT, TF, CHOTA, and BC(0) to BC(buffer), each 0 to 1.

    None where a measure is not defined: SEG without masks of whole cells, LNK of a truth in which no cell is seen
    twice, BC of one without a division.
    """
    require_extra()
    from ctc_metrics import metrics
    from ctc_metrics.utils.representations import count_acyclic_graph_correction_operations, merge_tracks

    truth, found = film.truth.table, film.found.table
    true_labels: Labels = [match.true_labels.tolist() for match in film.matches]
    found_labels: Labels = [match.found_labels.tolist() for match in film.matches]
    true_pairs: Labels = [match.pairs[:, 0].tolist() for match in film.matches]
    found_pairs: Labels = [match.pairs[:, 1].tolist() for match in film.matches]
    changes = count_acyclic_graph_correction_operations(
        truth, found, true_labels, found_labels, true_pairs, found_pairs
    )
    merged_truth, *merged_true = merge_tracks(truth, true_labels, true_pairs)
    merged_found, *merged_others = merge_tracks(found, found_labels, found_pairs)
    # An empty list would be an array of floats there, and no index.
    (true_all, true_same), (found_all, found_same) = (
        map(_as_arrays, merged_true),
        map(_as_arrays, merged_others),
    )
    # As lists these would be made arrays once for each cell.
    arrays = _as_arrays(true_pairs), _as_arrays(found_pairs)
    told: dict[str, float | None] = {
        "SEG": _seg(film),
        "DET": metrics.det(**changes),
        "TRA": metrics.tra(**changes)[0],
        "LNK": metrics.lnk(**changes) if changes["num_edges"] else None,
        "CT": metrics.ct(found, truth, true_labels, *arrays),
        "TF": metrics.tf(truth, true_labels, *arrays),
        "CHOTA": metrics.chota(merged_truth, merged_found, true_all, found_all, true_same, found_same)[
            "CHOTA"
        ],
    }
    for frames in range(buffer + 1):
        counts = metrics.raw_division_metrics(found, truth, true_pairs, found_pairs, i=frames)
        told[f"BC({frames})"] = metrics.bc(*counts)
    return {name: None if value is None else float(value) for name, value in told.items()}


def _seg(film: Film) -> float | None:
    from ctc_metrics import metrics

    if film.whole is None:
        return None
    labels = [match.true_labels.tolist() for match in film.whole]
    return float(metrics.seg(labels, [match.ious.tolist() for match in film.whole]))


def _as_arrays(labels: list[Any]) -> list[NDArray[np.int64]]:
    return [np.asarray(frame, np.int64) for frame in labels]
