"""Corrections over the API: a frame is held, what is said of it is kept, and nobody overwrites anybody."""

from __future__ import annotations

import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra dashboard")
from starlette.testclient import TestClient

from streamcount.config import Settings
from streamcount.service.dashboard.api import Dashboard, make_api
from streamcount.service.dashboard.corrections import HELD_FRAMES
from streamcount.service.dashboard.feed import Feed
from streamcount.service.dashboard.guard import Guard
from streamcount.service.dashboard.model import LiveModel, Taken
from streamcount.service.dashboard.writing import Writing
from streamcount.sinks.corrections import CorrectionsFolder
from streamcount.types import Detections, FrameMetadata, ModelIdentity
from streamcount.types.corrections import labelled_by
from streamcount.wire import encode_detections, encode_image
from streamcount.wire.cloudevents import frame_headers

TOKEN = "a-token-that-is-long-enough"
URL = "http://127.0.0.1:8765"
PATH = "/api/v1/cameras/scope-1"


def image_of(sequence: int) -> bytes:
    return encode_image(np.full((48, 64, 3), sequence % 256, np.uint8), "png")


def take(model: LiveModel, sequence: int, classes: tuple[str, ...] = ("red", "white")) -> None:
    metadata = FrameMetadata(camera_id="scope-1", run_id="a", sequence=sequence, acquired_at_ns=10**18)
    detections = Detections(
        metadata=metadata,
        image_shape=(48, 64),
        model=ModelIdentity("blood", "cd" * 32, classes),
        centroids_px=np.array([[10, 10], [30, 40]], np.float32),
        boxes_px=np.array([[5, 5, 15, 15], [25, 34, 35, 46]], np.float32),
        areas_px=np.array([80, 90], np.float32),
        class_probabilities=np.array([[0.9, 0.1], [0.2, 0.8]], np.float32),
    )
    headers = frame_headers(metadata, "image/png")
    model.take(
        Taken("frames", 0, sequence, b"scope-1", image_of(sequence), headers, 1), time.monotonic(), 10**18
    )
    model.take(
        Taken("detections", 0, sequence, b"scope-1", encode_detections(detections), [], 1),
        time.monotonic(),
        10**18,
    )


@pytest.fixture
def dashboard(tmp_path: Path) -> Dashboard:
    settings, model = Settings(), LiveModel()
    take(model, 3)
    return Dashboard(settings, Feed(settings, model), model, Writing(corrections=tmp_path / "kept"))


@pytest.fixture
def client(dashboard: Dashboard) -> Iterator[TestClient]:
    with TestClient(Guard(make_api(dashboard)), base_url=URL) as client:
        yield client


def body(labels: dict[str, Any], *corrections: dict[str, Any], checked: bool = True) -> dict[str, Any]:
    same = {key: labels[key] for key in ("run", "sequence", "frame_sha256", "savings")}
    return {**same, "corrections": list(corrections), "checked": checked}


DRAWN = {"kind": "draw", "box_px": [2, 20, 12, 30], "class_name": "white"}


def test_a_frame_is_corrected_saved_and_gone_on_with(client: TestClient, tmp_path: Path) -> None:
    labels = client.get(f"{PATH}/labels").json()
    assert (labels["sequence"], labels["savings"], labels["width_px"]) == (3, 0, 64)
    assert [cell["class_name"] for cell in labels["cells"]] == ["red", "white"]
    first = body(labels, {"kind": "relabel", "cell": 0, "class_name": "white"}, DRAWN, checked=False)
    answer = client.post(f"{PATH}/corrections", json=first)
    assert answer.status_code == 201, answer.text
    assert answer.json()["counts"] == {"relabel": 1, "strike": 0, "draw": 1}
    assert answer.json()["frame_sha256"] == sha256(image_of(3)).hexdigest()
    assert answer.json()["model"]["sha256"] == "cd" * 32
    again = client.get(f"{PATH}/labels?run=a&sequence=3").json()
    assert (again["savings"], again["checked"], len(again["cells"])) == (1, False, 3)
    second = body(again, {"kind": "strike", "cell": 1})
    assert client.post(f"{PATH}/corrections", json=second).status_code == 201
    (savings,) = CorrectionsFolder(tmp_path / "kept").frames()
    assert [(cell.cell, cell.class_name, cell.found) for cell in labelled_by(savings)] == [
        (0, "white", True), (2, "white", False)
    ]  # fmt: skip
    assert [one["number"] for one in client.get("/api/v1/corrections").json()] == [2, 1]


def test_a_frame_that_was_looked_at_is_kept_though_newer_ones_pass(
    client: TestClient, dashboard: Dashboard
) -> None:
    labels = client.get(f"{PATH}/labels").json()
    for sequence in range(4, 120):
        take(dashboard.model, sequence)
    assert client.get(f"{PATH}/picture?run=a&sequence=3").headers["x-sequence"] == "3"
    assert client.get(f"{PATH}/labels").json()["sequence"] == 119
    assert client.post(f"{PATH}/corrections", json=body(labels, DRAWN)).status_code == 201
    for sequence in range(119 - HELD_FRAMES, 120):
        assert client.get(f"{PATH}/labels?run=a&sequence={sequence}").status_code == 200
    assert client.get(f"{PATH}/labels?run=a&sequence=3").status_code == 404


def test_the_same_picture_in_another_run_goes_on_from_what_was_said_of_it(
    client: TestClient, dashboard: Dashboard
) -> None:
    labels = client.get(f"{PATH}/labels").json()
    client.post(f"{PATH}/corrections", json=body(labels, {"kind": "strike", "cell": 0}))
    take(dashboard.model, 3 + 256, ("young", "old"))
    again = client.get(f"{PATH}/labels").json()
    assert (again["sequence"], again["savings"], again["model"]["class_names"]) == (259, 1, ["red", "white"])
    assert [cell["cell"] for cell in again["cells"]] == [1]


