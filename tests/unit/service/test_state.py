"""What a worker recovers from the changelog."""

from __future__ import annotations

from types import SimpleNamespace

import faust
import pytest

from streamcount.service.worker.state import NewestStateStore, pack_state, unpack_state


def changelog(*values: tuple[str, bytes | None]) -> list[SimpleNamespace]:
    return [
        SimpleNamespace(key=key, value=value, message=SimpleNamespace(value=value, partition=0))
        for key, value in values
    ]


@pytest.fixture
def store() -> NewestStateStore:
    app = faust.App("test-state")
    return NewestStateStore("streamcount://", app, app.Table("state"))


def recover(store: NewestStateStore, *values: tuple[str, bytes | None]) -> None:
    store.apply_changelog_batch(changelog(*values), lambda key: key, lambda value: value)


def test_packs_an_offset_before_the_state() -> None:
    assert unpack_state(pack_state((3, 77), b"state")) == ((3, 77), b"state")


def test_recovers_the_newest_state_though_an_older_was_written_last(store: NewestStateStore) -> None:
    recover(store, ("a", pack_state((1, 5), b"five")), ("a", pack_state((1, 9), b"nine")))
    recover(store, ("a", pack_state((1, 7), b"a woken worker wrote late")), ("b", pack_state((1, 1), b"one")))
    assert unpack_state(store.data["a"]) == ((1, 9), b"nine")
    assert unpack_state(store.data["b"]) == ((1, 1), b"one")


def test_a_new_run_is_later_than_any_frame_of_the_old(store: NewestStateStore) -> None:
    recover(store, ("a", pack_state((1, 900), b"old run")), ("a", pack_state((2, -1), b"new run")))
    recover(store, ("a", pack_state((1, 950), b"a woken worker wrote late")))
    assert unpack_state(store.data["a"])[1] == b"new run"


def test_a_tombstone_removes_the_state(store: NewestStateStore) -> None:
    recover(store, ("a", pack_state((1, 5), b"five")), ("a", None))
    assert "a" not in store.data


def test_faust_finds_the_store_by_its_name() -> None:
    from faust.stores import by_url

    assert by_url("streamcount://") is NewestStateStore
