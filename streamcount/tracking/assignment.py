"""Sparse assignment: which track goes with which detection, at the least total cost.

A link is worth `max_cost - cost`, and the sum of worths is made as large as possible, so a track may also
stay unlinked. Most links are beyond doubt and are taken for all tracks at once (see `_certain`). What remains
falls apart into small connected components of the graph of possible pairs, each solved on its own (as u-track
and laptrack solve the whole; Jaqaman et al., Nature Methods 5, 695, 2008).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching

from streamcount.tracking.gating import by_number
from streamcount.tracking.motion import Float64Array
from streamcount.types import Int64Array

# From this many cells of a dense block on, the sparse solver is the faster one.
DENSE_CELLS = 40_000
# Up to this many cells of a dense block, solving it is quicker than taking it apart.
TOGETHER_CELLS = 16_384
# Components are solved together up to about this many rows: a call costs more than so small a block.
BATCH_ROWS = 32


def assign(
    rows: Int64Array, columns: Int64Array, costs: Float64Array, max_cost: float
) -> tuple[Int64Array, Int64Array]:
    """Rows and columns of the links, in ascending order of row.

    rows, columns: (P,) int64, the possible pairs, each at most once, sorted by row, then column. costs: (P,).
    Pairs whose cost is not below max_cost are left out. Of several best solutions the same one is taken
    whenever the inputs are the same.
    """
    good = costs < max_cost
    rows, columns, worths = rows[good], columns[good], max_cost - costs[good]
    if not len(rows):
        return rows, columns
    sure = _certain(rows, columns, worths)
    rows_free = np.ones(int(rows[-1]) + 1, np.bool_)
    columns_free = np.ones(int(columns.max()) + 1, np.bool_)
    rows_free[rows[sure]] = False
    columns_free[columns[sure]] = False
    left = np.flatnonzero(rows_free[rows] & columns_free[columns])
    if not len(left):
        return rows[sure], columns[sure]
    chosen = np.sort(np.append(sure, left[_solve_left(rows[left], columns[left], worths[left])]))
    return rows[chosen], columns[chosen]


def _certain(rows: Int64Array, columns: Int64Array, worths: Float64Array) -> NDArray[np.intp]:
    """Positions of pairs that are in a best solution whatever the others do.

    Such is a pair that is worth at least as much as the second best of its row and of its column together:
    in a solution without it, swapping it in for whatever its row and its column are linked to loses
    nothing. Taking one only removes rivals of the others, so all are taken together; of equals the first
    pair is taken.
    """
    of_row, second_of_row = _first_and_second(rows, worths, None)
    of_column, second_of_column = _first_and_second(columns, worths, by_number(columns))
    # Worth of the second best of row and column; infinite where the pair is not the first of both.
    rivals = np.full(len(rows), np.inf)
    rivals[of_row] = second_of_row
    others = np.full(len(rows), np.inf)
    others[of_column] = second_of_column
    return np.flatnonzero(worths >= rivals + others)


def _first_and_second(
    owners: Int64Array, worths: Float64Array, order: NDArray[np.intp] | None
) -> tuple[NDArray[np.intp], Float64Array]:
    """Position of the best pair of each owner, and the worth of the owner's second best, or 0.

    order: the pairs by owner; None where they are so already. worths: above 0.
    """
    if order is not None:
        owners, worths = owners[order], worths[order]
    new = np.ones(len(owners), np.bool_)
    np.not_equal(owners[1:], owners[:-1], out=new[1:])
    starts = np.flatnonzero(new)
    ranks = np.cumsum(new) - 1
    best = np.flatnonzero(worths == np.maximum.reduceat(worths, starts)[ranks])
    if len(best) > len(starts):
        best = best[np.diff(ranks[best], prepend=-1) > 0]
    others = worths.copy()
    others[best] = 0.0
    return best if order is None else order[best], np.maximum.reduceat(others, starts)


def _solve_left(rows: Int64Array, columns: Int64Array, worths: Float64Array) -> NDArray[np.intp]:
    """Positions of the pairs that link, of those that are in doubt."""
    row_ranks, n_rows = _ranks(rows)
    column_ranks, n_columns = _ranks(columns)
    if n_rows * n_columns <= TOGETHER_CELLS:
        return _solve(row_ranks, column_ranks, worths)
    return _solve_components(row_ranks, column_ranks, worths)


def _ranks(numbers: Int64Array) -> tuple[NDArray[np.intp], int]:
    """The numbers without the gaps between them, and how many there are."""
    used = np.zeros(int(numbers.max()) + 1, np.bool_)
    used[numbers] = True
    ranks: NDArray[np.intp] = np.cumsum(used) - 1
    return ranks[numbers], int(ranks[-1]) + 1


def _solve_components(
    row_ranks: NDArray[np.intp], column_ranks: NDArray[np.intp], worths: Float64Array
) -> NDArray[np.intp]:
    """Positions of the pairs that link, each connected component of the pairs solved on its own.

    Small components are solved several in one block, where they cannot disturb each other: between them no
    pair is worth anything. row_ranks (ascending), column_ranks: from 0 without a gap.
    """
    n_rows = int(row_ranks.max()) + 1
    size = n_rows + int(column_ranks.max()) + 1
    ends = np.cumsum(np.bincount(row_ranks, minlength=size))
    graph = csr_array(
        (
            np.ones(len(row_ranks)),
            (column_ranks + n_rows).astype(np.int32),
            np.append(0, ends).astype(np.int32),
        ),
        shape=(size, size),
    )
    row_labels = connected_components(graph, directed=False)[1][:n_rows].astype(np.int64)
    rows_in = np.bincount(row_labels)
    batches = (np.cumsum(rows_in) - rows_in) // BATCH_ROWS
    labels = batches[row_labels[row_ranks]]
    order = np.argsort(labels, kind="stable")
    labels = labels[order]
    starts = np.flatnonzero(np.diff(labels, prepend=-1))
    local_rows = _local_ranks(labels, row_ranks[order])
    local_columns = _local_ranks(labels, column_ranks[order])
    chosen = [
        start + _solve(local_rows[start:end], local_columns[start:end], worths[order[start:end]])
        for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(order)], strict=True)
    ]
    found: NDArray[np.intp] = order[np.concatenate(chosen)]
    return found


def _local_ranks(labels: Int64Array, ranks: NDArray[np.intp]) -> NDArray[np.intp]:
    """The ranks counted from 0 in each component. labels: ascending, the component of each rank."""
    base = int(ranks.max()) + 1
    keys, places = np.unique(labels * base + ranks, return_inverse=True)
    local: NDArray[np.intp] = places - np.searchsorted(keys, labels * base)
    return local


def _solve(row: NDArray[np.intp], column: NDArray[np.intp], worths: Float64Array) -> NDArray[np.intp]:
    """Positions of the pairs of one component that link. row, column: ranks from 0 without a gap."""
    n_rows, n_columns = int(row.max()) + 1, int(column.max()) + 1
    if n_rows * n_columns > DENSE_CELLS:
        return _solve_sparse(row, column, worths, (n_rows, n_columns))
    gains = np.zeros((n_rows, n_columns))
    gains[row, column] = worths
    matched_rows, matched_columns = linear_sum_assignment(gains, maximize=True)
    partner = np.full(n_rows, -1, np.intp)
    partner[matched_rows] = matched_columns
    # A cell of the block that is no pair has worth 0: being matched there means to stay unlinked.
    return np.flatnonzero(partner[row] == column)


def _solve_sparse(
    row: NDArray[np.intp], column: NDArray[np.intp], worths: Float64Array, shape: tuple[int, int]
) -> NDArray[np.intp]:
    n_rows, n_columns = shape
    alone = np.arange(n_rows)
    # A column of its own for each row makes staying unlinked a match too. All costs are raised alike above
    # zero, which the solver does not take for a pair.
    top = float(worths.max()) + 1.0
    costs = np.concatenate([top - worths, np.full(n_rows, top)])
    graph = csr_array(
        (costs, (np.concatenate([row, alone]), np.concatenate([column, n_columns + alone]))),
        shape=(n_rows, n_columns + n_rows),
    )
    matched_rows, matched_columns = min_weight_full_bipartite_matching(graph)
    partner = np.full(n_rows, -1, np.intp)
    partner[matched_rows] = matched_columns
    return np.flatnonzero(partner[row] == column)
