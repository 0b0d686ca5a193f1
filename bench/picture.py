"""The README's picture of the live page: `python -m bench.picture IMAGES OUTPUT.jpg`, IMAGES being real smears.

Runs the demo on the images, waits until the cells are outlined, and takes the wall as Chromium shows it.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from streamcount.config import Settings
from streamcount.service.demo import page_url, run_demo

READY = "[...document.querySelectorAll('canvas')].filter(one => / cells/.test(one.ariaLabel)).length >= 2"
PATIENCE_S = 120.0
SETTLED_S = 20.0


def main(images: str, output: str) -> None:
    """Makes the picture; fails where Chromium is missing or no cells come."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("the picture needs Chromium (apt-get install chromium)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def show(settings: Settings, check: Callable[[], None]) -> None:
            url = page_url(folder, PATIENCE_S, check)
            with sync_playwright() as driver:
                flags = ["--no-sandbox"] if os.geteuid() == 0 else []
                browser = driver.chromium.launch(executable_path=chromium, args=flags)
                page = browser.new_page(viewport={"width": 900, "height": 610}, device_scale_factor=1.5)
                page.goto(url)
                page.wait_for_function(READY, timeout=PATIENCE_S * 1000)
                time.sleep(SETTLED_S)
                check()
                page.screenshot(path=output, type="jpeg", quality=85)
                browser.close()

        run_demo(folder, 1.0, Path(images), show, page=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
