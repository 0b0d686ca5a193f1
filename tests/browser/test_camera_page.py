"""The page of one camera on a running service: zones, charts, one cell's life, and the past with its honest blank."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from streamcount.service.broker import Broker
from streamcount.service.snapshots.run import snapshot_headers
from streamcount.types import OUTLINE_POINTS, CellAbnormal, outlines_in_px
from streamcount.wire import encode_event
from tests.browser.conftest import Running, wait_until
from tests.browser.expecting import expect
from tests.browser.looks import keep, serious_faults
from tests.integration.service import Service, camera_text, worker_text
from tests.outlining import ellipse_in

pytestmark = pytest.mark.broker

PLACES = """
[windows.short]
length_s = 10

[cameras.scope-1]
pixel_size_um = 0.5
zones.well.points_px = [[20, 20], [20, 160], [120, 160], [120, 20]]
lines.gate.points_px = [[200, 20], [180, 300]]
"""
STORE = """
[sinks.store]
kind = "sqlite"
path = "{folder}/store.sqlite"
"""
# The model holds 64 pictures of a camera, at two a second; a minute back they are Kafka's alone.
FIRST_MS = 75_000


class PastRunning(Running):
    """The service with a store beside it, and a page that reads its past from there."""

    def __init__(self, broker: Broker, service: Service) -> None:
        super().__init__(broker, service)
        service.start("sink")
        store = service.folder / "store.sqlite"
        wait_until(store.is_file, service.logs)
        self.url = self.start_page("--store", str(store))

    def get(self, page: Any, path: str) -> Any:
        """What the API answers, which must be well."""
        answer = page.request.get(f"{self.url}/api/v1/cameras/scope-1{path}")
        assert answer.ok, answer.text()
        return answer


@pytest.fixture(scope="module")
def past(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PastRunning]:
    """One service for all tests of this file."""
    pytest.importorskip("nicegui", reason="needs the extra dashboard")
    folder = tmp_path_factory.mktemp("past")
    with Broker(tmp_path_factory.mktemp("past-broker")) as broker:
        cameras = camera_text("scope-1", divisions_per_hour=0.6) + camera_text("scope-2", seed=2)
        text = worker_text("past", folder) + PLACES + cameras + STORE.format(folder=folder.as_posix())
        service = Service(broker.bootstrap_servers, folder, text, "past")
        try:
            yield PastRunning(broker, service)
        finally:
            service.close()


def open_camera(page: Any, past: PastRunning) -> None:
    page.goto(f"{past.url}/camera/scope-1")
    wait_until(lambda: " cells" in (canvas(page).get_attribute("aria-label") or ""), past.service.logs)


def canvas(page: Any) -> Any:
    return page.locator("section[aria-label=Picture] canvas")


def sequence(page: Any) -> int:
    return int(canvas(page).get_attribute("data-sequence") or -1)


def state(page: Any) -> str:
    return str(page.locator("section[aria-label=Picture] .state").inner_text())


def brightest(page: Any) -> int:
    """The brightest value of the picture below its outlines: those are switched off."""
    return int(
        canvas(page).evaluate(
            "one => one.getContext('2d').getImageData(0, 0, one.width, one.height).data"
            ".reduce((most, value, i) => (i % 4 < 3 && value > most ? value : most), 0)"
        )
    )


def switch_off(page: Any, *names: str) -> None:
    for name in names:
        page.get_by_role("switch", name=name).click()


def wait_for_past(page: Any, past: PastRunning, long_ms: int = FIRST_MS) -> None:
    """Until there is a past that goes back so far."""

    def long_enough() -> bool:
        extent = past.get(page, "/history").json()
        return extent["from_ms"] is not None and extent["to_ms"] - extent["from_ms"] > long_ms

    wait_until(long_enough, past.service.logs)


def test_zones_and_lines_are_drawn_and_can_be_switched_off(
    page: Any, past: PastRunning, screenshots: Path | None
) -> None:
    open_camera(page, past)
    wait_for_past(page, past, 20_000)
    page.get_by_role("button", name="−10 s").click()
    wait_until(lambda: state(page).startswith("past"), past.service.logs)
    wait_until(lambda: "past" in page.locator(".view-note").inner_text(), past.service.logs)
    switch_off(page, "outlines")
    with_places = canvas(page).evaluate("one => one.toDataURL()")
    switch_off(page, "zones")
    wait_until(lambda: canvas(page).evaluate("one => one.toDataURL()") != with_places, past.service.logs)
    assert not page.faults
    keep(page, screenshots, "zones")


def held_cells(page: Any, past: PastRunning) -> dict[str, Any]:
    """The cells of the moment of the past that the page shows."""
    found: list[dict[str, Any]] = []

    def told() -> bool:
        at_ms = past.get(page, "/history").json()["to_ms"]
        for before_ms in range(5_000, 40_000, 250):
            shown = past.get(page, f"/history/moment?at_ms={at_ms - before_ms}").json()["shown"]
            if shown is not None and shown["sequence"] == sequence(page) and shown["cells"] is not None:
                found[:] = [shown["cells"]]
                return True
        return False

    wait_until(told, past.service.logs)
    return found[0]


def shares_drawn(page: Any, lines: list[np.ndarray]) -> list[float]:
    """Of each of some lines, points (K, 2), (y, x) in pixels of the canvas: the share of its points on which the
    canvas differs from what was kept in `window.without`."""
    return canvas(page).evaluate(
        """(one, lines) => {
          const [now, before] = [one.getContext("2d").getImageData(0, 0, one.width, one.height), window.without];
          const differs = (y, x) => [0, 1, 2].some((i) => {
            const at = 4 * (Math.floor(y) * one.width + Math.floor(x)) + i;
            return now.data[at] !== before.data[at];
          });
          const shown = ([y, x]) => y < 1 || x < 1 || y >= one.height - 1 || x >= one.width - 1 || differs(y, x);
          return lines.map((line) => line.filter(shown).length / line.length);
        }""",
        [line.tolist() for line in lines],
    )


def test_cells_are_drawn_by_their_true_outlines(
    page: Any, past: PastRunning, screenshots: Path | None
) -> None:
    open_camera(page, past)
    wait_for_past(page, past, 20_000)
    page.get_by_role("button", name="−10 s").click()
    wait_until(lambda: state(page).startswith("past"), past.service.logs)
    wait_until(lambda: "past" in page.locator(".view-note").inner_text(), past.service.logs)
    cells = held_cells(page, past)
    outlines = np.frombuffer(base64.b64decode(cells["outlines"]), np.uint8).reshape(-1, OUTLINE_POINTS, 2)
    assert len(outlines) == len(cells["ids"]) > 10
    expect(canvas(page)).to_have_attribute("data-outlined", str(int(outlines.any(axis=(1, 2)).sum())))
    keep(page, screenshots, "outlines")

    switch_off(page, "zones", "outlines")
    expect(canvas(page)).to_have_attribute("data-outlined", "0")
    width = canvas(page).evaluate(
        "one => { window.without = one.getContext('2d').getImageData(0, 0, one.width, one.height);"
        " return one.width; }"
    )
    switch_off(page, "outlines")
    expect(canvas(page)).not_to_have_attribute("data-outlined", "0")
    boxes = np.array(cells["boxes_px"]) * width / cells["width_px"]
    points = outlines_in_px(outlines, boxes)
    known = ~np.isnan(points).any(axis=(1, 2))
    assert known.mean() > 0.9
    own = shares_drawn(page, [line for line, there in zip(points, known, strict=True) if there])
    assert min(own) > 0.95
    ellipses = shares_drawn(page, [ellipse_in(box) for box, there in zip(boxes, known, strict=True) if there])
    # Of a round cell both lines are the same; a third of these are slanting.
    assert sum(share < 0.9 for share in ellipses) > 5
    assert not page.faults


def test_a_cell_tells_its_size_over_time_and_its_family(
    page: Any, past: PastRunning, screenshots: Path | None
) -> None:
    open_camera(page, past)
    canvas(page).focus()
    page.keyboard.press("ArrowRight")
    panel = page.locator('section[aria-label="Chosen cell"]')
    panel.get_by_text("frames that Kafka still has").wait_for()
    page.get_by_role("img", name="Size over time").wait_for()
    run, track = told_cell(page, past)
    table = past.get(page, f"/tracks/{track}/sizes?run={run}").json()
    places = {name: i for i, name in enumerate(table["columns"])}
    for row in table["rows"]:
        assert row[places["area_um2"]] == pytest.approx(row[places["area_px"]] / 4, abs=0.01)
    sequences = [row[places["sequence"]] for row in table["rows"]]
    assert sequences == sorted(set(sequences))
    keep(page, screenshots, "cell")
    assert not page.faults


def told_cell(page: Any, past: PastRunning) -> tuple[str, int]:
    """A run and a confirmed cell of it."""
    found: list[tuple[str, int]] = []

    def told() -> bool:
        events = past.get(page, "/events?limit=500").json()
        found[:] = [(one["run_id"], one["track_id"]) for one in events if one["kind"] == "CellAppeared"]
        return bool(found)

    wait_until(told, past.service.logs)
    return found[0]


def test_a_mother_has_a_tree_and_an_abnormal_cell_its_snapshot(
    page: Any, past: PastRunning, screenshots: Path | None
) -> None:
    divided: list[dict[str, Any]] = []

    def found() -> bool:
        events = past.get(page, "/events?limit=500").json()
        cells = past.get(page, "/cells").json()["cells"]
        inset = {
            track: min(y0, x0, cells["height_px"] - y1, cells["width_px"] - x1)
            for track, (y0, x0, y1, x1) in zip(cells["ids"], cells["boxes_px"], strict=True)
        }
        divided[:] = [
            one
            for one in events
            if one["kind"] == "CellDivided"
            and one["certainty"] == "confirmed"
            and one["daughter_ids"][0] in inset
        ]
        # The farthest from the edge stays in view longest.
        divided.sort(key=lambda one: inset[one["daughter_ids"][0]])
        return bool(divided)

    wait_until(found, past.service.logs)
    event = divided[-1]
    path = f"/tracks/{event['track_id']}"

    def known() -> bool:
        """Whether the store, which hears of it a moment later, knows the daughters."""
        family = past.get(page, f"{path}/family?run={event['run_id']}").json()
        return set(event["daughter_ids"]) <= {one["track_id"] for one in family["members"]}

    wait_until(known, past.service.logs)
    tree = past.get(page, f"{path}/tree?run={event['run_id']}")
    assert tree.headers["content-type"] == "image/svg+xml"
    assert b"<svg" in tree.body()

    daughter = event["daughter_ids"][0]
    name = f"scope-1/{event['run_id']}/{event['sequence']}/{daughter}/size"
    odd = CellAbnormal(
        camera_id="scope-1",
        run_id=event["run_id"],
        sequence=event["sequence"],
        happened_at_ns=event["happened_at_ns"],
        decided_at_ns=event["decided_at_ns"],
        track_id=daughter,
        class_name=event["class_name"],
        centroid_px=(5.0, 5.0),
        box_px=(0.0, 0.0, 10.0, 10.0),
        reason="size",
        snapshot=name,
    )
    shot = past.get(page, "/picture?width=160").body()
    when_ms = event["happened_at_ns"] // 10**6
    topics = past.service.settings.topics
    with past.service.producer() as producer:
        told = producer.send(topics.name("events"), encode_event(odd), b"scope-1", timestamp_ms=when_ms)
        told.get(30)
        # Of the other finding nobody keeps a picture, though it names one.
        bare = msgspec.structs.replace(odd, reason="shape", snapshot=name.replace("size", "shape"))
        producer.send(topics.name("events"), encode_event(bare), b"scope-1", timestamp_ms=when_ms).get(30)
        headers = snapshot_headers(odd)
        producer.send(topics.name("snapshots"), shot, b"scope-1", headers).get(30)

    def kept() -> bool:
        told = past.get(page, f"/tracks/{daughter}/snapshots?run={event['run_id']}").json()
        return [one["name"] for one in told] == [name]

    wait_until(kept, past.service.logs)
    assert past.get(page, f"/tracks/{daughter}/snapshot?run={event['run_id']}&reason=size").body() == shot

    def shows_its_life() -> bool:
        # A cell that goes out of sight just then is chosen no longer.
        choose(page, past, daughter)
        page.wait_for_timeout(5000)
        return bool(page.locator("img.tree").count() and page.locator(".shots img").count())

    wait_until(shows_its_life, past.service.logs)
    expect(page.locator(".shots figure")).to_have_count(2)
    expect(page.locator(".shots")).to_contain_text("no picture was kept")
    expect(page.locator(".shots")).to_contain_text("streamcount snapshots run")
    page.wait_for_function(
        "[...document.querySelectorAll('.tree, .shots img')].every(one => one.naturalWidth > 0)"
    )
    keep(page, screenshots, "family")
    assert not page.faults


def choose(page: Any, past: PastRunning, track: int) -> None:
    """Moves through the cells with the keys until this one is chosen."""
    open_camera(page, past)
    canvas(page).focus()
    ids = page.locator('table[aria-label="Cell"] tbody tr').first.locator("td").last
    for _ in range(200):
        page.keyboard.press("ArrowLeft")
        ids.wait_for()
        page.wait_for_timeout(250)
        if ids.inner_text() == str(track):
            return
    raise AssertionError(f"cell {track} is not in view\n{past.service.logs()}")


def test_charts_can_be_had_as_csv_and_parquet(page: Any, past: PastRunning) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
    open_camera(page, past)
    for what in ("Counts", "Events"):
        with page.expect_download() as loading:
            page.get_by_role("link", name=f"{what} as CSV").click()
        head = loading.value.path().read_text().splitlines()[0]
        with page.expect_download() as loading:
            page.get_by_role("link", name=f"{what} as Parquet").click()
        table = parquet.read_table(io.BytesIO(loading.value.path().read_bytes()))
        assert table.column_names == head.split(",")
        assert table.num_rows > 0
    # Of all time, it is the store that answers, with every frame.
    wait_until(lambda: past.get(page, "/history/counts?from_ms=0").json()["rows"], past.service.logs)
    assert past.get(page, "/history/counts?from_ms=0").json()["source"] == "store"
    now_ms = past.get(page, "/history").json()["to_ms"]
    assert past.get(page, f"/history/counts?from_ms={now_ms - 5000}").json()["source"] == "server"
    assert not page.faults


def test_figures_are_chosen_and_drawn_with_their_bands(
    page: Any, past: PastRunning, screenshots: Path | None
) -> None:
    open_camera(page, past)
    wait_until(
        lambda: past.get(page, "/history/figures?figure=cells&window=short").json()["rows"], past.service.logs
    )
    page.get_by_text("confidence intervals of the means").wait_for()
    page.locator('table[aria-label="Figures"]').wait_for()
    page.get_by_label("Figure", exact=True).click()
    page.get_by_role("option", name="cells per mm²").click()
    page.get_by_text("cells on an area").wait_for()
    keep(page, screenshots, "figures")
    assert not page.faults


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_chosen_cell_and_the_past_are_as_good_to_read(page: Any, past: PastRunning, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 390, "height": 844})
    open_camera(page, past)
    canvas(page).focus()
    page.keyboard.press("ArrowRight")
    page.get_by_text("frames that Kafka still has").wait_for()
    page.get_by_role("button", name="−10 s").click()
    wait_until(lambda: state(page).startswith("past"), past.service.logs)
    page.wait_for_timeout(1500)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert not serious_faults(page)


def test_one_slides_back_to_what_kafka_keeps_and_then_to_an_honest_blank(
    page: Any, past: PastRunning, screenshots: Path | None
) -> None:
    open_camera(page, past)
    wait_for_past(page, past)
    live = sequence(page)
    page.get_by_role("button", name="−1 min").click()
    wait_until(lambda: state(page).startswith("past") and 0 <= sequence(page) < live - 64, past.service.logs)
    switch_off(page, "outlines", "zones")
    wait_until(lambda: brightest(page) > 60, past.service.logs)
    expect(page.locator(".view-why")).not_to_be_visible()
    windows = page.locator('table[aria-label="Windows"]')
    windows.wait_for()
    assert {one.split()[0] for one in windows.locator("tbody td:first-child").all_inner_texts()} == {"short"}
    page.locator('table[aria-label="Figures"]').wait_for()
    keep(page, screenshots, "past", whole=True)
    # A slider that has the focus is moved by keys, too.
    page.get_by_role("slider", name="Moment").locator("[tabindex]").focus()
    before = sequence(page)
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    wait_until(lambda: sequence(page) > before, past.service.logs)

    forget_frames(past)
    page.get_by_role("button", name="−10 s").click()
    why = page.locator(".view-why")
    why.wait_for()
    # Whether a newer frame has come meanwhile decides which of the two it is.
    expect(why).to_have_text(re.compile("^Kafka (no longer keeps this|keeps no) picture"))
    assert brightest(page) == 0
    expect(page.locator("section[aria-label=Picture] .total")).to_have_text(re.compile("^[1-9]"))
    switch_off(page, "outlines")
    wait_until(lambda: brightest(page) > 60, past.service.logs)
    keep(page, screenshots, "blank")
    page.get_by_role("button", name="Live").click()
    wait_until(lambda: state(page) == "live" and sequence(page) > live, past.service.logs)
    expect(why).not_to_be_visible()
    assert not page.faults


def forget_frames(past: PastRunning) -> None:
    """Kafka lets go of all frames that it has, as it does when they get too old or too many."""
    from kafka import KafkaAdminClient, TopicPartition

    topic = past.service.settings.topics.name("frames")
    with past.service.reader("frames") as reader:
        partitions = [TopicPartition(topic, number) for number in reader.partitions_for_topic(topic)]
        ends = reader.end_offsets(partitions)
    admin = KafkaAdminClient(bootstrap_servers=past.service.servers)
    try:
        admin.delete_records(ends)
    finally:
        admin.close()
