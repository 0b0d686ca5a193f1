"""Correcting a frame as a person does: by mouse and by keyboard; what is said lies on the disk with its frame."""

from __future__ import annotations

import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamcount.sinks.corrections import CorrectionsFolder
from streamcount.types import Detections, FrameMetadata, ModelIdentity
from streamcount.types.corrections import Draw, Relabel, Saving, Strike, labelled_by
from streamcount.wire import encode_detections, encode_image
from streamcount.wire.cloudevents import frame_headers
from tests.browser.conftest import Running, wait_until
from tests.browser.expecting import expect
from tests.browser.looks import asked_outside, keep, serious_faults, shown_at

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("corrections") / "kept"


@pytest.fixture(scope="module")
def url(running: Running, kept: Path) -> str:
    """A page that keeps corrections."""
    return running.start_page("--corrections", str(kept))


def opened(page: Any, url: str, running: Running, camera: str = "scope-1", model: str = "watershed") -> Any:
    """The drawing on the page, once it has a frame with cells that this model found."""
    drawing, head = page.locator(".sketch svg"), page.locator(".tile-head", has_text=f"found by {model}")

    def there() -> bool:
        page.goto(f"{url}/camera/{camera}/correct")
        page.wait_for_timeout(1000)
        return bool(drawing.locator("path.over").count() and head.count())

    wait_until(there, running.service.logs)
    return drawing


def drag(page: Any, drawing: Any, box: tuple[float, float, float, float]) -> None:
    y0, x0, y1, x1 = box
    page.mouse.move(*shown_at(page, drawing, y0, x0))
    page.mouse.down()
    page.mouse.move(*shown_at(page, drawing, y1, x1), steps=4)
    page.mouse.up()


def last_saving(kept: Path) -> Saving:
    return CorrectionsFolder(kept).newest(1)[0]


def test_a_cell_is_struck_and_one_drawn_with_the_mouse_and_both_are_on_the_disk(
    page: Any, url: str, kept: Path, running: Running, screenshots: Path | None
) -> None:
    drawing = opened(page, url, running)
    listed = page.locator('table[aria-label="Not saved yet"]')
    drawing.focus()
    page.keyboard.press("ArrowRight")
    page.locator(".sketch-note", has_text="cell 0").wait_for()
    page.get_by_role("button", name="Strike it").click()
    listed.locator("td", has_text="cell 0 is none").wait_for()
    page.get_by_role("radio", name="draw a missed cell").click()
    page.locator(".sketch-note", has_text="0 points").wait_for()
    drag(page, drawing, (20, 30, 44, 60))
    listed.locator("td", has_text="drawn at x 45, y 32").wait_for()
    drag(page, drawing, (100, 100, 120, 120))
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("checkbox", name="Every other cell").click()
    page.get_by_label("Remark").fill("seen twice")
    keep(page, screenshots, "correct", whole=True)
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved: 1 struck, 1 drawn, all else right.").wait_for()
    saving = last_saving(kept)
    assert (saving.frame.camera_id, saving.number, saving.checked) == ("scope-1", 1, True)
    assert saving.remark == "seen twice"
    strike, drawn = saving.corrections
    assert strike == Strike(0)
    assert isinstance(drawn, Draw)
    assert drawn.box_px == pytest.approx((20, 30, 44, 60), abs=1.5)
    image = CorrectionsFolder(kept).image_of(saving.frame)
    assert sha256(image.read_bytes()).hexdigest() == saving.frame.frame_sha256
    assert len(saving.frame.model.sha256) == 64
    expect(page.locator('table[aria-label="Saved"] td', has_text="seen twice")).to_have_count(1)
    assert not page.faults


def test_by_keyboard_alone_and_upon_what_was_saved(page: Any, url: str, kept: Path, running: Running) -> None:
    drawing = opened(page, url, running)
    page.get_by_role("radio", name="draw a missed cell").focus()
    page.keyboard.press("Space")
    page.locator(".sketch-note", has_text="0 points").wait_for()
    drawing.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    for _ in range(8):
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.locator("td", has_text="drawn at x").wait_for()
    page.get_by_role("button", name="Save").press("Enter")
    page.get_by_text("Saved: 1 drawn, the rest not looked at.").wait_for()
    first = last_saving(kept)
    page.get_by_role("radio", name="choose a cell").click()
    page.locator(".sketch-note", has_text="nothing chosen").wait_for()
    drawing.focus()
    page.keyboard.press("ArrowLeft")
    page.locator(".sketch-note", has_text=", drawn").wait_for()
    page.keyboard.press("Delete")
    page.locator("td", has_text="is none").wait_for()
    page.keyboard.press("u")
    page.get_by_text("Nothing is corrected yet.").wait_for()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Delete")
    page.get_by_role("button", name="Save").press("Enter")
    page.get_by_text("Saved: 1 struck, the rest not looked at.").wait_for()
    second = last_saving(kept)
    assert (second.number, second.frame.frame_sha256) == (2, first.frame.frame_sha256)
    assert len(labelled_by([first, second])) == len(first.frame.found)
    assert not page.faults


