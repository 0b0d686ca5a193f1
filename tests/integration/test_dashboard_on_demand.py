"""What the page tells and asks a real broker: remarks, frames of alerts, past windows, dead letters, workers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra dashboard")
from starlette.testclient import TestClient

from streamcount.alerts import spans
from streamcount.errors import FrameError
from streamcount.service.alerts.past import told_alerts
from streamcount.service.broker import Broker
from streamcount.service.dashboard.api import Dashboard, make_api
from streamcount.service.dashboard.feed import Feed
from streamcount.service.dashboard.model import LiveModel
from streamcount.types import AlertRaised, Figure, FrameMetadata, WindowClosed
from streamcount.wire import decode_event, encode_event, encode_image
from streamcount.wire.cloudevents import frame_headers, header_map
from streamcount.wire.deadletters import dead_letter_headers
from streamcount.wire.images import CONTENT_TYPES
from tests.integration.service import Service
from tests.integration.test_dashboard_feed import wait_until

pytestmark = pytest.mark.broker

S = 10**9
FRAMES = 40
GREY = 90


@pytest.fixture(scope="module")
def running(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    text = '[worker]\napp_id = "on-demand"\nport = 0\n[detector]\nkind = "watershed"\n'
    service = Service(broker.bootstrap_servers, tmp_path_factory.mktemp("on-demand"), text, "on-demand")
    yield service
    service.close()


class Page:
    """A page on a service, with a client of its API."""

    def __init__(self, service: Service) -> None:
        self.model = LiveModel()
        self.feed = Feed(service.settings, self.model)
        self.dashboard = Dashboard(service.settings, self.feed, self.model)
        self.client = TestClient(make_api(self.dashboard), base_url="http://127.0.0.1")

    def __enter__(self) -> Page:
        self.feed.__enter__()
        assert self.feed.wait_until_following(40)
        return self

    def __exit__(self, *_: object) -> None:
        self.dashboard.close()
        self.feed.__exit__()

    def alerts(self) -> list[dict]:
        return self.client.get("/api/v1/alerts").json()


def image(grey: int) -> np.ndarray:
    return np.full((48, 64), grey, np.uint8)


def publish_film(service: Service, camera: str, *, clock_alert: bool = False) -> AlertRaised:
    """Frames, the windows of a minute each and, with the frame in the middle, an alert."""
    names, began_ms = service.settings.topics, int(time.time() * 1000) - 50 * FRAMES
    key, middle = camera.encode(), FRAMES // 2
    at = {"camera_id": camera, "run_id": "run-1"}
    with service.producer() as producer:
        for sequence in range(FRAMES):
            time_ms = began_ms + 50 * sequence
            metadata = FrameMetadata(**at, sequence=sequence, acquired_at_ns=time_ms * 10**6)
            value = encode_image(image(GREY + sequence), "png")
            headers = frame_headers(metadata, CONTENT_TYPES["png"])
            producer.send(names.name("frames"), value, key, headers, timestamp_ms=time_ms)
            times = {"happened_at_ns": time_ms * 10**6, "decided_at_ns": time_ms * 10**6}
            closed = WindowClosed(
                **at,
                **times,
                sequence=sequence,
                window="minute",
                window_start_ns=(time_ms - 50) * 10**6,
                window_end_ns=time_ms * 10**6,
                final=True,
                complete=True,
                frames=1,
                figures=(Figure(name="cells", value=float(sequence)),),
            )
            producer.send(names.name("windows"), encode_event(closed), key, timestamp_ms=time_ms)
        time_ms = began_ms + 50 * middle
        times = {"happened_at_ns": time_ms * 10**6, "decided_at_ns": time_ms * 10**6}
        what = {"figure": "silence_s", "value": 3.0} if clock_alert else {"figure": "cells", "value": 20.0}
        raised = AlertRaised(**at, **times, sequence=middle, rule="crowded", reason="too many", **what)
        told_ms = time_ms + 3000 if clock_alert else time_ms
        producer.send(names.name("alerts"), encode_event(raised), key, timestamp_ms=told_ms)
        producer.flush()
    return raised


def test_an_acknowledgement_is_seen_by_other_pages_by_later_ones_and_by_the_list(running: Service) -> None:
    raised = publish_film(running, "scope-1")
    asked = {"alert": raised.event_id, "who": "ann", "remark": "I dilute it"}

    def known(page: Page) -> list[str]:
        return [
            one["who"] for row in page.alerts() if row["id"] == raised.event_id for one in row["acknowledged"]
        ]

    with Page(running) as page, Page(running) as other:
        wait_until(lambda: all(raised.event_id in str(one.alerts()) for one in (page, other)))
        answer = page.client.post("/api/v1/alerts/acknowledgements", json=asked)
        assert (answer.status_code, answer.json()["remark"]) == (201, "I dilute it")
        wait_until(lambda: known(page) == known(other) == ["ann"])
        repeated = other.client.post("/api/v1/alerts/acknowledgements", json=asked)
        assert repeated.json() == answer.json()
        other.client.post("/api/v1/alerts/acknowledgements", json={**asked, "who": "ben", "remark": ""})
    with Page(running) as later:
        wait_until(lambda: known(later) == ["ann", "ben"])
        assert [one["state"] for one in later.client.get("/api/v1/cameras").json()] != []
    (span,) = [one for one in told_alerts(running.settings) if one.raised == raised]
    assert span.cleared is None
    assert [(one.who, one.remark) for one in span.acknowledged] == [("ann", "I dilute it"), ("ben", "")]
    # Behind its alert, in its partition: whoever reads the one has the other.
    records = running.records_until(("alerts",), lambda found: len(found) >= 3)
    events = [(record.partition, decode_event(record.value)) for record in records]
    mine = [partition for partition, event in events if event.camera_id == "scope-1"]
    assert len(set(mine)) == 1
    assert spans(event for _, event in events)


@pytest.mark.parametrize("clock_alert", [False, True])
def test_the_picture_of_an_alert_is_that_of_its_frame(running: Service, clock_alert: bool) -> None:
    raised = publish_film(running, f"pictured-{clock_alert}", clock_alert=clock_alert)
    with Page(running) as page:
        wait_until(lambda: raised.event_id in str(page.alerts()))
        answer = page.client.get("/api/v1/alerts/picture", params={"alert": raised.event_id})
    assert answer.status_code == 200, answer.text
    shown = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert abs(int(shown[20, 20]) - (GREY + FRAMES // 2)) <= 1


def test_a_frame_that_is_gone_is_told_to_be(running: Service) -> None:
    now_ns = time.time_ns()
    at = {"camera_id": "gone", "run_id": "run-1", "happened_at_ns": now_ns, "decided_at_ns": now_ns}
    raised = AlertRaised(**at, sequence=9, rule="crowded", reason="too many")
    with running.producer() as producer:
        producer.send(running.settings.topics.name("alerts"), encode_event(raised), b"gone").get(30)
    with Page(running) as page:
        wait_until(lambda: raised.event_id in str(page.alerts()))
        answer = page.client.get("/api/v1/alerts/picture", params={"alert": raised.event_id})
    assert answer.status_code == 404
    assert "no longer in Kafka" in answer.json()["detail"]


def test_a_rule_is_tried_on_the_windows_that_kafka_holds(running: Service) -> None:
    publish_film(running, "tried")
    asked = {"rule": 'kind = "limit"\nfigure = "cells"\nabove = 29.5', "camera": "tried", "run": "run-1"}
    with Page(running) as page:
        told = page.client.post("/api/v1/alerts/trial", json=asked).json()
        assert [one["value"] for one in told["alerts"]] == [30.0]
        assert len(told["figures"]["tried"]) == FRAMES
        missing = page.client.post("/api/v1/alerts/trial", json={**asked, "run": "run-7"})
    assert missing.status_code == 404


def publish_letters(service: Service) -> list[dict[str, int]]:
    """A picture that was too large, a broken one, and one whose headers are wrong; where each lies."""
    error = FrameError("too-many-pixels", "64x48 is more than 100 pixels")
    metadata = FrameMetadata(camera_id="dead", run_id="run-1", sequence=3, acquired_at_ns=time.time_ns())
    good = encode_image(image(GREY), "png")
    headers = frame_headers(metadata, CONTENT_TYPES["png"])
    wrong = [(name, value) for name, value in headers if name != "ce_sequence"]
    places = []
    with service.producer() as producer:
        for value, sent in ((good, headers), (b"nothing", headers), (good, wrong)):
            kept = dead_letter_headers(sent, error, topic="frames", partition=0, offset=1, stage="detect")
            topic = service.settings.topics.name("dead-letters")
            place = producer.send(topic, value, b"dead", kept).get(30)
            places.append({"partition": place.partition, "offset": place.offset})
    return places


def test_dead_letters_are_shown_where_they_are_pictures_and_sent_again(running: Service) -> None:
    places = publish_letters(running)
    gone = {"partition": 0, "offset": 10**9}
    with Page(running) as page:
        answers = [
            page.client.get("/api/v1/dead-letters/{partition}/{offset}/picture".format(**place))
            for place in (*places, gone)
        ]
        assert [answer.status_code for answer in answers] == [200, 404, 200, 404]
        assert "begin as no picture" in answers[1].json()["detail"]
        first, second = (
            page.client.post("/api/v1/dead-letters/replay", json={"letters": letters}).json()
            for letters in ([*places, gone], places[:1])
        )
    assert (first["sent"], first["gone"]) == (1, 1)
    assert sum(first["passed_over"].values()) == 2
    assert (second["sent"], second["gone"], second["passed_over"]) == (1, 0, {})
    records = running.records_until(
        ("frames",), lambda found: sum(one.key == b"dead.replay" for one in found) >= 2
    )
    again = [header_map(one.headers) for one in records if one.key == b"dead.replay"]
    assert {one["ce_replayof"] for one in again} == {"dead/run-1/3"}
    # Two replays within a second are two runs.
    assert len({one["ce_runid"] for one in again}) == 2


def test_health_tells_which_worker_holds_what(running: Service, tmp_path: Path) -> None:
    with Page(running) as page:
        wait_until(lambda: page.feed.lag.members == [])
        running.start("worker")

        def held() -> dict[str, list[int]]:
            members = page.client.get("/api/v1/health").json()["workers"] or []
            return members[0]["partitions"] if len(members) == 1 else {}

        names = {running.settings.topics.name(topic) for topic in ("frames", "detections")}
        wait_until(lambda: names <= set(held()) and all(held()[name] == [0, 1, 2, 3] for name in names))
        publish_film(running, "model")
        wait_until(lambda: page.model.look("model", lambda camera: bool(camera.detections)))
        cameras = {one["camera_id"]: one for one in page.client.get("/api/v1/health").json()["cameras"]}
    model = cameras["model"]["model"]
    assert (model["name"], len(model["sha256"])) == ("watershed", 64)
