"""To the form of the Cell Tracking Challenge and back: what is written is what was read."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcount.errors import ConfigurationError, SourceError
from streamcount.lineage.ctc import write_ctc
from streamcount.lineage.folder import read_folder
from streamcount.lineage.results import read_results
from streamcount.sinks.files import picture_name
from tests.labelfilms import PLACES, T, write_results, write_truth
from tests.lineages import FRAMES, label_image, result_lines, write_lines

LENGTH = 10
DIVIDING = [
    T(1, 0, "aaa"), T(2, 3, "bbbb", 1), T(3, 3, "ccccccc", 1), T(4, 7, "ddd", 2), T(5, 7, "ee", 2),
    T(6, 0, "ff"), T(7, 4, "ff", 6),
]  # fmt: skip


@st.composite
def films(draw: st.DrawFn) -> list[T]:
    """Tracks that divide, are out of sight for some frames, and end, each at a place of its own."""
    tracks: list[T] = []
    free = iter(PLACES)
    # A track to be: when it may begin at the earliest, its parent, and whether it is its parent going on.
    waiting = [(0, 0, False) for _ in range(draw(st.integers(1, 3)))]
    while waiting:
        earliest, parent, after_gap = waiting.pop()
        place = next(free, None)
        begin = earliest + draw(st.integers(1 if after_gap else 0, 2))
        if place is None or begin >= LENGTH:
            continue
        frames = draw(st.integers(1, LENGTH - begin))
        label = len(tracks) + 1
        tracks.append(T(label, begin, place * frames, parent))
        what = draw(st.sampled_from(["ends", "divides", "out of sight"]))
        if what != "ends":
            children = 2 if what == "divides" else 1
            waiting += [(begin + frames, label, children == 1)] * children
    # A division of which only one daughter was drawn would be its mother going on; she then goes on after a gap.
    children = {track.label: [one for one in tracks if one.parent == track.label] for track in tracks}
    cut = {
        ones[0].label for label, ones in children.items()
        if len(ones) == 1 and ones[0].begin == tracks[label - 1].end + 1
    }  # fmt: skip
    return [T(one.label, one.begin, one.places, 0 if one.label in cut else one.parent) for one in tracks]


@settings(max_examples=40, deadline=None)
@given(films())
def test_what_is_read_is_written_again(tracks: list[T]) -> None:
    with TemporaryDirectory() as place:
        before = read_folder(write_results(Path(place) / "in", tracks, LENGTH))
        write_ctc(before, Path(place) / "out")
        after = read_folder(Path(place) / "out")
        assert _lives(before) == _lives(after)
        if find_spec("ctc_metrics") is not None and tracks:
            from streamcount.scoring import score

            told = score(write_truth(Path(place) / "gt", tracks, LENGTH), Path(place) / "out", 0)
            assert told.measures["TRA"] == 1
            assert {value for value in told.measures.values() if value is not None} == {1.0}
            for kind in (told.happenings.divisions, told.happenings.births, told.happenings.ends):
                assert kind[0].true == kind[0].found == kind[0].matched


def _lives(lineage) -> list[tuple]:
    """What is told of each track but its label, which is free to change."""
    return sorted(
        (
            track.first_sequence, track.last_sequence, track.sightings, track.birth, track.fate, track.generation,
            len(track.daughter_ids), lineage.points.centroids_px[lineage.points.of(track.track_id)].tolist(),
        )
        for track in lineage.tracks
    )  # fmt: skip


def test_a_folder_s_gaps_and_fates(tmp_path: Path) -> None:
    lineage = read_folder(write_results(tmp_path / "in", DIVIDING, LENGTH))
    told = {track.track_id: (track.parent_id, track.fate, track.sightings) for track in lineage.tracks}
    assert told == {
        1: (0, "divided", 3), 2: (1, "divided", 4), 3: (1, "at-end", 7), 4: (2, "at-end", 3),
        5: (2, "ended", 2), 6: (0, "ended", 4),
    }  # fmt: skip
    assert lineage.points.sequences[lineage.points.of(6)].tolist() == [0, 1, 4, 5]
    assert (lineage.image_shape, lineage.has_times) == ((64, 64), False)
    assert read_folder(write_truth(tmp_path / "01_GT", DIVIDING, LENGTH)).tracks == lineage.tracks


def test_a_table_alone_has_tracks_but_no_places(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "in", DIVIDING, LENGTH)
    whole = read_folder(folder)
    for mask in folder.glob("*.tif"):
        mask.unlink()
    alone = read_folder(folder)
    assert alone.tracks == whole.tracks
    assert len(alone.points) == 0


@pytest.fixture
def results(tmp_path: Path) -> Path:
    lines = result_lines(unconfirmed=0)
    (tmp_path / "masks").mkdir()
    for frame, line in enumerate(lines):
        name = picture_name(line["source"], line["index"], "labels")
        cv2.imwrite(str(tmp_path / "masks" / name), label_image(frame))
    return write_lines(tmp_path / "results.jsonl", lines)


def test_results_with_masks(results: Path, tmp_path: Path) -> None:
    lineage = read_results(results, masks=tmp_path / "masks")
    assert write_ctc(lineage, tmp_path / "out") == FRAMES
    again = read_folder(tmp_path / "out")
    told = [(track.parent_id, track.first_sequence, track.last_sequence) for track in again.tracks]
    # Track 3 was out of sight in frame 7 and goes on under another label; reading joins both again.
    assert told == [(0, 0, 3), (1, 4, 7), (1, 4, 11), (2, 8, 11), (2, 8, 9), (0, 0, 11), (0, 2, 6), (0, 1, 5)]
    lines = (tmp_path / "out" / "res_track.txt").read_text().splitlines()
    assert lines[2:4] == ["3 4 6 1", "4 8 11 3"]
    mask = tifffile.imread(tmp_path / "out" / "mask0008.tif")
    assert mask.dtype == np.uint16
    assert mask[28, 38] == 4


def test_without_masks_none_is_made_up(results: Path, tmp_path: Path) -> None:
    assert write_ctc(read_results(results), tmp_path / "out") == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["res_track.txt"]


def test_a_frame_that_was_not_counted_is_an_empty_mask(results: Path, tmp_path: Path) -> None:
    lines = results.read_text().splitlines(keepends=True)
    results.write_text("".join(lines[:5] + lines[6:]))
    assert write_ctc(read_results(results, masks=tmp_path / "masks"), tmp_path / "out") == FRAMES
    assert not tifffile.imread(tmp_path / "out" / "mask0005.tif").any()
    assert read_folder(tmp_path / "out").track(1).daughter_ids


def test_masks_that_do_not_belong_are_refused(results: Path, tmp_path: Path) -> None:
    masks = sorted((tmp_path / "masks").iterdir())
    cv2.imwrite(str(masks[3]), np.zeros((60, 130), np.uint16))
    lineage = read_results(results, masks=tmp_path / "masks")
    with pytest.raises(SourceError, match=r"has no value .* name the masks of the same count"):
        write_ctc(lineage, tmp_path / "out")
    assert not (tmp_path / "out" / "res_track.txt").exists()
    masks[3].unlink()
    with pytest.raises(SourceError, match=r"holds no .*labels.png"):
        read_results(results, masks=tmp_path / "masks")


def test_another_run_is_left_alone(results: Path, tmp_path: Path) -> None:
    lineage = read_results(results)
    write_ctc(lineage, tmp_path / "out")
    with pytest.raises(ConfigurationError, match="already holds res_track"):
        write_ctc(lineage, tmp_path / "out")


def test_nothing_seen_is_told(results: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no sighting"):
        write_ctc(read_results(results).only([]), tmp_path / "out")