def test_cells_get_another_class_by_click_and_by_key(
    page: Any, url: str, kept: Path, running: Running, screenshots: Path | None
) -> None:
    tell_of_a_smear(running)
    drawing = opened(page, url, running, "told", "blood")
    chosen = page.locator(".sketch-note", has_text="cell 0: red")

    def clicked() -> bool:
        # A page that was just loaded may not yet listen.
        page.mouse.click(*shown_at(page, drawing, 30, 30))
        page.wait_for_timeout(500)
        return bool(chosen.count())

    wait_until(clicked, running.service.logs)
    page.get_by_role("radio", name="2 white").click()
    page.get_by_role("button", name="It is: white").click()
    page.locator("td", has_text="cell 0 is: white").wait_for()
    drawing.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("3")
    page.locator("td", has_text="cell 1 is: platelet").wait_for()
    keep(page, screenshots, "correct-classes", whole=True)
    page.keyboard.press("ArrowLeft")
    page.locator(".sketch-note", has_text="cell 0: white").wait_for()
    page.keyboard.press("Delete")
    page.locator("td", has_text="cell 0 is none").wait_for()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved: 2 relabelled, 1 struck, the rest not looked at.").wait_for()
    saving = last_saving(kept)
    assert saving.corrections == (Relabel(0, "white"), Relabel(1, "platelet"), Strike(0))
    assert (saving.frame.model.name, saving.frame.pixel_size_um) == ("blood", 0.25)
    page.get_by_label("another class").fill("blast")
    page.get_by_role("button", name="Add it").click()
    page.get_by_role("radio", name="4 blast").wait_for()
    drawing.focus()
    page.keyboard.press("ArrowRight")
    page.locator(".sketch-note", has_text="cell 1: platelet").wait_for()
    page.keyboard.press("4")
    page.locator("td", has_text="cell 1 is: blast").wait_for()
    keep(page, screenshots, "correct-new-class", whole=True)
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved: 1 relabelled, the rest not looked at.").wait_for()
    saving = last_saving(kept)
    assert (saving.corrections, saving.new_classes) == ((Relabel(1, "blast"),), ("blast",))
    page.reload()
    page.get_by_role("radio", name="4 blast").wait_for()
    assert not page.faults


def tell_of_a_smear(running: Running) -> None:
    """A frame and its cells of three classes on the topics, as a camera and a worker write them.

    The running worker looks at the frame too, and tells what it finds: the page shows what was told last.
    """
    metadata = FrameMetadata(
        camera_id="told", run_id="a", sequence=0, acquired_at_ns=time.time_ns(), pixel_size_um=0.25
    )
    image = np.full((120, 160, 3), 225, np.uint8)
    boxes = np.array([[15, 15, 45, 45], [60, 80, 90, 115]], np.float32)
    for y0, x0, y1, x1 in boxes.astype(int):
        image[y0:y1, x0:x1] = (190, 90, 110)
    detections = Detections(
        metadata=metadata,
        image_shape=(120, 160),
        model=ModelIdentity("blood", "ef" * 32, ("red", "white", "platelet")),
        centroids_px=(boxes[:, :2] + boxes[:, 2:]) / 2,
        boxes_px=boxes,
        areas_px=np.array([700, 800], np.float32),
        class_probabilities=np.array([[0.9, 0.1, 0], [0.5, 0.2, 0.3]], np.float32),
    )
    names = running.service.settings.topics
    headers = frame_headers(metadata, "image/png")
    with running.service.producer() as producer:
        producer.send(names.name("frames"), encode_image(image, "png"), b"told", headers=headers).get(30)
        running.service.records_until(("detections",), lambda found: any(one.key == b"told" for one in found))
        producer.send(names.name("detections"), encode_detections(detections), b"told").get(30)


def test_what_was_saved_by_another_is_not_lost(page: Any, url: str, kept: Path, running: Running) -> None:
    drawing = opened(page, url, running)
    held = page.locator(".tile-head").inner_text()
    sequence = int(held.split("frame ")[1].split(",")[0])
    labels = page.request.get(f"{url}/api/v1/cameras/scope-1/labels").json()
    run = labels["run"]
    labels = page.request.get(f"{url}/api/v1/cameras/scope-1/labels?run={run}&sequence={sequence}").json()
    told = {key: labels[key] for key in ("run", "sequence", "frame_sha256", "savings")}
    answer = page.request.post(
        f"{url}/api/v1/cameras/scope-1/corrections", data={**told, "corrections": [], "checked": True}
    )
    assert answer.status == 201
    drawing.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Delete")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Not saved: somebody else corrected this frame").wait_for()
    assert last_saving(kept).corrections == ()


def test_a_page_that_keeps_none_says_how(page: Any, running: Running) -> None:
    page.goto(f"{running.url}/camera/scope-1/correct")
    page.get_by_text("start it with streamcount dashboard --corrections FOLDER").wait_for()
    expect(page.locator(".sketch")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_too_and_axe_finds_nothing_serious(
    page: Any, url: str, running: Running, scheme: Any, screenshots: Path | None
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 390, "height": 844})
    opened(page, url, running)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert not asked_outside(page, url)
    keep(page, screenshots, f"correct-phone-{scheme}", whole=True)
    assert not serious_faults(page)
    assert not page.faults
