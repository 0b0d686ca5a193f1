"""Settings changed for their owner: comments stay, the meaning is what was asked for, nobody is overwritten."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tomlkit", reason="needs the extra dashboard")

from streamcount.config import parse_settings
from streamcount.config.edit import Change, edited, save_text, shown_diff, text_of
from streamcount.errors import ConfigurationError

CAMERA = Change(("cameras", "scope-2"), {"encoding": "png", "source": {"kind": "simulated", "seed": 3}})
ZONE = Change(
    ("cameras", "scope-1", "zones", "well"), {"points_px": [[10, 10], [10, 90.5], [80, 90], [80, 10]]}
)
DOT = Change(("cameras", "scope.3", "lines", "a b"), {"points_px": [[1, 2], [3, 4]]})
SCALE = Change(("cameras", "scope-1", "pixel_size_um"), 0.325)

PLAIN = """\
# our lab
[worker]
threads = 4   # as many as cores

[cameras.scope-1]   # by the window
encoding = "png"

[cameras.scope-1.source]
kind = "folder"
path = "images/"  # of May

[alerts.no-frames]
kind = "silent"
after_s = 60
"""
INLINE = """cameras.scope-1 = {source = {kind = "folder", path = "x"}} # short\n[worker]\nthreads = 3\n"""
DOTTED = """[cameras.scope-1]\nsource.kind = "folder"\nsource.path = "x" # p\n\n[worker]\nthreads = 3\n"""
APART = """[cameras.scope-1.source]\nkind = "folder"\npath = "x"\n\n[worker] # w\nthreads = 3\n
[cameras.scope-9.source]\nkind = "folder"\npath = "y"\n"""
WINDOWS = PLAIN.replace("\n", "\r\n")


@pytest.mark.parametrize("text", ["", PLAIN, INLINE, DOTTED, APART, WINDOWS])
@pytest.mark.parametrize(
    "changes", [(CAMERA,), (ZONE,), (SCALE,), (ZONE, SCALE, CAMERA), (SCALE, ZONE), (DOT,)]
)
def test_what_is_written_is_what_was_meant_and_comments_stay(text: str, changes: tuple[Change, ...]) -> None:
    after = edited(text, changes)
    wanted: dict[str, Any] = tomllib.loads(text)
    for change in changes:
        table = wanted
        for name in change.path[:-1]:
            table = table.setdefault(name, {})
        table[change.path[-1]] = change.value
    assert tomllib.loads(after) == wanted
    for line in text.splitlines():
        if "#" in line:
            assert line[line.index("#") :] in after


def test_the_usual_layout_is_as_one_writes_it_by_hand() -> None:
    after = edited(PLAIN, [SCALE, ZONE, CAMERA])
    assert parse_settings(after, environment={}).cameras["scope-1"].zones["well"].points[1] == (10, 90.5)
    assert "[cameras.scope-1.zones.well]\npoints_px = [[10, 10], [10, 90.5], [80, 90], [80, 10]]\n" in after
    assert (
        '[cameras.scope-2]\nencoding = "png"\n\n[cameras.scope-2.source]\nkind = "simulated"\nseed = 3\n'
        in after
    )
    assert "seed = 3\n\n[alerts.no-frames]\n" in after
    assert '[cameras.scope-1]   # by the window\nencoding = "png"\npixel_size_um = 0.325\n' in after


def test_a_change_taken_out_leaves_the_rest() -> None:
    after = edited(edited(PLAIN, [ZONE]), [Change(("cameras", "scope-1", "zones", "well"), None)])
    assert tomllib.loads(after)["cameras"]["scope-1"].get("zones", {}) == {}
    assert parse_settings(after, environment={}).cameras["scope-1"].zones == {}
    assert after == PLAIN
    with pytest.raises(ConfigurationError, match="by hand"):
        edited(PLAIN, [Change(("cameras", "scope-1", "nothing"), None)])


def test_no_toml_is_told() -> None:
    with pytest.raises(ConfigurationError, match="not valid TOML"):
        edited("[worker", [SCALE])


def test_the_diff_shows_what_changes_and_no_password() -> None:
    before = (
        '[cameras.a.source]\nlocation = "rtsp://me:hid/den@10.0.0.5/1"\nkind = "video"\n'
        '[sinks.mail]\npassword = "hidden"\n'
    )
    after = edited(before, [Change(("cameras", "a", "pixel_size_um"), 0.5), Change(("worker", "threads"), 3)])
    diff = shown_diff(before, after, "streamcount.toml")
    assert "+pixel_size_um = 0.5" in diff
    assert "+threads = 3" in diff
    assert 'location = "rtsp://***@10.0.0.5/1"' in diff
    assert "password = ***" in diff
    assert "hid" not in diff
    assert shown_diff(before, before, "x") == ""


def test_the_diff_shows_no_password_of_a_query_or_of_a_table_in_a_line() -> None:
    before = (
        '[cameras.a]\nsource = {kind = "video", location = "rtsp://10.0.0.1/cam?user=admin&password=hidden"}\n'
        '[sinks]\nmail = {kind = "smtp", token = "hidden"}\n'
    )
    diff = shown_diff(before, edited(before, [Change(("cameras", "a", "pixel_size_um"), 0.5)]), "x")
    assert "rtsp://10.0.0.1/cam?***" in diff
    assert "hidden" not in diff


def test_a_file_is_replaced_whole_and_only_as_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "streamcount.toml"
    assert text_of(path) is None
    save_text(path, None, PLAIN)
    path.chmod(0o640)
    save_text(path, PLAIN, WINDOWS)
    assert (text_of(path), path.stat().st_mode & 0o777) == (WINDOWS, 0o640)
    for before in (None, PLAIN):
        with pytest.raises(ConfigurationError, match="changed meanwhile"):
            save_text(path, before, "x = 1")
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    save_text(link, WINDOWS, PLAIN)
    assert link.is_symlink()
    assert text_of(path) == PLAIN
    assert sorted(one.name for one in tmp_path.iterdir()) == ["link.toml", "streamcount.toml"]
    with pytest.raises(ConfigurationError, match="cannot be written"):
        save_text(tmp_path / "nowhere" / "x.toml", None, "")
