"""Alerts as people see them: each with its picture, rule and figures, a remark, and a rule tried on what is past."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from streamcount.service.broker import Broker
from streamcount.sinks.store import SqliteConfig
from streamcount.types import AlertCleared, AlertRaised, AnyEvent, Figure, WindowClosed
from streamcount.wire import decode_event, encode_event
from tests.browser.conftest import Running, service_text, wait_until
from tests.browser.expecting import expect
from tests.browser.looks import asked_outside, keep, serious_faults
from tests.integration.service import Service

pytestmark = pytest.mark.broker

RULE = """
[alerts.crowded]
kind = "limit"
figure = "cells"
above = 40
severity = "critical"
"""
S = 10**9
WINDOWS = 30


@pytest.fixture(scope="module")
def watched(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service whose page knows a rule."""
    pytest.importorskip("nicegui", reason="needs the extra dashboard")
    folder = tmp_path_factory.mktemp("alerts-page")
    with Broker(tmp_path_factory.mktemp("alerts-broker")) as broker:
        text = service_text("alerts-page", folder) + RULE
        service = Service(broker.bootstrap_servers, folder, text, "alerts-page")
        try:
            yield Running(broker, service)
        finally:
            service.close()


def counted(running: Running) -> AnyEvent:
    """The newest count of scope-1, with its frame still in Kafka."""
    records = running.service.records_until(
        ("counts",), lambda found: sum(one.key == b"scope-1" for one in found) >= 5
    )
    return decode_event([one for one in records if one.key == b"scope-1"][-1].value), [
        one for one in records if one.key == b"scope-1"
    ][-1].timestamp


@pytest.fixture(scope="module")
def told(watched: Running) -> AlertRaised:
    """An alert at a real frame of scope-1, with the windows before it and one that closed with it."""
    count, time_ms = counted(watched)
    at = {"camera_id": "scope-1", "run_id": count.run_id}
    now_ns = count.happened_at_ns
    with watched.service.producer() as producer:
        for i in range(WINDOWS):
            end_ns = now_ns - (WINDOWS - 1 - i) * 60 * S
            closed = WindowClosed(
                **at,
                sequence=count.sequence if i == WINDOWS - 1 else 0,
                happened_at_ns=end_ns,
                decided_at_ns=end_ns,
                window="hand-made",
                window_start_ns=end_ns - 60 * S,
                window_end_ns=end_ns,
                final=True,
                complete=True,
                frames=60,
                figures=(Figure(name="cells", value=30.0 + i, low=29.0 + i, high=31.0 + i),),
            )
            topic = watched.service.settings.topics.name("windows")
            producer.send(topic, encode_event(closed), b"scope-1").get(30)
        raised = AlertRaised(
            **at,
            sequence=count.sequence,
            happened_at_ns=now_ns,
            decided_at_ns=now_ns,
            rule="crowded",
            reason="cells is 59, above 40 <b>bold</b>",
            severity="critical",
            figure="cells",
            value=59.0,
            limit=40.0,
            since_ns=now_ns - 60 * S,
        )
        topic = watched.service.settings.topics.name("alerts")
        producer.send(topic, encode_event(raised), b"scope-1", timestamp_ms=time_ms).get(30)
    return raised


def open_alert(page: Any, watched: Running) -> None:
    page.goto(f"{watched.url}/alerts")
    page.locator('table[aria-label="Active alerts"] a', has_text="crowded").click()
    page.wait_for_url("**/alert?**")


