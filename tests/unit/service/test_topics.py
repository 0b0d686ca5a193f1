"""Which topics with which settings, and what counts as different; no broker needed."""

from __future__ import annotations

from typing import Any

import pytest

from streamcount.config import parse_settings
from streamcount.service.topics import TopicSpec, changelog_topic, compare, groups_topic, topic_specs
from streamcount.wire.deadletters import ROOM_BYTES


def specs_of(toml: str = "") -> dict[str, TopicSpec]:
    return {spec.name: spec for spec in topic_specs(parse_settings(toml, environment={}))}


def partitions(count: int, copies: int = 1) -> list[dict[str, Any]]:
    return [{"partition_index": i, "replica_nodes": list(range(copies))} for i in range(count)]


def test_every_topic_of_the_service_is_there() -> None:
    assert set(specs_of('[topics]\nprefix = "lab"\n[worker]\napp_id = "w"')) == {
        "lab.frames",
        "lab.detections",
        "lab.tracks",
        "lab.events",
        "lab.counts",
        "lab.windows",
        "lab.alerts",
        "lab.snapshots",
        "lab.dead-letters",
        "lab.groups-state",
        "w-state-changelog",
    }


def test_all_have_equally_many_partitions_so_that_a_camera_stays_on_one_worker() -> None:
    assert {spec.partitions for spec in specs_of("[topics]\npartitions = 6").values()} == {6}


def test_images_are_not_compressed_and_kept_by_bytes_and_time() -> None:
    frames = specs_of("[topics]\nframes_retention_bytes = 1073741824\nframes_retention_ms = 3600000")
    config = frames["streamcount.frames"].config
    assert config["compression.type"] == "uncompressed"
    assert (config["retention.bytes"], config["retention.ms"]) == ("1073741824", "3600000")
    assert config["cleanup.policy"] == "delete"


def test_states_are_compacted() -> None:
    settings = parse_settings("", environment={})
    for name in (changelog_topic(settings), groups_topic(settings)):
        assert specs_of()[name].config["cleanup.policy"] == "compact"


@pytest.mark.parametrize("max_message_bytes", [16 * 2**20, 200 * 2**20])
@pytest.mark.parametrize("retention_bytes", [2**20, 2**31, 2**40])
def test_the_largest_record_fits_in_a_segment(max_message_bytes: int, retention_bytes: int) -> None:
    toml = f"[topics]\nmax_message_bytes = {max_message_bytes}\nframes_retention_bytes = {retention_bytes}"
    for name, spec in specs_of(toml).items():
        # A dead letter is a record as large as any, with the reason in more headers.
        largest_bytes = max_message_bytes + (ROOM_BYTES if name.endswith("dead-letters") else 0)
        assert int(spec.config["max.message.bytes"]) == largest_bytes
        assert int(spec.config["segment.bytes"]) > largest_bytes


SPEC = TopicSpec("t", 4, {"retention.ms": "1000", "cleanup.policy": "delete"})


def test_an_equal_topic_has_no_difference() -> None:
    assert compare(SPEC, 1, partitions(4), {**SPEC.config, "segment.ms": "7"}) == []


def test_each_setting_that_differs_is_told() -> None:
    found = {"retention.ms": "2000"}
    told = {(d.setting, d.wanted, d.found) for d in compare(SPEC, 3, partitions(2, copies=1), found)}
    assert told == {
        ("partitions", "4", "2"),
        ("replication factor", "3", "1"),
        ("retention.ms", "1000", "2000"),
        ("cleanup.policy", "delete", "unknown to this Kafka"),
    }


@pytest.mark.parametrize("found", [2, 9])
def test_partitions_are_never_changed_and_the_reason_is_given(found: int) -> None:
    (difference,) = compare(SPEC, 1, partitions(found), SPEC.config)
    assert "other partitions" in difference.remedy
    assert f"topics.partitions = {found}" in difference.remedy
