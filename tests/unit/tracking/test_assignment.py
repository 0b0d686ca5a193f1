from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from streamcount.tracking import assignment
from streamcount.tracking.assignment import assign

MAX_COST = 1.5


def pairs_of(costs):
    rows, columns = np.nonzero(np.isfinite(costs))
    return rows.astype(np.int64), columns.astype(np.int64), costs[rows, columns]


@st.composite
def cost_tables(draw):
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    costs = rng.random(shape) * 2
    if draw(st.booleans()):
        costs = np.round(costs * 4) / 4
    costs[rng.random(shape) > draw(st.floats(0.1, 1.0))] = np.inf
    return costs


@given(cost_tables(), st.sampled_from([0, 40_000]), st.sampled_from([0, 4_096]))
@settings(max_examples=300, deadline=None)
def test_is_as_good_as_the_dense_solution(costs, dense_cells, together_cells):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assignment, "TOGETHER_CELLS", together_cells)
        patch.setattr(assignment, "DENSE_CELLS", dense_cells)
        rows, columns = assign(*pairs_of(costs), MAX_COST)
    assert len(set(rows.tolist())) == len(rows)
    assert len(set(columns.tolist())) == len(columns)
    assert (np.diff(rows) > 0).all()
    assert (costs[rows, columns] < MAX_COST).all()
    worths = np.where(costs < MAX_COST, MAX_COST - costs, 0.0)
    best = worths[linear_sum_assignment(worths, maximize=True)].sum()
    np.testing.assert_allclose(worths[rows, columns].sum(), best, atol=1e-9)


def test_nothing_to_link():
    rows, columns = assign(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), MAX_COST)
    assert len(rows) == len(columns) == 0
    rows, _ = assign(np.array([0]), np.array([0]), np.array([MAX_COST]), MAX_COST)
    assert len(rows) == 0


def test_two_good_links_beat_one_perfect_one():
    costs = np.array([[0.0, 0.3], [0.3, np.inf]])
    assert assign(*pairs_of(costs), MAX_COST)[1].tolist() == [1, 0]
    assert assign(*pairs_of(costs), 0.4)[1].tolist() == [0]
