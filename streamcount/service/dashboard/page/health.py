"""Whether the figures can be trusted: frames accounted for, workers, models, latencies, dead letters."""

from __future__ import annotations

from html import escape

from nicegui import ui

from streamcount.service.dashboard.accounting import Account, Forgotten
from streamcount.service.dashboard.api import Dashboard, health_of
from streamcount.service.dashboard.health import CameraHealth, Health, LatencyBin
from streamcount.service.dashboard.page import parts
from streamcount.service.dashboard.page.charts import downloads
from streamcount.service.dashboard.page.letter import SendAgain
from streamcount.service.dashboard.page.parts import Cell, Link, number
from streamcount.service.dashboard.views import CameraSummary

SUMS = (
    "Frames are summed from the first that this page heard of. Difference: frames, up to the newest whose fate is "
    "known (of an ended run, up to its last), of which nobody has said anything. It is 0, or something is wrong."
)
LATENCIES = (
    "From capture to the count's coming to this page: frames of the last five minutes, by the bin's end."
)
FRAMES = (
    "camera", "run", "state", "frames/s", "latency, ms", "from", "published", "counted", "missing", "dead-lettered",
    "in work", "difference",
)  # fmt: skip


class HealthPage:
    """The page in one browser."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard
        with ui.element("section").classes("panel"):
            self._kafka = ui.label()
            self._frames = ui.html(sanitize=False).classes("scroll").props("tabindex=0")
            ui.label(SUMS).classes("soft")
        with ui.element("div").classes("two"):
            with ui.element("div").classes("column-of"):
                self._latencies = parts.panel("How long frames take")
            with ui.element("div").classes("column-of"):
                self._workers = parts.panel("Workers")
                self._models = parts.panel("Models")
        with ui.element("section").classes("panel"):
            ui.html("<h2>Frames that could not be counted</h2>", sanitize=False)
            self._letters = ui.html(sanitize=False).classes("scroll").props("tabindex=0")
            self._again = SendAgain(dashboard, "Send all of these", [])
        self.look()
        ui.timer(1.0, self.look)

    def look(self) -> None:
        """Shows what is so now."""
        health = health_of(self._dashboard)
        told = "nobody has committed yet" if health.lag is None else f"the workers lag {health.lag} frames"
        self._kafka.set_text(
            f"Kafka at {health.kafka}; {told}; {health.unreadable_records} records could not be read."
        )
        rows = [row for one in health.cameras for row in _frames_of(one)]
        parts.set_html(self._frames, parts.table_html("Frames", FRAMES, rows, "No camera yet."))
        parts.set_html(self._workers, _workers_html(health))
        models = [
            [one.camera_id, one.model.name, ", ".join(one.model.class_names), one.model.sha256]
            for one in health.cameras
            if one.model is not None
        ]
        columns = ("camera", "model", "classes", "sha256")
        parts.set_html(
            self._models, parts.table_html("Models", columns, models, "No detections have come yet.")
        )
        bars = "".join(bars_html(one) for one in health.cameras)
        files = downloads("How long frames take", "/api/v1/health/latencies", "") if bars else ""
        words = LATENCIES if bars else "No camera yet."
        parts.set_html(self._latencies, f'{bars}<p class="soft">{words}</p><p>{files}</p>')
        self._show_letters(health)

    def _show_letters(self, health: Health) -> None:
        notes = [(one.camera_id, note) for one in health.cameras for note in one.dead_letters]
        notes.sort(key=lambda one: -one[1].at_ms)
        rows: list[list[object]] = [
            [
                Link(
                    parts.clock(note.at_ms * 10**6),
                    f"/dead-letter?partition={note.partition}&offset={note.offset}",
                ),
                camera_id,
                note.sequence,
                note.reason,
                note.message,
                note.stage,
            ]
            for camera_id, note in notes
        ]
        columns = ("taken", "camera", "frame", "reason", "message", "stage")
        parts.set_html(
            self._letters, parts.table_html("Dead letters", columns, rows, "None: all could be read.")
        )
        places = [(note.partition, note.offset) for _, note in notes]
        self._again.offer(f"Send all {len(places)} of these", places)


def health(dashboard: Dashboard) -> None:
    """Builds the page for one browser."""
    with parts.framed(dashboard, "Health", "/health"):
        HealthPage(dashboard)


def _workers_html(health: Health) -> str:
    rows: list[list[object]] = [
        [
            one.host,
            one.client_id,
            Cell(one.member_id[-12:]),
            "; ".join(f"{topic} {_numbers(held)}" for topic, held in sorted(one.partitions.items()))
            or "none",
        ]
        for one in health.workers or ()
    ]
    empty = "Nobody knows yet." if health.workers is None else "No worker runs: nothing is counted."
    return parts.table_html("Workers", ("host", "client", "member", "holds partitions"), rows, empty)


def _numbers(held: list[int]) -> str:
    """Ascending numbers in few words: 0–3, 7."""
    words: list[str] = []
    begin = 0
    for i, one in enumerate(held):
        if i + 1 == len(held) or held[i + 1] != one + 1:
            words.append(str(one) if held[begin] == one else f"{held[begin]}–{one}")
            begin = i + 1
    return ", ".join(words)


def bars_html(camera: CameraHealth) -> str:
    """A camera's latencies as bars, with words for those who do not see them."""
    name = escape(camera.camera_id)
    if not camera.latencies:
        return f'<p><b>{name}</b> <span class="soft">no frame has come in time to be measured</span></p>'
    most = max(one.frames for one in camera.latencies)
    bars, width = [], 44
    for i, one in enumerate(camera.latencies):
        height = 60 * one.frames / most
        middle = i * width + width / 2
        bars.append(
            f'<rect x="{i * width + 4}" y="{72 - height:.1f}" width="{width - 8}" height="{height:.1f}"/>'
            f'<text x="{middle}" y="{68 - height:.1f}" text-anchor="middle">{one.frames or ""}</text>'
            f'<text x="{middle}" y="84" text-anchor="middle">{_bin(one)}</text>'
        )
    words = ", ".join(f"{one.frames} {_bin_words(one)}" for one in camera.latencies if one.frames)
    label = escape(f"{camera.camera_id}: frames {words}", quote=True)
    size = width * len(camera.latencies)
    return (
        f'<p><b>{name}</b></p><svg class="bars" viewBox="0 -4 {size} 92" role="img" aria-label="{label}">'
        f"{''.join(bars)}</svg>"
    )


