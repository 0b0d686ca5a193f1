"""A real Chromium on a real page of a real service: a broker, two cameras and a worker, each its own process."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streamcount.service.broker import Broker
from tests.integration.service import Service, camera_text, worker_text

GROUP = """
[groups.pair]
cameras = ["scope-1", "scope-2"]
"""
STARTED_S = 90.0


def service_text(app_id: str, folder: Path) -> str:
    """Settings of a worker and two cameras, which are a group."""
    return (
        worker_text(app_id, folder) + camera_text("scope-1", seed=1) + camera_text("scope-2", seed=2) + GROUP
    )


class Running:
    """The service with its broker, its cameras by name, and the URL of its page."""

    def __init__(self, broker: Broker, service: Service) -> None:
        self.broker = broker
        self.service = service
        self.cameras = {name: self.start_camera(name) for name in ("scope-1", "scope-2")}
        service.start("worker")
        self.url = self.start_page()

    def start_camera(self, name: str) -> Any:
        """The camera's process."""
        return self.service.start("camera", name)

    def start_page(self, *arguments: str) -> str:
        """Starts another page and gives its URL, such as http://127.0.0.1:1234."""
        self.service.start("dashboard", "--port", "0", *arguments)
        log = self.service.folder / f"dashboard-{len(self.service.processes) - 1}.log"
        found: list[str] = []

        def told() -> bool:
            found[:] = re.findall(r"at (http://\S+)/;", log.read_text())
            return bool(found)

        wait_until(told, self.service.logs)
        return found[0]


def wait_until(condition: Callable[[], Any], logs: Callable[[], str] = lambda: "") -> None:
    """Waits until it is so; fails with the logs when it never is."""
    deadline = time.monotonic() + STARTED_S
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited in vain\n{logs()}")
        time.sleep(0.1)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright; what needs it is skipped where either is missing.

    Playwright keeps an event loop in this thread, in which no later test could run one: it ends with the module.
    """
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs playwright (pip install playwright)"
    )
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        pytest.skip("needs Chromium (apt-get install chromium)")
    # Within a container root has no sandbox to give; all pages that are opened are our own.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=executable, args=arguments)
        yield running
        running.close()


@pytest.fixture(scope="module")
def running(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One service for all tests of the page; a test that breaks a part of it mends it."""
    pytest.importorskip("nicegui", reason="needs the extra dashboard")
    folder = tmp_path_factory.mktemp("page")
    with Broker(tmp_path_factory.mktemp("page-broker")) as broker:
        service = Service(broker.bootstrap_servers, folder, service_text("browser", folder), "browser")
        try:
            yield Running(broker, service)
        finally:
            service.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page of its own, which keeps what it asked for in `asked` and what went wrong in `faults`."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(STARTED_S * 1000)
    opened.asked, opened.faults = [], []
    opened.on("request", lambda request: opened.asked.append(request.url))
    opened.on("pageerror", lambda error: opened.faults.append(str(error)))
    yield opened
    context.close()


@pytest.fixture
def screenshots() -> Path | None:
    """Where pictures of the pages are kept to be looked at: STREAMCOUNT_SCREENSHOTS, or nowhere."""
    folder = os.environ.get("STREAMCOUNT_SCREENSHOTS")
    return Path(folder) if folder else None
