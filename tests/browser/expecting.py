"""What a page comes to show is waited for: a look at one moment fails where the machine is busy."""

from __future__ import annotations

from typing import Any

import pytest

_playwright: Any = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright (pip install playwright)"
)
expect = _playwright.expect
expect.set_options(timeout=30_000)
