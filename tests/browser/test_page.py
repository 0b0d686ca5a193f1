"""What people see: each page on a running service, and what they are told when a part of it is gone."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from streamcount.types import GROUP_RUN, AlertCleared, AlertRaised, Figure, WindowClosed
from streamcount.wire import encode_event
from tests.browser.conftest import Running, wait_until
from tests.browser.expecting import expect
from tests.browser.looks import asked_outside, keep, serious_faults
from tests.integration.service import camera_text, kill_group

pytestmark = pytest.mark.broker

TOKEN = "a-token-that-is-long-enough"
PAGES = ("/", "/camera/scope-1", "/group/pair", "/alerts", "/health")


def tile(page: Any, camera: str) -> Any:
    return page.locator(f'section[aria-label="{camera}"]')


def sequence(page: Any, camera: str) -> int:
    return int(tile(page, camera).locator("canvas").get_attribute("data-sequence") or -1)


def open_wall(page: Any, running: Running) -> None:
    page.goto(running.url)
    for camera in ("scope-1", "scope-2"):
        wait_until(lambda camera=camera: tile(page, camera).count(), running.service.logs)


def test_the_wall_shows_pictures_cells_and_counts_that_go_on(
    page: Any, running: Running, screenshots: Path | None
) -> None:
    open_wall(page, running)
    for camera in ("scope-1", "scope-2"):
        of = tile(page, camera)
        canvas = of.locator("canvas")
        wait_until(lambda canvas=canvas: " cells" in canvas.get_attribute("aria-label"), running.service.logs)
        # A dash while nothing was heard.
        wait_until(
            lambda of=of: int(of.locator(".total").inner_text().strip("–") or 0) > 0, running.service.logs
        )
        seen = sequence(page, camera)
        wait_until(lambda camera=camera, seen=seen: sequence(page, camera) > seen + 2, running.service.logs)
    expect(tile(page, "scope-1")).to_contain_text("difference 0")
    assert not page.faults
    keep(page, screenshots, "wall")


WATCHED_SOCKETS = """
window.opened = [];
const Real = WebSocket;
window.WebSocket = class extends Real {
  constructor(url) {
    super(url);
    const early = typeof createApp === "undefined";
    if (String(url).endsWith("/live")) opened.push({ early, socket: this, asked: [] });
  }
  send(text) { opened.find((one) => one.socket === this)?.asked.push(text); super.send(text); }
};
"""


def test_pictures_are_asked_for_before_the_scripts_are_there_and_once(page: Any, running: Running) -> None:
    open_wall(page, running)
    for camera in ("scope-1", "scope-2"):
        wait_until(lambda camera=camera: sequence(page, camera) >= 0, running.service.logs)
    page.add_init_script(WATCHED_SOCKETS)
    page.goto(running.url)
    for camera in ("scope-1", "scope-2"):
        wait_until(lambda camera=camera: sequence(page, camera) >= 0, running.service.logs)
    sockets = page.evaluate("opened.map(({ early, asked }) => ({ early, asked }))")
    assert [one["early"] for one in sockets] == [True]
    wants = [json.loads(text) for text in sockets[0]["asked"]]
    first = [one["camera"] for one in wants if not one["known"]]
    assert sorted(first) == ["scope-1", "scope-2"]
    assert not page.faults


@pytest.mark.parametrize("path", PAGES)
def test_nothing_comes_from_outside_and_a_phone_needs_no_sideways_scrolling(
    page: Any, running: Running, path: str, screenshots: Path | None
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(running.url + path)
    page.wait_for_selector("h1")
    page.wait_for_timeout(1500)
    assert not asked_outside(page, running.url)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert not page.faults
    keep(page, screenshots, f"phone{path.replace('/', '-')}")


def test_a_camera_is_shown_large_and_its_cells_can_be_chosen_by_keyboard(
    page: Any, running: Running, screenshots: Path | None
) -> None:
    page.goto(f"{running.url}/camera/scope-1")
    canvas = page.locator("canvas").first
    wait_until(lambda: " cells" in (canvas.get_attribute("aria-label") or ""), running.service.logs)
    canvas.focus()
    page.keyboard.press("ArrowRight")
    table = page.locator('table[aria-label="Cell"]')
    table.wait_for()
    expect(table).to_contain_text("cell")
    expect(table).to_contain_text("probability")
    page.locator('table[aria-label="Events"] td', has_text="CellAppeared").first.wait_for()
    page.get_by_role("switch", name="ids").click()
    assert not page.faults
    keep(page, screenshots, "camera")


def test_health_sums_each_cameras_frames(page: Any, running: Running, screenshots: Path | None) -> None:
    page.goto(f"{running.url}/health")
    rows = page.locator('table[aria-label="Frames"] tbody tr')
    wait_until(lambda: rows.count() == 2, running.service.logs)
    wait_until(
        lambda: all(row.locator("td").last.inner_text() == "0" for row in rows.all()), running.service.logs
    )
    expect(page.locator(".bad-figure.number")).to_have_count(0)
    keep(page, screenshots, "health")


def test_a_configured_camera_that_never_sent_says_so_and_disturbs_no_other(
    page: Any, running: Running, screenshots: Path | None
) -> None:
    file = running.service.file
    text = file.read_text()
    file.write_text(text + camera_text("spare", seed=3))
    try:
        url = running.start_page()
    finally:
        file.write_text(text)
    page.goto(url)
    spare = tile(page, "spare")
    spare.locator(".state.bad", has_text="never heard since").wait_for()
    expect(spare.locator(".total")).to_have_text("–")
    seen = sequence(page, "scope-1")
    wait_until(lambda: sequence(page, "scope-1") > seen + 2, running.service.logs)
    keep(page, screenshots, "wall-unheard")
    page.goto(f"{url}/camera/spare")
    page.locator(".state.bad", has_text="never heard since").wait_for()
    page.goto(f"{url}/health")
    row = page.locator('table[aria-label="Frames"] tr', has_text="spare")
    row.locator(".bad-figure", has_text="never heard since").wait_for()
    assert not page.faults


def test_alerts_and_windows_are_told_with_their_figures(
    page: Any, running: Running, screenshots: Path | None
) -> None:
    now_ns = time.time_ns()
    common = {"camera_id": "scope-2", "run_id": "told", "happened_at_ns": now_ns, "decided_at_ns": now_ns}
    hostile = "<img src=x onerror=alert(1)> cells 48 > 40"
    raised = AlertRaised(
        **common,
        sequence=3,
        rule="crowded",
        reason=hostile,
        severity="critical",
        figure="cells",
        value=48.0,
        limit=40.0,
    )
    figure = Figure(name="cells", value=47.25, low=45.5, high=49.0)
    bounds = {"window": "shift", "window_start_ns": now_ns - 60 * 10**9, "window_end_ns": now_ns}
    window = WindowClosed(
        **common, **bounds, sequence=3, final=True, complete=True, frames=120, figures=(figure,)
    )
    with running.service.producer() as producer:
        for topic, event in (("alerts", raised), ("windows", window)):
            producer.send(running.service.settings.topics.name(topic), encode_event(event), b"scope-2").get(
                30
            )
        page.goto(f"{running.url}/alerts")
        active = page.locator('table[aria-label="Active alerts"]')
        active.locator("td", has_text="crowded").wait_for()
        expect(active).to_contain_text(hostile)
        keep(page, screenshots, "alerts")
        open_wall(page, running)
        tile(page, "scope-2").locator(".chip.critical", has_text="alert: crowded").wait_for()
        cleared = AlertCleared(**common, sequence=9, rule="crowded", raised_at_ns=now_ns, reason="cells 39")
        producer.send(running.service.settings.topics.name("alerts"), encode_event(cleared), b"scope-2").get(
            30
        )
    page.goto(f"{running.url}/alerts")
    page.locator('table[aria-label="Past alerts"] td', has_text="cells 39").wait_for()
    page.goto(f"{running.url}/camera/scope-2")
    page.locator('table[aria-label="Windows"] td', has_text="45.5 – 49").wait_for()
    keep(page, screenshots, "windows")
    assert not page.faults


def test_a_group_has_a_tile_and_a_page_with_its_cameras_figures_and_alerts(
    page: Any, running: Running, screenshots: Path | None
) -> None:
    end_ns = time.time_ns()
    at = {"camera_id": "pair", "run_id": GROUP_RUN, "happened_at_ns": end_ns, "decided_at_ns": end_ns}
    bounds = {"window": "minute", "window_start_ns": end_ns - 60 * 10**9, "window_end_ns": end_ns}
    figures = (
        Figure(name="cells", value=94.5, low=92.0, high=97.0),
        Figure(name="cells", value=94.5, class_name="cell"),
    )
    window = WindowClosed(
        **at, **bounds, sequence=1, final=True, complete=False, reasons=("members-missing",), frames=240,
        figures=figures, members=("scope-1",), members_missing=("scope-2",),
    )  # fmt: skip
    raised = AlertRaised(**at, sequence=1, rule="crowded", reason="cells 94.5 > 90", severity="critical")
    open_wall(page, running)
    group = tile(page, "group pair")
    expect(group).to_contain_text("streamcount groups run")
    with running.service.producer() as producer:
        for topic, event in (("windows", window), ("alerts", raised)):
            producer.send(running.service.settings.topics.name(topic), encode_event(event), b"pair").get(30)
    wait_until(lambda: group.locator(".total").count(), running.service.logs)
    expect(group.locator(".total")).to_have_text("94.5")
    group.locator(".chip.critical", has_text="alert: crowded").wait_for()
    expect(group).to_contain_text("without scope-2")
    keep(page, screenshots, "wall-group")
    group.locator("a").click()
    cameras = page.locator('table[aria-label="Cameras"] tr')
    wait_until(lambda: cameras.count() == 3, running.service.logs)
    expect(cameras.nth(1)).to_have_text(re.compile(r"scope-1\s*yes"))
    expect(cameras.nth(2)).to_have_text(re.compile(r"scope-2\s*missing"))
    page.locator(".chip", has_text="incomplete: members missing").wait_for()
    expect(page.locator('table[aria-label="Windows"]')).to_contain_text("92 – 97")
    page.wait_for_timeout(1500)
    keep(page, screenshots, "group")
    page.locator('table[aria-label="Alerts"] a', has_text="crowded").click()
    page.get_by_text("of no one frame").wait_for()
    page.locator('a[href="/group/pair"]').wait_for()
    assert not page.faults


def test_the_stream_tells_events_as_they_come_and_goes_on_where_it_was(running: Running) -> None:
    url = f"{running.url}/api/v1/stream"

    def follow(headers: dict[str, str]) -> tuple[str, dict[str, Any]]:
        with httpx.stream("GET", url, headers=headers, timeout=90) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = (line.partition(": ") for line in answer.iter_lines())
            told = {}
            for name, _, value in lines:
                told[name] = value
                if "data" in told:
                    return told["id"], json.loads(told["data"])
        raise AssertionError("the stream ended")

    last, event = follow({})
    assert event["camera_id"] in ("scope-1", "scope-2")
    process, _, number = last.partition("-")
    assert follow({"last-event-id": f"{process}-{int(number) - 1}"}) == (last, event)


def test_dark_is_remembered(page: Any, running: Running) -> None:
    page.goto(running.url)
    page.get_by_role("button", name="Dark / light").click()
    page.wait_for_selector("body.body--dark")
    page.goto(f"{running.url}/health")
    page.wait_for_selector("h1")
    expect(page.locator("body.body--dark")).to_have_count(1)


def test_a_killed_camera_says_since_when_and_the_other_goes_on(
    page: Any, running: Running, screenshots: Path | None
) -> None:
    open_wall(page, running)
    wait_until(
        lambda: sequence(page, "scope-1") >= 0 and sequence(page, "scope-2") >= 0, running.service.logs
    )
    kill_group(running.cameras["scope-1"])
    state = tile(page, "scope-1").locator(".state")
    wait_until(lambda: "no frames since" in state.inner_text(), running.service.logs)
    keep(page, screenshots, "stale")
    seen = sequence(page, "scope-2")
    wait_until(lambda: sequence(page, "scope-2") > seen + 2, running.service.logs)
    expect(tile(page, "scope-2").locator(".state")).to_have_text("live")
    running.cameras["scope-1"] = running.start_camera("scope-1")
    wait_until(lambda: state.inner_text() == "live", running.service.logs)
    # What became of the frames of the run that was killed is still told.
    page.goto(f"{running.url}/health")
    ended = page.locator('table[aria-label="Frames"] tr', has_text="scope-1").filter(has_text="ended")
    ended.wait_for()
    wait_until(lambda: ended.locator("td").last.inner_text() == "0", running.service.logs)
    keep(page, screenshots, "health-ended")


def test_a_broker_that_goes_is_told_and_the_page_recovers(
    page: Any, running: Running, screenshots: Path | None
) -> None:
    open_wall(page, running)
    banner = page.locator(".banner")
    wait_until(lambda: not banner.is_visible(), running.service.logs)
    running.broker.kill_node(1)
    wait_until(lambda: banner.is_visible() and "Kafka at" in banner.inner_text(), running.service.logs)
    keep(page, screenshots, "no-broker")
    running.broker.start_node(1)
    wait_until(lambda: not banner.is_visible(), running.service.logs)
    seen = sequence(page, "scope-2")
    wait_until(lambda: sequence(page, "scope-2") > seen + 2, running.service.logs)
    wait_until(lambda: tile(page, "scope-2").locator(".state").inner_text() == "live", running.service.logs)
    expect(banner).not_to_be_visible()


def test_without_the_token_there_is_nothing_and_with_it_the_page(
    page: Any, running: Running, monkeypatch: pytest.MonkeyPatch, screenshots: Path | None
) -> None:
    monkeypatch.setenv("STREAMCOUNT_DASHBOARD_TOKEN", TOKEN)
    url = running.start_page("--host", "0.0.0.0")
    assert page.request.get(f"{url}/api/v1/cameras").status == 401
    page.goto(f"{url}/camera/scope-1")
    page.get_by_label("Access token").fill("a-wrong-token-of-some-length")
    page.get_by_role("button").click()
    page.get_by_text("That is not the token.").wait_for()
    assert "scope-1" not in page.content()
    assert page.request.get(f"{url}/api/v1/cameras").status == 401
    page.set_viewport_size({"width": 390, "height": 844})
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert not serious_faults(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        keep(page, screenshots, f"login-{scheme}")
    page.get_by_label("Access token").fill(TOKEN)
    page.get_by_role("button").click()
    wait_until(lambda: tile(page, "scope-2").count(), running.service.logs)
    wait_until(lambda: sequence(page, "scope-2") >= 0, running.service.logs)


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(page: Any, running: Running, path: str, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(running.url + path)
    page.wait_for_selector("h1")
    page.wait_for_timeout(2000)
    assert not serious_faults(page)
