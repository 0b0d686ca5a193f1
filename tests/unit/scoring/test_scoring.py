"""What is told of drawn films: each error lowers the figure that is for it, and no other hides it."""

from __future__ import annotations

from pathlib import Path

import pytest
import tifffile

from streamcount.scoring import Score, score
from tests.labelfilms import CORNER, PLACES, T, write_results, write_truth

pytest.importorskip("ctc_metrics", reason="needs the `score` extra")

# A cell at a divides into b and c; d stays all the time.
DIVIDING = [T(1, 0, "aaaa"), T(2, 4, "bbbb", 1), T(3, 4, "cccc", 1), T(4, 0, "dddddddd")]


@pytest.fixture
def scored(tmp_path: Path):
    """Scores drawn films; `frames` is their length."""

    def run(truth: list[T], results: list[T], frames: int = 8, buffer: int = 2) -> Score:
        folders = (
            write_truth(tmp_path / "01_GT", truth, frames),
            write_results(tmp_path / "01_RES", results, frames),
        )
        return score(*folders, buffer)

    return run


def counts(found: list) -> list[tuple[int, int, int]]:
    return [(one.true, one.found, one.matched) for one in found]


def test_perfect_results_score_one_everywhere(scored) -> None:
    # With a birth, an end and a cell that leaves, under other labels.
    truth = [*DIVIDING, T(5, 2, "eeeeee"), T(6, 0, "fff"), T(7, 0, "g" + CORNER)]
    results = [T(t.label + 20, t.begin, t.places, t.parent and t.parent + 20) for t in truth]
    told = scored(truth, results)
    assert set(told.measures.values()) == {1.0}
    assert set(told.measures) == {
        "SEG", "DET", "TRA", "LNK", "CT", "TF", "CHOTA", "BC(0)", "BC(1)", "BC(2)",
    }  # fmt: skip
    happenings = told.happenings
    for kind in (happenings.divisions, happenings.births, happenings.ends):
        assert counts(kind) == [(1, 1, 1)] * 3
        assert all((one.f1, one.precision, one.recall) == (1, 1, 1) for one in kind)
        assert all(one.missed == one.false == () for one in kind)
    assert (told.frames, told.tracks, told.cells) == (8, (7, 7), (31, 31))


def test_a_missed_only_division_hardly_shows_in_tra_but_in_f1(scored) -> None:
    others = [T(10 + n, 0, place * 40) for n, place in enumerate(PLACES[4:24])]
    truth = [T(1, 0, "a" * 20), T(2, 20, "b" * 20, 1), T(3, 20, "c" * 20, 1), *others]
    results = [T(t.label, t.begin, t.places) for t in truth]
    told = scored(truth, results, 40)
    assert told.measures["TRA"] > 0.99
    assert told.measures["LNK"] > 0.99
    for one in told.happenings.divisions:
        assert (one.f1, one.recall, one.precision) == (0, 0, None)
        assert one.missed == ((19, 1),)
    assert counts(told.happenings.births)[0] == (0, 2, 0), "daughters without a mother are born"


def test_a_swapped_identity_lowers_lnk_and_not_det(scored) -> None:
    truth = [T(1, 0, "aaaaaaaa"), T(2, 0, "bbbbbbbb")]
    told = scored(truth, [T(1, 0, "aaaabbbb"), T(2, 0, "bbbbaaaa")])
    assert told.measures["DET"] == told.measures["SEG"] == 1
    # Of 14 links two are missing and two are false.
    assert told.measures["LNK"] == pytest.approx(1 - (2 * 1 + 2 * 1.5) / (14 * 1.5))
    assert told.measures["CHOTA"] < 0.8
    assert told.measures["CT"] == 0
    assert told.measures["BC(0)"] is None
    assert told.happenings.divisions[0].f1 is None


