"""The page, made of NiceGUI's parts; only the canvas is our own. Importing it loads NiceGUI."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Path, Query
from nicegui import ui

from streamcount.service.dashboard.api import LONGEST, NAME, Dashboard
from streamcount.service.dashboard.api_alerts import AlertId
from streamcount.service.dashboard.api_letters import MOST_PARTITION
from streamcount.service.dashboard.page.alert import alert_page
from streamcount.service.dashboard.page.alerts import alerts
from streamcount.service.dashboard.page.camera import camera_page
from streamcount.service.dashboard.page.correct import correct_page
from streamcount.service.dashboard.page.group import group_page
from streamcount.service.dashboard.page.health import health
from streamcount.service.dashboard.page.letter import letter_page
from streamcount.service.dashboard.page.parts import ICON
from streamcount.service.dashboard.page.setup import setup_page
from streamcount.service.dashboard.page.wall import wall

# A browser that was away for so long finds its page as it was; later it loads it anew by itself.
RECONNECT_S = 15.0
HISTORY = 100

PartitionQuery = Annotated[int, Query(ge=0, le=MOST_PARTITION)]
OffsetQuery = Annotated[int, Query(ge=0, le=LONGEST)]


def add_pages(app: FastAPI, dashboard: Dashboard) -> None:
    """Adds the pages to an application. NiceGUI knows one set of pages a process: call it once."""

    @ui.page("/")
    def wall_of_cameras() -> None:
        wall(dashboard)

    @ui.page("/camera/{camera_id}")
    def one_camera(camera_id: Annotated[str, Path(pattern=NAME)]) -> None:
        camera_page(dashboard, camera_id)

    @ui.page("/group/{name}")
    def one_group(name: Annotated[str, Path(pattern=NAME)]) -> None:
        group_page(dashboard, name)

    @ui.page("/camera/{camera_id}/correct")
    async def correct_one(
        camera_id: Annotated[str, Path(pattern=NAME)],
        run: Annotated[str | None, Query(pattern=NAME)] = None,
        sequence: Annotated[int | None, Query(ge=0, le=LONGEST)] = None,
    ) -> None:
        await correct_page(dashboard, camera_id, None if run is None or sequence is None else (run, sequence))

    @ui.page("/alerts")
    def all_alerts() -> None:
        alerts(dashboard)

    @ui.page("/alert")
    async def one_alert(alert: AlertId) -> None:
        await alert_page(dashboard, alert)

    @ui.page("/dead-letter")
    async def one_letter(partition: PartitionQuery, offset: OffsetQuery) -> None:
        await letter_page(dashboard, partition, offset)

    @ui.page("/health")
    def all_health() -> None:
        health(dashboard)

    @ui.page("/setup")
    def setting_up() -> None:
        setup_page(dashboard)

    ui.run_with(
        app,
        title="streamcount",
        favicon=ICON,
        dark=None,
        language="en-US",
        tailwind=False,
        reconnect_timeout=RECONNECT_S,
        message_history_length=HISTORY,
        show_welcome_message=False,
    )
