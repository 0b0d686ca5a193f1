"""Setting up as a person does it: a camera by its form, drawing on the picture, and the file that is read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streamcount.config import load_settings
from tests.browser.conftest import Running, wait_until
from tests.browser.expecting import expect
from tests.browser.looks import asked_outside, keep, serious_faults, shown_at

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def url(running: Running) -> str:
    """A page that may write the service's own settings file."""
    return running.start_page("--allow-setup")


def opened(page: Any, url: str, running: Running) -> Any:
    """The drawing on the page, once it has the first camera's picture."""
    drawing = page.locator(".sketch svg")

    def there() -> bool:
        page.goto(f"{url}/setup")
        page.wait_for_timeout(1000)
        return drawing.get_attribute("viewBox") == "0 0 320 240"

    wait_until(there, running.service.logs)
    return drawing


def click(page: Any, drawing: Any, *points: tuple[float, float]) -> None:
    # The mouse reaches only what is in view, and the page moves to what has the focus.
    drawing.evaluate("drawing => drawing.scrollIntoView({block: 'center'})")
    for y, x in points:
        page.mouse.click(*shown_at(page, drawing, y, x))


def test_zone_line_and_scale_are_drawn_shown_and_written(
    page: Any, url: str, running: Running, screenshots: Path | None
) -> None:
    before = running.service.file.read_text()
    drawing = opened(page, url, running)
    panel = page.get_by_role("region", name="On the picture")
    diff = page.locator("pre.diff")
    corners = ((40, 60), (40, 200), (180, 220), (190, 50))
    click(page, drawing, *corners, corners[0])
    page.get_by_text("Name it, then set it up.").wait_for()
    panel.get_by_label("name").fill("well")
    panel.get_by_role("button", name="Set it up").click()
    diff.get_by_text("[cameras.scope-1.zones.well]").wait_for()
    panel.get_by_role("radio", name="counting line").click()
    page.locator(".sketch-note", has_text="0 points").wait_for()
    click(page, drawing, (20, 160), (120, 165), (220, 160))
    page.mouse.dblclick(*shown_at(page, drawing, 225, 150))
    page.get_by_text("Name it, then set it up.").wait_for()
    panel.get_by_label("name").fill("gate")
    panel.get_by_role("button", name="Set it up").click()
    diff.get_by_text("[cameras.scope-1.lines.gate]").wait_for()
    panel.get_by_role("radio", name="known length").click()
    page.locator(".sketch-note", has_text="0 points").wait_for()
    click(page, drawing, (100, 50), (100, 250))
    page.get_by_text("Give its length").wait_for()
    panel.get_by_label("length (µm)").fill("64")
    panel.get_by_role("button", name="Set it up").click()
    diff.get_by_text("+pixel_size_um = 0.32").wait_for()
    assert running.service.file.read_text() == before
    keep(page, screenshots, "setup-places", whole=True)
    page.get_by_role("button", name="Write to streamcount.toml").click()
    page.get_by_text("Written to").wait_for()
    camera = load_settings(running.service.file, {}).cameras["scope-1"]
    zone, line = camera.zones["well"].points_px, camera.lines["gate"].points_px
    assert zone is not None
    assert line is not None
    for found, wanted in zip(zone, corners, strict=True):
        assert found == pytest.approx(wanted, abs=1)
    assert line[-1] == pytest.approx((225, 150), abs=1)
    assert len(line) == 4
    assert camera.pixel_size_um == pytest.approx(0.32, abs=0.005)
    expect(diff).to_have_count(0)
    panel.get_by_role("button", name="Take out line gate").click()
    diff.get_by_text("-[cameras.scope-1.lines.gate]").wait_for()
    page.get_by_role("button", name="Write to streamcount.toml").click()
    wait_until(lambda: "gate" not in running.service.file.read_text(), running.service.logs)
    assert not page.faults


def test_a_zone_is_drawn_by_keyboard_and_one_that_crosses_itself_is_refused(
    page: Any, url: str, running: Running
) -> None:
    drawing = opened(page, url, running)
    panel = page.get_by_role("region", name="On the picture")
    drawing.focus()
    for key, times in (("ArrowLeft", 20), ("ArrowRight", 40), ("ArrowDown", 30)):
        for _ in range(times):
            page.keyboard.press(key)
        page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    page.get_by_text("Name it, then set it up.").wait_for()
    panel.get_by_label("name").fill("keys")
    panel.get_by_role("button", name="Set it up").press("Enter")
    page.locator("pre.diff").get_by_text("[cameras.scope-1.zones.keys]").wait_for()
    click(page, drawing, (20, 20), (100, 100), (20, 100), (100, 20), (20, 20))
    page.get_by_text("Name it, then set it up.").wait_for()
    panel.get_by_label("name").fill("crossed")
    panel.get_by_role("button", name="Set it up").click()
    page.get_by_text("crosses or touches itself").wait_for()
    expect(page.locator("pre.diff").get_by_text("crossed")).to_have_count(0)
    assert not page.faults