def test_a_false_birth_is_counted(scored) -> None:
    told = scored(DIVIDING, [*DIVIDING, T(9, 3, "xx")])
    (born, *_), (ended, *_) = told.happenings.births, told.happenings.ends
    assert (born.true, born.found, born.matched, born.f1) == (0, 1, 0, 0)
    assert born.false == ((3, 9),)
    assert ended.false == ((4, 9),)
    assert told.happenings.divisions[0].f1 == 1


def test_births_and_ends_within_the_buffer(scored) -> None:
    truth = [T(1, 0, "aaaaaaaa"), T(2, 2, "bbbb"), T(3, 5, "ccc")]
    told = scored(truth, [T(1, 0, "aaaaaaaa"), T(2, 3, "bbbb"), T(3, 3, "ccccc")])
    assert counts(told.happenings.births) == [(2, 2, 0), (2, 2, 1), (2, 2, 2)]
    assert [one.false for one in told.happenings.births] == [((3, 2), (3, 3)), ((3, 3),), ()]
    assert counts(told.happenings.ends) == [(1, 1, 0), (1, 1, 1), (1, 1, 1)]


def test_an_end_at_the_image_s_edge_is_none(scored) -> None:
    truth = [T(1, 0, "aa" + CORNER), T(2, 0, "bbb"), T(3, 0, "cccccccc")]
    told = scored(truth, truth)
    assert counts(told.happenings.ends)[0] == (1, 1, 1)


def test_a_gap_is_no_division_no_birth_and_no_end(scored) -> None:
    told = scored([T(1, 0, "aaaaaaaa")], [T(1, 0, "aaa"), T(2, 5, "aaa", 1)])
    for kind in (told.happenings.divisions, told.happenings.births, told.happenings.ends):
        assert counts(kind) == [(0, 0, 0)] * 3
    assert told.measures["TRA"] < 1


def test_a_division_counts_though_its_mother_had_a_gap(scored) -> None:
    results = [T(8, 0, "a"), T(9, 2, "aa", 8), T(2, 4, "bbbb", 9), T(3, 4, "cccc", 9), T(4, 0, "dddddddd")]
    told = scored(DIVIDING, results)
    assert counts(told.happenings.divisions) == [(1, 1, 1)] * 3


LATE = [T(1, 0, "aaaab"), T(2, 5, "bbb", 1), T(3, 5, "ccc", 1), DIVIDING[3]]
EARLY = [T(1, 0, "aaa"), T(2, 3, "abbbb", 1), T(3, 3, "ccccc", 1), DIVIDING[3]]
EARLIER = [T(1, 0, "aa"), T(2, 2, "aabbbb", 1), T(3, 2, "cccccc", 1), DIVIDING[3]]
# A daughter elsewhere; three daughters; none; another division where none is; the mother another cell; a daughter
# not found in her first frame.
ASTRAY = [*DIVIDING[:2], T(3, 4, "xxxx", 1), DIVIDING[3]]
THREE = [*DIVIDING[:3], T(5, 4, "xxxx", 1), DIVIDING[3]]
NONE = [DIVIDING[0], T(2, 4, "bbbb"), T(3, 4, "cccc"), DIVIDING[3]]
FALSE = [*DIVIDING[:3], T(4, 0, "ddd"), T(5, 3, "ddddd", 4), T(6, 3, "xxxxx", 4)]
HIDDEN = [*DIVIDING[:2], T(3, 5, "ccc", 1), DIVIDING[3]]
STRANGER = [DIVIDING[0], T(4, 0, "dddd"), T(2, 4, "bbbb", 4), T(3, 4, "cccc", 4), T(5, 4, "dddd")]


@pytest.mark.parametrize(
    ("results", "found", "matched"),
    [
        (DIVIDING, 1, [1, 1, 1]),
        (LATE, 1, [0, 1, 1]),
        (EARLY, 1, [0, 1, 1]),
        (EARLIER, 1, [0, 0, 1]),
        (ASTRAY, 1, [0, 0, 0]),
        (NONE, 0, [0, 0, 0]),
        (FALSE, 2, [1, 1, 1]),
        (STRANGER, 1, [0, 0, 0]),
    ],
    ids=["same", "late", "early", "two early", "astray", "none", "false", "stranger"],
)
def test_divisions_are_counted_as_by_traccuracy(
    scored, results: list[T], found: int, matched: list[int]
) -> None:
    """The numbers are what traccuracy 0.4.3 (CTCMatcher, DivisionMetrics, max_frame_buffer=2) says of these films."""
    told = scored(DIVIDING, results)
    divisions = told.happenings.divisions
    assert counts(divisions) == [(1, found, number) for number in matched]
    assert [one.f1 for one in divisions] == [told.measures[f"BC({one.buffer})"] for one in divisions]