def test_an_alert_shows_its_picture_rule_and_figures_and_keeps_a_remark(
    page: Any, watched: Running, told: AlertRaised, screenshots: Path | None
) -> None:
    open_alert(page, watched)
    facts = page.locator('table[aria-label="What was told"]')
    facts.get_by_text("cells is 59, above 40 <b>bold</b>").wait_for()
    picture = page.locator("img.still")
    picture.wait_for()
    expect(picture).to_have_attribute("alt", re.compile(re.escape(f"Frame {told.sequence} of scope-1")))
    outlines = page.locator(".marked :is(polygon, ellipse):not(.under)")
    asked = page.request.get(f"{watched.url}/api/v1/alerts/cells?alert={quote(told.event_id)}").json()
    expect(outlines).to_have_count(len(asked["cells"]["ids"]))
    assert len(asked["cells"]["ids"]) > 20
    # All but specks have an outline of their own.
    assert page.locator(".marked polygon:not(.under)").count() > 0.9 * len(asked["cells"]["ids"])
    picture_at, drawn_at = picture.bounding_box(), page.locator(".marked svg").bounding_box()
    assert drawn_at == pytest.approx(picture_at, abs=1)
    wait_until(lambda: picture.evaluate("image => image.naturalWidth") == 320, watched.service.logs)
    expect(page.locator("pre")).to_contain_text('figure = "cells"')
    expect(page.locator('table[aria-label="Figures"]')).to_contain_text("58 – 60")
    page.get_by_role("button", name="Acknowledge").click()
    page.get_by_text("Give your name first.").wait_for()
    # By keyboard alone.
    page.get_by_label("Your name").focus()
    page.keyboard.type("ann")
    page.keyboard.press("Tab")
    page.keyboard.type("I dilute it <i>now</i>")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    seen = page.locator('table[aria-label="Seen by"]')
    seen.get_by_text("I dilute it <i>now</i>").wait_for()
    expect(facts).to_contain_text("active")
    keep(page, screenshots, "alert")
    page.goto(f"{watched.url}/alerts")
    row = page.locator('table[aria-label="Active alerts"] tr', has_text="crowded")
    expect(row).to_contain_text("ann")
    open_alert(page, watched)
    expect(page.get_by_label("Your name")).to_have_value("ann")
    assert not page.faults


def test_another_page_that_was_just_started_has_the_remark(
    page: Any, watched: Running, told: AlertRaised
) -> None:
    url = watched.start_page()
    page.goto(f"{url}/alert?alert={quote(told.event_id)}")
    seen = page.locator('table[aria-label="Seen by"]')
    wait_until(lambda: "ann" in seen.inner_text(), watched.service.logs)
    # Its cells are not in this server's memory: they come from Kafka.
    wait_until(lambda: page.locator(".marked polygon").count(), watched.service.logs)
    expect(seen).to_contain_text("I dilute it")


def test_an_alert_whose_frame_is_gone_says_so(page: Any, watched: Running, screenshots: Path | None) -> None:
    now_ns = time.time_ns()
    at = {"camera_id": "scope-2", "run_id": "long-ago", "happened_at_ns": now_ns, "decided_at_ns": now_ns}
    raised = AlertRaised(**at, sequence=3, rule="forgotten", reason="cells 1")
    cleared = AlertCleared(**at, sequence=4, rule="forgotten", raised_at_ns=now_ns, reason="cells 2")
    with watched.service.producer() as producer:
        for event in (raised, cleared):
            topic = watched.service.settings.topics.name("alerts")
            producer.send(topic, encode_event(event), b"scope-2").get(30)
    page.goto(f"{watched.url}/alerts")
    page.locator('table[aria-label="Past alerts"] a', has_text="forgotten").click()
    page.get_by_text("There is no picture: frame 3 of run long-ago is no longer in Kafka").wait_for()
    page.get_by_text("No rule of this name is set here now").wait_for()
    keep(page, screenshots, "alert-gone")
    page.goto(f"{watched.url}/alert?alert=nobody")
    page.get_by_text("There is no such alert").wait_for()
    assert not page.faults


