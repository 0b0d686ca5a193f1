"""What all pages share: their frame, tables, class colours, times in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from nicegui import context, ui

from streamcount.config import Settings
from streamcount.detection.bundle import load_bundle
from streamcount.detection.tflite import TfliteConfig
from streamcount.errors import StreamcountError
from streamcount.service.dashboard.api import Dashboard
from streamcount.service.dashboard.views import CameraSummary
from streamcount.types.colors import class_color

HERE = Path(__file__).parent
DARK_COOKIE = "streamcount_dark"
REFRESH_S = 0.5
DASHES = ("", "7 4", "2 3", "9 3 2 3", "14 4", "4 8")
# Props of a button that is not the main one of its page; the style sheet's class "plain" colours it.
PLAIN = "outline dense no-caps"
LINKS = (("/", "Wall"), ("/alerts", "Alerts"), ("/health", "Health"), ("/setup", "Setting up"))
ICON = (
    '<svg viewBox="0 0 20 20" xmlns="http://www.w3.org/2000/svg"><circle cx="10" cy="10" r="8" fill="#0072b2"/>'
    '<circle cx="12" cy="9" r="3" fill="#fff"/></svg>'
)


class Cell(str):
    """A table's entry with a class of the style sheet, "number" or "bad-figure number"."""

    style = ""

    def __new__(cls, text: object, style: str = "") -> Cell:
        made = super().__new__(cls, text)
        made.style = style
        return made


class Link(Cell):
    """A table's entry that leads to another page of ours."""

    href = ""

    def __new__(cls, text: object, href: str) -> Link:
        made = str.__new__(cls, text)
        made.href = href
        return made


def class_styles(settings: Settings, camera_id: str, names: Sequence[str]) -> dict[str, tuple[str, int]]:
    """For each class its colour and its dash, together unlike those of all others.

    The colours are the models' own where they have some for all classes that do so.
    """
    detector = settings.detector_for(camera_id)
    colors: dict[str, str] = {}
    if isinstance(detector, TfliteConfig):
        for model in filter(None, (detector.model, detector.second_stage)):
            colors.update(_model_colors(model))
    if all(name in colors for name in names):
        own = {name: (colors[name], i) for i, name in enumerate(names)}
        if told_apart(own):
            return own
    return {name: (class_color(i), i) for i, name in enumerate(names)}


def told_apart(styles: Mapping[str, tuple[str, int]]) -> bool:
    """Whether no two classes have both the same colour and the same dash."""
    return len({(color.lower(), dash % len(DASHES)) for color, dash in styles.values()}) == len(styles)


@cache
def _model_colors(model: str) -> Mapping[str, str]:
    """A model's colours by class. It is read once: cameras share models, and pages are made again and again."""
    try:
        return {one.name: one.color for one in load_bundle(model).classes}
    except StreamcountError:
        # The page may run where the models are not; the order of the classes tells them apart as well.
        return {}


@contextmanager
def framed(dashboard: Dashboard, title: str, path: str) -> Iterator[None]:
    """The frame of a page: navigation, what is wrong with Kafka, and in it what the block makes."""
    request = context.client.request
    chosen = request.cookies.get(DARK_COOKIE) if request is not None else None
    dark = ui.dark_mode({"1": True, "0": False}.get(chosen or ""))
    ui.page_title(f"{title} – streamcount")
    ui.add_css(HERE / "style.css")
    with ui.header(elevated=False), ui.element("nav").props('aria-label="Pages"'):
        ui.label("streamcount").classes("brand")
        for target, name in LINKS:
            link = ui.link(name, target)
            if target == path:
                link.props("aria-current=page")
        ui.element("span").classes("grow")

        def turn() -> None:
            dark.set_value(not dark.value)
            value = 1 if dark.value else 0
            ui.run_javascript(
                f'document.cookie = "{DARK_COOKIE}={value};path=/;max-age=31536000;samesite=strict"'
            )

        ui.button("Dark / light", on_click=turn).props("flat dense no-caps color=inherit")
    banner = ui.label().classes("banner").props("role=alert")
    banner.set_visibility(False)

    def look() -> None:
        trouble = dashboard.feed.trouble
        banner.set_text(
            f"{trouble} (since {clock(dashboard.feed.trouble_since_ns)}; trying again)" if trouble else ""
        )
        banner.set_visibility(bool(trouble))

    look()
    ui.timer(REFRESH_S, look)
    with ui.element("main").style("display: contents"):
        ui.html(f"<h1>{escape(title)}</h1>", sanitize=False)
        yield


