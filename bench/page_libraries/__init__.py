"""The same wall of sixteen cameras in several libraries for pages, each under the same load: decision 27.

`python -m bench page-libraries`: one process that makes up frames, one Chromium that shows them, five pictures a
second in each of 16 tiles; then with the browser made eight times slower, and with nobody looking. The cameras are
made up and there is no Kafka: what differs is the library alone. `python -m bench page` measures the page as it is.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from bench.environment import ROOT, pinned_python
from bench.page import chromium_page, heap_mib, usage
from bench.page_libraries.feed import CAMERAS, WIDTH_PX
from streamcount.sources.base import Run
from streamcount.sources.simulated import SimulatedConfig

HERE = Path(__file__).parent
# Scripts that make the wall, and the distribution that each is about.
WALLS = {
    "in_nicegui_asked": ("NiceGUI, pictures asked for", "nicegui"),
    "in_nicegui": ("NiceGUI, pushed", "nicegui"),
    "in_panel": ("Panel", "panel"),
    "in_dash": ("Dash", "dash"),
}
PICTURES = 12
WARM_S, SECONDS, SLOW_S, ALONE_S = 5.0, 30.0, 30.0, 10.0
SLOWER = 8
STARTED_S = 60.0
# What stands in all tiles, in shadow trees too, as [sequence, age in ms].
SEEN = """
() => {
  const words = (root) => [...root.querySelectorAll("*")].flatMap((one) => [
    ...(one.classList.contains("words") && one.textContent ? [one.textContent] : []),
    ...(one.shadowRoot ? words(one.shadowRoot) : []),
  ]);
  return words(document).map((text) => text.split(" ").map(Number)).map(([number, at]) => [number, Date.now() - at]);
}
"""
REQUIRED = """
import json, re, sys
from importlib.metadata import PackageNotFoundError, distribution
found, open_ = {}, [sys.argv[1]]
while open_:
    name = re.match(r"[\\w.-]+", open_.pop())[0].lower().replace("_", "-")
    try:
        one = distribution(name)
    except PackageNotFoundError:
        continue
    if name not in found:
        found[name] = sum(file.size or 0 for file in one.files or ())
        open_ += [text for text in one.requires or () if "extra ==" not in text]
print(json.dumps([len(found), sum(found.values()) / 2**20]))
"""


@dataclass(frozen=True)
class Look:
    """What one wall was like for some seconds. The ages are of what stands there when one looks, ms."""

    rate_hz: float
    age_median_ms: float
    age_late_ms: float
    server_share: float
    browser_share: float


def run(console: Console) -> None:
    """Measures every wall, one after the other, and prints a table."""
    chromium = shutil.which("chromium")
    if chromium is None:
        console.print("page-libraries: needs Chromium (apt-get install chromium)")
        return
    python = pinned_python("pages", ROOT / "requirements" / "pages.txt")
    shown = Table(
        "wall", "packages", "MiB of them", "first view s", "pictures/s", "age ms (95 %)",
        "server, browser % of a core", f"age ms, browser {SLOWER} times slower", "server MiB, then", "heap MiB",
        "nobody looks %",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        _write_pictures(Path(name))
        for script, (title, distribution) in WALLS.items():
            console.print(f"{title}: about {WARM_S + SECONDS + SLOW_S + ALONE_S:.0f} s")
            weight = json.loads(subprocess.check_output([python, "-c", REQUIRED, distribution], text=True))
            with _wall(python, script, Path(name)) as (process, url):
                shown.add_row(
                    title, str(weight[0]), f"{weight[1]:.0f}", *_measured(chromium, url, process.pid)
                )
    console.print(shown)


def _measured(chromium: str, url: str, pid: int) -> Iterator[str]:
    """The cells of a wall's row."""
    with chromium_page(chromium) as page:
        began = time.monotonic()
        page.goto(url)
        page.wait_for_function(f"({SEEN})().length == {CAMERAS}")
        yield f"{time.monotonic() - began:.1f}"
        time.sleep(WARM_S)
        before_mib = usage(pid)[1]
        look = _look(page, pid, SECONDS)
        yield f"{look.rate_hz:.1f}"
        yield f"{look.age_median_ms:.0f} ({look.age_late_ms:.0f})"
        yield f"{look.server_share:.0%}, {look.browser_share:.0%}"
        tools = page.context.new_cdp_session(page)
        tools.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
        slow = _look(page, pid, SLOW_S)
        yield f"{slow.age_median_ms:.0f} ({slow.age_late_ms:.0f}), {slow.rate_hz:.1f} pictures/s"
        tools.send("Emulation.setCPUThrottlingRate", {"rate": 1})
        yield f"{before_mib:.0f}, {usage(pid)[1]:.0f}"
        yield f"{heap_mib(tools):.1f}"
    before = usage(pid)[0]
    time.sleep(ALONE_S)
    yield f"{(usage(pid)[0] - before) / ALONE_S:.0%}"


def _look(page: Any, pid: int, seconds: float) -> Look:
    """Looks twice a second."""
    system = page.context.browser.new_browser_cdp_session()
    first, server, browser, began = page.evaluate(SEEN), usage(pid)[0], _browser_s(system), time.monotonic()
    ages: list[float] = []
    while time.monotonic() - began < seconds:
        time.sleep(0.5)
        ages += [age for _, age in page.evaluate(SEEN)]
    last, took_s = page.evaluate(SEEN), time.monotonic() - began
    moved = sum(then[0] - at[0] for at, then in zip(first, last, strict=True)) / CAMERAS / took_s
    return Look(
        moved,
        float(np.median(ages)),
        float(np.quantile(ages, 0.95)),
        (usage(pid)[0] - server) / took_s,
        (_browser_s(system) - browser) / took_s,
    )


def _browser_s(system: Any) -> float:
    """Processor time of all processes of the browser, s. system: a DevTools session with the browser itself."""
    return float(sum(one["cpuTime"] for one in system.send("SystemInfo.getProcessInfo")["processInfo"]))


@contextmanager
def _wall(python: Path, script: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The process of a wall that answers, and its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / f"{script}.log").open("wb") as log:
        process = subprocess.Popen(
            [python, HERE / f"{script}.py", folder, str(port)], stdout=log, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + STARTED_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((folder / f"{script}.log").read_text()) from None
                time.sleep(0.1)
        yield process, f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait()


def _write_pictures(folder: Path) -> None:
    """Frames of the simulated microscope as a tile shows them."""
    source = SimulatedConfig(modality="bright-field").build()
    for number, frame in enumerate(source.frames(Run("x", "a", time.time_ns))):
        if number == PICTURES:
            break
        height = round(frame.image.shape[0] * WIDTH_PX / frame.image.shape[1])
        small = cv2.resize(frame.image, (WIDTH_PX, height), interpolation=cv2.INTER_AREA)
        if small.dtype != np.uint8:
            small = cv2.normalize(small, np.empty_like(small), 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number:02d}.jpg"), small)