def test_an_alert_of_long_ago_is_the_stores_with_its_figures(
    page: Any, watched: Running, tmp_path: Path, screenshots: Path | None
) -> None:
    long_ago_ns = time.time_ns() - 30 * 86_400 * S
    at = {"camera_id": "scope-1", "run_id": "last-month", "sequence": 7}
    times = {"happened_at_ns": long_ago_ns, "decided_at_ns": long_ago_ns}
    raised = AlertRaised(**at, **times, rule="crowded", reason="cells is 77", figure="cells", value=77.0)
    cleared = AlertCleared(**at, **times, rule="crowded", raised_at_ns=long_ago_ns, reason="it was diluted")
    closed = WindowClosed(
        **at, **times, window="minute", window_start_ns=long_ago_ns - 60 * S, window_end_ns=long_ago_ns, final=True,
        complete=True, frames=60, figures=(Figure(name="cells", value=77.0, low=75.0, high=79.0),),
    )  # fmt: skip
    store = SqliteConfig(path=tmp_path / "store.sqlite")
    sink = store.build()
    sink.open()
    sink.write([raised, closed, cleared])
    sink.close()
    url = watched.start_page("--store", str(store.path))
    page.goto(f"{url}/alerts")
    page.get_by_text("this page's store").wait_for()
    row = page.locator('table[aria-label="Past alerts"] tr', has_text="it was diluted")
    row.wait_for()
    row.locator("a").click()
    figures = page.locator('table[aria-label="Figures"]')
    figures.wait_for()
    expect(figures).to_contain_text("75 – 79")
    page.get_by_text("There is no picture: frame 7 of run last-month is no longer in Kafka").wait_for()
    keep(page, screenshots, "alert-stored")
    assert not page.faults


def test_a_rule_is_tried_on_what_kafka_holds_and_a_wrong_one_told_why(
    page: Any, watched: Running, told: AlertRaised, screenshots: Path | None
) -> None:
    page.goto(f"{watched.url}/alerts")
    rule = page.get_by_label("Rule, TOML")
    expect(rule).to_have_value(re.compile(re.escape("[alerts.crowded]")))
    rule.fill('[alerts.mine]\nkind = "limit"\nfigure = "cells"\nabov = 50')
    page.get_by_role("button", name="Try it").click()
    page.locator(".fault", has_text="did you mean 'above'").wait_for()
    keep(page, screenshots, "trial-wrong")
    rule.fill(
        '[alerts.mine]\nkind = "limit"\nfigure = "cells"\nwindow = "hand-made"\nabove = 50\nfor_s = 120'
    )
    page.get_by_label("Run, empty for all").fill(told.run_id)
    page.get_by_label("Camera, empty for all").fill("scope-1")
    page.get_by_role("button", name="Try it").click()
    page.get_by_text(f"mine would have been raised once in {WINDOWS} windows").wait_for()
    table = page.locator('table[aria-label="Alerts that it would have raised"]')
    expect(table).to_contain_text("cells is 52, above 50")
    page.locator("canvas").first.wait_for()
    expect(page.locator(".fault", has_text="did you mean")).to_have_count(0)
    file = page.request.get(watched.url + page.get_by_label("Trial as CSV").get_attribute("href"))
    assert len(file.text().splitlines()) == WINDOWS + 1
    keep(page, screenshots, "trial")
    assert not page.faults


def paths(told: AlertRaised) -> list[str]:
    return ["/alerts", f"/alert?alert={quote(told.event_id)}"]


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_and_a_phone_needs_no_sideways_scrolling(
    page: Any, watched: Running, told: AlertRaised, number: int, scheme: Any, screenshots: Path | None
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(watched.url + paths(told)[number])
    page.wait_for_selector("h1")
    if number == 0:
        page.get_by_label("Rule, TOML").fill(
            'kind = "limit"\nfigure = "cells"\nwindow = "hand-made"\nabove = 50'
        )
        page.get_by_role("button", name="Try it").click()
        page.locator('table[aria-label="Result"]').wait_for()
    page.wait_for_timeout(2000)
    assert not serious_faults(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert not asked_outside(page, watched.url)
    keep(page, screenshots, f"phone-alerts-{number}-{scheme}")