def table_html(caption: str, columns: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> str:
    """A plain table; all text is escaped. Entries of `Cell` keep their style."""
    if not rows:
        return f'<p class="soft">{escape(empty)}</p>'
    numbers = [all(_style(row[i]).endswith("number") for row in rows) for i in range(len(columns))]
    head = "".join(
        f'<th scope="col"{" class=number" if number else ""}>{escape(name)}</th>'
        for name, number in zip(columns, numbers, strict=True)
    )
    body = "".join(
        "<tr>" + "".join(f'<td class="{_style(entry)}">{_entry(entry)}</td>' for entry in row) + "</tr>"
        for row in rows
    )
    label = escape(caption, quote=True)
    return f'<table class="plain" aria-label="{label}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def number(value: object) -> Cell:
    """A table's entry that is a number."""
    return Cell(value, "number")


def key_svg(color: str, dash: int) -> str:
    """The stroke by which a class is drawn, for a legend."""
    line = DASHES[dash % len(DASHES)]
    return (
        f'<svg width="26" height="8" aria-hidden="true"><line x1="1" x2="25" y1="4" y2="4" stroke="{color}" '
        f'stroke-width="3" stroke-dasharray="{line}"/></svg>'
    )


def classes_html(counts: Mapping[str, object], styles: dict[str, tuple[str, int]]) -> str:
    """The counts per class with each class's stroke."""
    return "".join(
        f'<span class="key">{key_svg(*styles.get(name, ("#56b4e9", 0)))}{escape(name)} <b>{count}</b></span>'
        for name, count in counts.items()
    )


def chips_html(now: CameraSummary) -> str:
    """Badges: what is wrong with the picture, and the alerts that are on."""
    quality = [f'<span class="chip">{escape(flag)}</span> ' for flag in now.quality]
    alerts = [f'<span class="chip {now.severity}">alert: {escape(rule)}</span> ' for rule in now.alerts]
    return "".join(quality + alerts)


def action(words: str, on_click: Callable[[], Any], *, quiet: bool = False) -> ui.button:
    """A button; quiet: not the first choice of its page."""
    made = ui.button(words, on_click=on_click)
    return made.props(PLAIN).classes("plain") if quiet else made.props("no-caps").classes("main")


def panel(title: str) -> ui.html:
    """A box with a heading; gives what is to be filled."""
    with ui.element("section").classes("panel"):
        ui.html(f"<h2>{title}</h2>", sanitize=False)
        return ui.html(sanitize=False).classes("scroll").props("tabindex=0")


def sparkline_svg(values: Sequence[int]) -> str:
    """The last counts as a small line from their least to their greatest."""
    if len(values) < 2:
        return '<svg class="spark" aria-hidden="true"></svg>'
    low, high = min(values), max(values)
    step, span = 96 / (len(values) - 1), max(high - low, 1)
    points = " ".join(
        f"{i * step:.1f},{26 - (value - low) / span * 24:.1f}" for i, value in enumerate(values)
    )
    return (
        f'<svg class="spark" viewBox="0 0 96 28" role="img" aria-label="counts from {low} to {high}">'
        f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1.5"/></svg>'
    )


def is_bad(summary: CameraSummary) -> bool:
    """Whether the camera's state is none to leave it in."""
    return summary.state in ("stale", "not-counted", "unheard")


def state_words(summary: CameraSummary) -> str:
    """The camera's state as one reads it."""
    if summary.state == "live":
        return "live"
    since = f" since {clock_of(summary.since)}" if summary.since else ""
    return {
        "stale": "no frames",
        "not-counted": "frames come, not counted",
        "unheard": "never heard",
    }.get(summary.state, "waiting") + since


def total_words(summary: CameraSummary) -> str:
    """How many cells; of a camera that never counted any, nobody knows."""
    return str(summary.total) if summary.run_id else "–"


def account_words(summary: CameraSummary) -> str:
    """The frames' sum in a few words."""
    account, why = summary.account, summary.last_dead_letter
    if account is None:
        none = "none counted since this page began" if summary.run_id else "no frame counted yet"
        return f"{none}; the last that could not be: {why}" if why else none
    counted = f"{account.counted} of {account.published} frames counted"
    if account.dead_lettered:
        counted += f", dead letters {account.dead_lettered}" + (f" (the last: {why})" if why else "")
    before = f", {summary.unaccounted_before} of runs before" if summary.unaccounted_before else ""
    return f"{counted}, difference {account.difference}{before}"


def clock(time_ns: int) -> str:
    """A time of day where the server stands, with the date where it is another day."""
    moment, now = datetime.fromtimestamp(time_ns / 1e9).astimezone(), datetime.now().astimezone()
    return moment.strftime("%H:%M:%S" if moment.date() == now.date() else "%Y-%m-%d %H:%M:%S")


def clock_of(text: str) -> str:
    """The same of an RFC 3339 time."""
    return clock(int(datetime.fromisoformat(text).timestamp() * 1e9))


def set_html(element: ui.html, content: str) -> None:
    """Sends it only where it changed."""
    if element.content != content:
        element.set_content(content)


def _entry(entry: object) -> str:
    text = escape(str(entry))
    return f'<a href="{escape(entry.href, quote=True)}">{text}</a>' if isinstance(entry, Link) else text


def _style(entry: Any) -> str:
    return entry.style if isinstance(entry, Cell) else ""
