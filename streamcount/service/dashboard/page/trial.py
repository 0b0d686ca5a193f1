"""A form in which a rule is tried on past windows; nothing is sent, nothing set."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from nicegui import ui

from streamcount.alerts import JumpRule, LimitRule
from streamcount.errors import StreamcountError
from streamcount.service.dashboard.alerting import rule_toml
from streamcount.service.dashboard.api import Dashboard
from streamcount.service.dashboard.page import parts
from streamcount.service.dashboard.page.charts import downloads
from streamcount.service.dashboard.page.parts import number
from streamcount.service.dashboard.trial import LONGEST_RULE, TOPIC, Told, Trial, sources, try_rule
from streamcount.types.colors import class_color

FIRST_RULE = '[alerts.crowded]\nkind = "limit"\nfigure = "cells"\nabove = 100\n'
HINT = (
    "One table [alerts.NAME], as in streamcount.toml. It is judged as a worker would, with the rules that hold it "
    "back; nothing is sent, and no setting changes."
)
LIMIT_COLOR = "#c22c00"


class TrialPanel:
    """The form and its answer in one browser."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard
        offered = sources(dashboard.settings, dashboard.database)
        with ui.element("section").classes("panel").props('aria-label="Try a rule"'):
            ui.html("<h2>Try a rule on what is past</h2>", sanitize=False)
            ui.label(HINT).classes("soft")
            self._rule = ui.textarea("Rule, TOML", value=_first_rule(dashboard))
            self._rule.props(
                f"rows=6 maxlength={LONGEST_RULE} spellcheck=false input-style=font-family:monospace"
            )
            with ui.element("div").classes("fields"):
                # One alone is no choice.
                self._source = ui.radio(offered, value=TOPIC).props("inline") if len(offered) > 1 else None
                self._camera = ui.input("Camera, empty for all").props("maxlength=64")
                self._run = ui.input("Run, empty for all").props("maxlength=64")
                self._button = parts.action("Try it", self._try)
            self._fault = ui.label().classes("fault").props("role=alert")
            self._summary = ui.html(sanitize=False).props("role=status")
            self._told = ui.html(sanitize=False).classes("scroll").props("tabindex=0")
            self._links = ui.html(sanitize=False)
            self._chart_box = ui.element("div")
            self._told.set_visibility(False)

    async def _try(self) -> None:
        self._button.disable()
        self._fault.set_text("")
        asked = {
            "rule": str(self._rule.value or ""),
            "source": TOPIC if self._source is None else str(self._source.value),
            "camera": (self._camera.value or "").strip(),
            "run": (self._run.value or "").strip(),
        }
        try:
            trial = await asyncio.to_thread(
                try_rule, self._dashboard.settings, self._dashboard.database, *asked.values()
            )
        except StreamcountError as error:
            self._clear()
            self._fault.set_text(str(error))
        else:
            self._show(trial)
            self._links.set_content(downloads("Trial", "/api/v1/alerts/trial/figures", urlencode(asked)))
        finally:
            self._button.enable()

    def _clear(self) -> None:
        self._summary.set_content("")
        self._links.set_content("")
        self._told.set_visibility(False)
        self._chart_box.clear()

    def _show(self, trial: Trial) -> None:
        lines = [[line] for line in trial.summary]
        self._summary.set_content(parts.table_html("Result", ("result",), lines, ""))
        columns = ("camera", "raised", "cleared", "value", "limit", "why")
        rows = [_row(one) for one in trial.alerts]
        table = parts.table_html("Alerts that it would have raised", columns, rows, "It is never raised.")
        self._told.set_content(table)
        self._told.set_visibility(True)
        self._chart_box.clear()
        with self._chart_box:
            chart = ui.echart(_chart(trial)).style("height: 280px; width: 100%")
            chart.props(
                f'role=img aria-label="{trial.figure} of past windows, with the time it is raised shaded"'
            )


def trial_panel(dashboard: Dashboard) -> None:
    """Adds the form to a page."""
    TrialPanel(dashboard)


def _first_rule(dashboard: Dashboard) -> str:
    rules = dashboard.settings.alerts.items()
    name = next((name for name, one in rules if isinstance(one, LimitRule | JumpRule)), "")
    return rule_toml(dashboard.settings, name) or FIRST_RULE


def _row(told: Told) -> list[object]:
    cleared = "lasts" if told.cleared_at is None else parts.clock_of(told.cleared_at)
    figures = [number("" if one is None else f"{one:.4g}") for one in (told.value, told.limit)]
    return [told.camera_id, parts.clock_of(told.raised_at), cleared, *figures, told.reason]


def _chart(trial: Trial) -> dict[str, Any]:
    series = []
    for i, (camera, points) in enumerate(trial.figures.items()):
        last = points[-1].at if points else ""
        shaded = [
            [{"xAxis": _ms(one.raised_at)}, {"xAxis": _ms(one.cleared_at or last)}]
            for one in trial.alerts
            if one.camera_id == camera
        ]
        color = class_color(i)
        line: dict[str, Any] = {
            "name": camera,
            "type": "line",
            "showSymbol": len(points) < 60,
            "itemStyle": {"color": color},
            "lineStyle": {"color": color, "width": 2},
            "data": [[_ms(point.at), point.value] for point in points],
            "markArea": {
                "silent": True,
                "itemStyle": {"color": LIMIT_COLOR, "opacity": 0.15},
                "data": shaded,
            },
        }
        if trial.limit is not None and i == 0:
            line["markLine"] = {
                "silent": True,
                "symbol": "none",
                "label": {"formatter": "limit", "position": "insideEndTop", "color": LIMIT_COLOR},
                "lineStyle": {"color": LIMIT_COLOR},
                "data": [{"yAxis": trial.limit}],
            }
        series.append(line)
    return {
        "animation": False,
        "grid": {"left": 52, "right": 16, "top": 34, "bottom": 28},
        "legend": {"textStyle": {"color": "#7d8694"}},
        "tooltip": {"trigger": "axis"},
        "xAxis": {"type": "time", "axisLabel": {"hideOverlap": True}},
        "yAxis": {"type": "value", "scale": True, "name": f"{trial.figure} {trial.unit}".strip()},
        "series": series,
    }


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)
