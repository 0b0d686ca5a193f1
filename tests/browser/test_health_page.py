"""Health as people see it: workers, models, latencies, and frames that could not be counted, shown and sent again."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamcount.errors import FrameError
from streamcount.types import FrameMetadata
from streamcount.wire import encode_image
from streamcount.wire.cloudevents import frame_headers
from streamcount.wire.deadletters import dead_letter_headers
from tests.browser.conftest import Running, wait_until
from tests.browser.expecting import expect
from tests.browser.looks import keep, serious_faults

pytestmark = pytest.mark.broker


def table(page: Any, name: str) -> Any:
    return page.locator(f'table[aria-label="{name}"]')


@pytest.fixture(scope="module")
def letters(running: Running) -> list[tuple[int, int]]:
    """A picture that a smaller limit refused once, and bytes that are no picture: where they lie."""
    error = FrameError("too-many-pixels", "120x90 is more than 100 pixels")
    topic = running.service.settings.topics.name("dead-letters")
    metadata = FrameMetadata(camera_id="lab", run_id="run-1", sequence=7, acquired_at_ns=time.time_ns())
    ramp = np.tile(np.linspace(0, 255, 120).astype(np.uint8), (90, 1))
    places = []
    with running.service.producer() as producer:
        for value in (encode_image(ramp, "png"), b"nothing that is a picture"):
            headers = dead_letter_headers(
                frame_headers(metadata, "image/png"),
                error,
                topic="t.frames",
                partition=0,
                offset=1,
                stage="detect",
            )
            place = producer.send(topic, value, b"lab", headers).get(30)
            places.append((place.partition, place.offset))
    return places


def test_workers_models_and_latencies_are_told(page: Any, running: Running, screenshots: Path | None) -> None:
    page.goto(f"{running.url}/health")
    workers = table(page, "Workers")
    workers.locator("tbody tr").first.wait_for()
    wait_until(lambda: ".frames 0–3" in workers.inner_text(), running.service.logs)
    models = table(page, "Models")
    wait_until(lambda: models.locator("tbody tr").count() == 2, running.service.logs)
    digest = models.locator("tbody tr td:last-child").first.inner_text()
    assert len(digest) == 64
    bars = page.locator("svg.bars")
    wait_until(lambda: bars.count() == 2, running.service.logs)
    expect(bars.first).to_have_attribute("aria-label", re.compile(re.escape("scope-1: frames")))
    expect(bars.first).to_have_attribute("aria-label", re.compile(re.escape("within")))
    assert not page.faults
    keep(page, screenshots, "health-full")


def test_a_dead_letter_is_shown_and_sent_again_after_a_question(
    page: Any, running: Running, letters: list[tuple[int, int]], screenshots: Path | None
) -> None:
    page.goto(f"{running.url}/health")
    rows = table(page, "Dead letters").locator("tbody tr")
    wait_until(lambda: rows.count() == 2, running.service.logs)
    partition, offset = letters[0]
    page.locator(f'a[href$="partition={partition}&offset={offset}"]').click()
    page.locator("img.still").wait_for()
    expect(table(page, "Dead letter")).to_contain_text("too-many-pixels")
    send = page.get_by_role("button", name="Send this frame")
    send.focus()
    page.keyboard.press("Enter")
    page.get_by_text("cannot be taken back").wait_for()
    page.keyboard.press("Escape")
    page.get_by_text("cannot be taken back").wait_for(state="hidden")
    expect(page.get_by_text("sent again")).to_have_count(0)
    send.click()
    keep(page, screenshots, "letter-question")
    page.get_by_role("button", name="Send", exact=True).click()
    page.get_by_text("1 sent again.").wait_for()
    keep(page, screenshots, "letter")
    # The worker counts it as a camera of its own.
    page.goto(running.url)
    page.locator('section[aria-label="lab.replay"]').wait_for()
    assert not page.faults


def test_what_is_no_picture_says_so_and_all_can_be_sent_at_once(
    page: Any, running: Running, letters: list[tuple[int, int]]
) -> None:
    partition, offset = letters[1]
    page.goto(f"{running.url}/dead-letter?partition={partition}&offset={offset}")
    page.get_by_text("It is no picture that can be shown").wait_for()
    page.goto(f"{running.url}/dead-letter?partition=0&offset=999999")
    page.get_by_text("Kafka has no such record").wait_for()
    page.goto(f"{running.url}/health")
    page.get_by_role("button", name="Send all").click()
    page.get_by_role("button", name="Send", exact=True).click()
    # Both say that they are the same frame.
    page.get_by_text("1 sent again; 1 passed over: the same frame twice.").wait_for()
    assert not page.faults


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["health", "letter", "question"])
def test_axe_finds_nothing_serious_and_a_phone_scrolls_only_down(
    page: Any,
    running: Running,
    letters: list[tuple[int, int]],
    which: str,
    scheme: Any,
    screenshots: Path | None,
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 390, "height": 844})
    letter = "/dead-letter?partition={}&offset={}".format(*letters[0])
    page.goto(running.url + ("/health" if which == "health" else letter))
    page.wait_for_selector("h1")
    if which == "question":
        page.get_by_role("button", name="Send this frame").click()
    page.wait_for_timeout(2000)
    assert not serious_faults(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    keep(page, screenshots, f"phone-{which}-{scheme}")