def test_a_camera_is_set_up_by_its_form_and_runs(
    page: Any, url: str, running: Running, screenshots: Path | None
) -> None:
    opened(page, url, running)
    form = page.get_by_role("region", name="A new camera")
    form.get_by_label("name").fill("scope-1")
    form.get_by_label("rate (Hz)").fill("often")
    form.get_by_role("button", name="Set up this camera").click()
    form.get_by_text("there is a camera of this name already").first.wait_for()
    form.get_by_text("valid number").first.wait_for()
    keep(page, screenshots, "setup-errors", whole=True)
    form.get_by_label("name").fill("scope-3")
    form.get_by_label("rate (Hz)").fill("2")
    form.get_by_label("width (px)").fill("160")
    form.get_by_label("height (px)").fill("120")
    form.get_by_label("cells").fill("5")
    form.get_by_role("combobox", name="modality").click()
    page.get_by_role("option", name="fluorescence").click()
    form.get_by_role("button", name="Set up this camera").click()
    page.locator("pre.diff").get_by_text("[cameras.scope-3.source]").wait_for()
    keep(page, screenshots, "setup-camera", whole=True)
    page.get_by_role("button", name="Write to streamcount.toml").click()
    page.get_by_text("Written to").wait_for()
    source = load_settings(running.service.file, {}).cameras["scope-3"].source
    assert (source.kind, source.rate_hz, source.width_px, source.modality) == (
        "simulated",
        2,
        160,
        "fluorescence",
    )
    running.start_camera("scope-3")
    page.goto(url)
    page.locator('section[aria-label="scope-3"]').wait_for()
    assert not page.faults


def test_a_zone_gets_classes_and_hysteresis_and_a_camera_is_taken_out(
    page: Any, url: str, running: Running, screenshots: Path | None
) -> None:
    drawing = opened(page, url, running)
    panel = page.get_by_role("region", name="On the picture")
    diff = page.locator("pre.diff")
    corners = ((30, 230), (30, 300), (90, 300), (90, 230))
    click(page, drawing, *corners, corners[0])
    page.get_by_text("Name it, then set it up.").wait_for()
    panel.get_by_label("name").fill("corner")
    panel.get_by_role("combobox", name="only cells of").click()
    page.get_by_role("option", name="cell").click()
    page.keyboard.press("Escape")
    panel.get_by_label("beyond the border").fill("0,5")
    panel.get_by_role("button", name="Set it up").click()
    diff.get_by_text("hysteresis_diameters = 0.5").wait_for()
    diff.get_by_text('classes = ["cell"]').wait_for()
    panel.get_by_role("button", name="Change zone corner").click()
    expect(panel.get_by_label("beyond the border")).to_have_value("0.5")
    panel.get_by_label("beyond the border").fill("")
    panel.get_by_role("button", name="Set it up").click()
    wait_until(lambda: "hysteresis" not in diff.inner_text(), running.service.logs)
    expect(diff).to_contain_text('classes = ["cell"]')
    keep(page, screenshots, "setup-zone", whole=True)
    panel.get_by_role("button", name="Take out this camera").click()
    diff.get_by_text("-[cameras.scope-1.source]").wait_for()
    expect(diff).to_contain_text('+cameras = ["scope-2"]')
    expect(panel.get_by_role("combobox", name="camera")).to_have_value("scope-2")
    assert not page.faults


def test_without_leave_it_shows_and_does_not_write(page: Any, running: Running) -> None:
    before = running.service.file.read_text()
    opened(page, running.url, running)
    form = page.get_by_role("region", name="A new camera")
    form.get_by_label("name").fill("scope-4")
    form.get_by_role("button", name="Set up this camera").click()
    page.locator("pre.diff").get_by_text("[cameras.scope-4.source]").wait_for()
    expect(page.get_by_role("button", name="Write to streamcount.toml")).to_be_disabled()
    page.get_by_text("start it with streamcount dashboard --allow-setup").wait_for()
    assert running.service.file.read_text() == before


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_setting_up_on_a_phone_and_axe_finds_nothing_serious(
    page: Any, url: str, running: Running, scheme: Any, screenshots: Path | None
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 390, "height": 844})
    opened(page, url, running)
    form = page.get_by_role("region", name="A new camera")
    form.get_by_label("name").fill("scope-5")
    form.get_by_role("button", name="Set up this camera").click()
    page.locator("pre.diff").get_by_text("[cameras.scope-5.source]").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert not asked_outside(page, url)
    page.wait_for_timeout(500)
    keep(page, screenshots, f"setup-phone-{scheme}", whole=True)
    assert not serious_faults(page)
    assert not page.faults
