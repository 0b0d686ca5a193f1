"""The published schemas accept what is sent, refuse what is not, and are those in the repository."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from streamcount.config import TopicName
from streamcount.errors import FrameError
from streamcount.types import AnyEvent, CellEvent, CountsUpdated, FrameMetadata, FramesMissing
from streamcount.wire.cloudevents import encode_event, frame_headers, header_map
from streamcount.wire.deadletters import dead_letter_headers
from streamcount.wire.schema import (
    CHANNELS,
    asyncapi,
    event_schema,
    frame_headers_schema,
    frames_missing_schema,
    schemas,
)

FOLDER = Path(__file__).parents[3] / "docs" / "schema"
EVENT = Draft202012Validator(event_schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)
BASE = {"camera_id": "a", "run_id": "r", "sequence": 3, "happened_at_ns": 10, "decided_at_ns": 20}
PIXELS = st.floats(-1e6, 1e6)
PLACE = {"centroid_px": st.tuples(PIXELS, PIXELS), "box_px": st.tuples(PIXELS, PIXELS, PIXELS, PIXELS)}
COUNTS = CountsUpdated(**BASE, counts={"red": 1}, total=1, confirmed_tracks=0, cells_seen=0)


@pytest.mark.parametrize("kind", get_args(AnyEvent))
def test_every_kind_of_event_is_accepted(kind):
    @settings(max_examples=10, database=None, derandomize=True)
    @given(
        st.builds(
            kind, happened_at_ns=st.integers(0, 2**62), **(PLACE if issubclass(kind, CellEvent) else {})
        )
    )
    def check(event):
        EVENT.validate(json.loads(encode_event(event)))

    check()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("specversion",), "0.3"),
        (("type",), "com.example.other"),
        (("id",), 7),
        (("data", "kind"), "CellExploded"),
        (("data", "sequence"), "3"),
        (("data", "counts"), {"red": "many"}),
        (("data", "total"), None),
    ],
)
def test_what_is_no_event_is_refused(path, value):
    event = json.loads(encode_event(COUNTS))
    assert EVENT.is_valid(event)
    place = event
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    assert not EVENT.is_valid(event)


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type", "time", "data"])
def test_an_event_without_a_required_attribute_is_refused(name):
    event = json.loads(encode_event(COUNTS))
    del event[name]
    assert not EVENT.is_valid(event)


def test_a_camera_s_word_of_missing_frames_is_accepted():
    schema = Draft202012Validator(frames_missing_schema())
    missing = FramesMissing(**BASE, last_sequence=5, reason="dropped")
    document = json.loads(msgspec.json.encode(missing))
    schema.validate(document)
    del document["last_sequence"]
    assert not schema.is_valid(document)


def test_a_frame_s_headers_are_accepted():
    metadata = FrameMetadata(
        camera_id="a",
        run_id="r",
        sequence=0,
        acquired_at_ns=1,
        pixel_size_um=1e-3,
        exposure_ms=5.5,
        channel="x",
    )
    schema = Draft202012Validator(frame_headers_schema())
    headers = header_map(frame_headers(metadata, "image/png"))
    schema.validate(headers)
    assert set(headers) == set(frame_headers_schema()["properties"])
    for name in frame_headers_schema()["required"]:
        assert not schema.is_valid({key: value for key, value in headers.items() if key != name})


def test_a_dead_letter_s_headers_are_accepted():
    added = dead_letter_headers([], FrameError("r", "m"), topic="t", partition=0, offset=0, stage="detect")
    schema = asyncapi()["components"]["messages"]["deadLetter"]["headers"]
    assert set(header_map(added)) == set(schema["required"])


def test_every_topic_is_described_under_its_configured_name():
    assert set(CHANNELS) == set(get_args(TopicName))
    document = asyncapi("lab.a")
    assert document["channels"]["dead-letters"]["address"] == "lab.a.dead-letters"


def test_every_reference_leads_somewhere():
    document = asyncapi()

    def references(value):
        if isinstance(value, dict):
            yield from ([value["$ref"]] if isinstance(value.get("$ref"), str) else [])
            for item in value.values():
                yield from references(item)
        elif isinstance(value, list):
            for item in value:
                yield from references(item)

    found = set(references(document))
    assert len(found) > 20
    for reference in found:
        place = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
        assert place


@pytest.mark.parametrize("name", list(schemas()))
def test_the_document_in_the_repository_is_up_to_date(name):
    stored = json.loads((FOLDER / name).read_text("utf-8"))
    assert stored == json.loads(msgspec.json.encode(schemas(version=version("streamcount"))[name])), (
        "run `make docs`"
    )


def test_the_folder_holds_nothing_else():
    assert {path.name for path in FOLDER.iterdir()} == set(schemas())