def test_a_new_class_is_kept_and_offered_for_other_frames_of_the_model(
    client: TestClient, dashboard: Dashboard, tmp_path: Path
) -> None:
    labels = client.get(f"{PATH}/labels").json()
    assert labels["new_classes"] == []
    blast = {"kind": "relabel", "cell": 0, "class_name": "blast"}
    said = {**body(labels, blast), "new_classes": ["blast", "red"]}
    assert client.post(f"{PATH}/corrections", json=said).status_code == 201
    again = client.get(f"{PATH}/labels").json()
    assert (again["new_classes"], again["cells"][0]["class_name"]) == (["blast"], "blast")
    take(dashboard.model, 4)
    other = client.get(f"{PATH}/labels").json()
    assert (other["sequence"], other["new_classes"]) == (4, ["blast"])
    # It is known by now, and need not be named again.
    assert client.post(f"{PATH}/corrections", json=body(other, blast)).status_code == 201
    take(dashboard.model, 5, ("young", "old"))
    assert client.get(f"{PATH}/labels").json()["new_classes"] == []
    # A server that is started anew reads it from the folder.
    later = Dashboard(Settings(), dashboard.feed, dashboard.model, Writing(corrections=tmp_path / "kept"))
    with TestClient(make_api(later), base_url=URL) as anew:
        assert anew.get(f"{PATH}/labels?run=a&sequence=4").json()["new_classes"] == ["blast"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"corrections": [{"kind": "strike", "cell": 9}]}, 409),
        ({"corrections": [{"kind": "relabel", "cell": 0, "class_name": "blue"}]}, 409),
        ({"corrections": [{**DRAWN, "box_px": [0, 0, 100, 100]}]}, 409),
        ({"frame_sha256": "0" * 64}, 409),
        ({"savings": 1}, 409),
        ({"sequence": 99}, 404),
        ({"corrections": [{"kind": "erase", "cell": 0}]}, 422),
        ({"corrections": [{"kind": "strike", "cell": -1}]}, 422),
        ({"corrections": [{"kind": "strike", "cell": 0}] * 5001}, 422),
        ({"checked": "yes"}, 422),
        ({"run": "../a"}, 422),
        ({"remark": "x" * 501}, 422),
        ({"new_classes": [""]}, 422),
        ({"new_classes": [f"class {i}" for i in range(51)]}, 422),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(
    client: TestClient, tmp_path: Path, change: dict[str, Any], status: int
) -> None:
    labels = client.get(f"{PATH}/labels").json()
    answer = client.post(f"{PATH}/corrections", json={**body(labels), **change})
    assert (answer.status_code, "detail" in answer.json()) == (status, True)
    assert not (tmp_path / "kept").exists()


def test_two_who_correct_the_same_frame_do_not_overwrite_each_other(client: TestClient) -> None:
    labels = client.get(f"{PATH}/labels").json()
    assert client.post(f"{PATH}/corrections", json=body(labels, DRAWN)).status_code == 201
    late = client.post(f"{PATH}/corrections", json=body(labels, DRAWN))
    assert (late.status_code, "somebody else" in late.json()["detail"]) == (409, True)


def test_bodies_of_other_kinds_and_without_end_are_refused(client: TestClient) -> None:
    path = f"{PATH}/corrections"
    assert client.post(path, content=b"{}", headers={"content-type": "text/plain"}).status_code == 415
    json_type = {"content-type": "application/json"}
    assert client.post(path, content=b" " * (3 * 2**20), headers=json_type).status_code == 413
    assert client.post(path, content=b'{"run": "\xff"}', headers=json_type).status_code == 422


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}],
)
def test_other_sites_cannot_correct(client: TestClient, tmp_path: Path, headers: dict[str, str]) -> None:
    labels = client.get(f"{PATH}/labels").json()
    answer = client.post(f"{PATH}/corrections", json=body(labels, DRAWN), headers=headers)
    assert answer.status_code == 403
    assert not (tmp_path / "kept").exists()


def test_without_the_token_nobody_corrects(dashboard: Dashboard) -> None:
    with TestClient(Guard(make_api(dashboard), TOKEN), base_url=URL) as client:
        bearer = {"authorization": f"Bearer {TOKEN}"}
        labels = client.get(f"{PATH}/labels", headers=bearer).json()
        assert client.post(f"{PATH}/corrections", json=body(labels)).status_code == 401
        assert client.post(f"{PATH}/corrections", json=body(labels), headers=bearer).status_code == 201


def test_without_a_folder_nothing_is_kept_and_the_answer_says_how() -> None:
    settings, model = Settings(), LiveModel()
    take(model, 3)
    with TestClient(make_api(Dashboard(settings, Feed(settings, model), model)), base_url=URL) as client:
        answer = client.get(f"{PATH}/labels")
        assert (answer.status_code, "--corrections" in answer.json()["detail"]) == (403, True)
        assert client.get("/api/v1/corrections").json() == []


def test_a_damaged_folder_is_told_and_is_no_fault_of_the_server(client: TestClient, tmp_path: Path) -> None:
    labels = client.get(f"{PATH}/labels").json()
    client.post(f"{PATH}/corrections", json=body(labels, DRAWN))
    (path,) = (tmp_path / "kept" / "savings").iterdir()
    path.write_text("{")
    for answer in (
        client.get("/api/v1/corrections"),
        client.get(f"{PATH}/labels"),
        client.post(f"{PATH}/corrections", json=body(labels, DRAWN)),
    ):
        assert (answer.status_code, path.name in answer.json()["detail"]) == (409, True)