def _bin(one: LatencyBin) -> str:
    if one.to_ms is None:
        return "more"
    return f"{one.to_ms} ms" if one.to_ms < 1000 else f"{one.to_ms / 1000:g} s"


def _bin_words(one: LatencyBin) -> str:
    return "after more than that" if one.to_ms is None else f"within {_bin(one)}"


def _frames_of(camera: CameraHealth) -> list[list[object]]:
    """The run that is on, those before it, and the sum of those before these."""
    rows = [_frames(camera.summary)]
    blank = [number(""), number("")]
    for one in camera.earlier:
        sums = _sum(one.account, number(one.account.first), one.difference_lasts)
        state = "ended" if one.account.ended else "not counted yet"
        rows.append([camera.camera_id, one.account.run_id, state, *blank, *sums])
    before = camera.forgotten
    if before.runs:
        runs = f"{before.runs} run{'' if before.runs == 1 else 's'} before"
        sums = _sum(before, number(""), before.difference > 0)
        rows.append([camera.camera_id, runs, "ended", *blank, *sums])
    return rows


def _frames(now: CameraSummary) -> list[object]:
    account = now.account
    latency = "" if now.latency_ms is None else f"{now.latency_ms:.0f}"
    bad = "bad-figure" if parts.is_bad(now) else ""
    row: list[object] = [
        now.camera_id,
        now.run_id,
        Cell(parts.state_words(now), bad),
        number(f"{now.rate_hz:.1f}"),
    ]
    row.append(number(latency))
    if account is None:
        return [*row, *[number("")] * 7]
    return [*row, *_sum(account, number(account.first), now.difference_lasts)]


def _sum(sums: Account | Forgotten, first: Cell, lasts: bool) -> list[object]:
    waiting = sums.waiting if isinstance(sums, Account) else 0
    told = (sums.published, sums.counted, sums.missing, sums.dead_lettered, waiting)
    return [first, *map(number, told), Cell(sums.difference, "bad-figure number" if lasts else "number")]