@pytest.mark.parametrize(
    ("results", "matched"), [(THREE, [0, 0, 0]), (HIDDEN, [0, 1, 1])], ids=["three", "hidden"]
)
def test_two_divisions_are_counted_as_by_the_challenge(scored, results: list[T], matched: list[int]) -> None:
    """traccuracy takes three daughters for right, and a daughter first found later for wrong at any buffer."""
    told = scored(DIVIDING, results)
    assert counts(told.happenings.divisions) == [(1, 1, number) for number in matched]
    assert [told.measures[f"BC({buffer})"] for buffer in range(3)] == matched


def test_the_measures_are_what_py_ctcmetrics_reads_from_the_files(scored, tmp_path: Path, capsys) -> None:
    from ctc_metrics import evaluate_sequence

    truth = [*DIVIDING, T(5, 2, "eeee"), T(6, 0, "ffffffff")]
    # A gap, a swap, a false cell, a missed one, and a false division.
    results = [
        T(1, 0, "aa"), T(11, 3, "a", 1), T(2, 4, "bbdd", 11), T(3, 4, "cccc", 11), T(4, 0, "dddddd"),
        T(5, 3, "eee"), T(6, 0, "fff"), T(7, 3, "fffff", 6), T(8, 3, "ggggg", 6), T(9, 0, "x"),
    ]  # fmt: skip
    told = scored(truth, results)
    theirs = evaluate_sequence(str(tmp_path / "01_RES"), str(tmp_path / "01_GT"), threads=1)
    for name, value in told.measures.items():
        assert value == pytest.approx(theirs[name]), name


def test_frames_without_cells_are_scored(scored) -> None:
    truth = [T(1, 1, "aa"), T(2, 5, "bbb")]
    told = scored(truth, [T(1, 1, "aa"), T(2, 6, "bb")])
    assert 0.5 < told.measures["CHOTA"] < 1
    assert counts(told.happenings.births) == [(2, 2, 1), (2, 2, 2), (2, 2, 2)]


def test_results_that_are_all_elsewhere_score_zero(scored) -> None:
    told = scored(DIVIDING, [T(1, 0, "uuuuuuuu"), T(2, 3, "vvv")])
    assert {name for name, value in told.measures.items() if value} == set()
    assert counts(told.happenings.births) == [(0, 1, 0)] * 3


def test_cells_seen_once_have_no_links(scored) -> None:
    told = scored([T(1, 0, "a"), T(2, 1, "b")], [T(1, 0, "a"), T(2, 1, "b")], 2)
    assert told.measures["LNK"] is None
    assert told.measures["TRA"] == 1


def test_a_found_cell_over_two_true_ones_is_no_event(tmp_path: Path) -> None:
    write_truth(tmp_path / "01_GT", [T(1, 0, "aaa"), T(2, 1, "bb")], 3, seg=False)
    folder = write_results(tmp_path / "01_RES", [T(1, 0, "aaa")], 3)
    for frame in (1, 2):
        mask = tifffile.imread(folder / f"mask{frame:04d}.tif")
        mask[4:12, 4:24] = 1
        tifffile.imwrite(folder / f"mask{frame:04d}.tif", mask)
    told = score(tmp_path / "01_GT", folder)
    assert told.measures["SEG"] is None
    assert told.measures["DET"] == pytest.approx(1 - 2 * 5 / (5 * 10)), "two to be split, of five"
    assert counts(told.happenings.births)[2] == (1, 0, 0)
