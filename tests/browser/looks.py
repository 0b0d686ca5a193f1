"""What several tests ask of how a page looks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def keep(page: Any, folder: Path | None, name: str, *, whole: bool = False) -> None:
    """A picture to be looked at, where one asked for it. whole: with what lies below the edge of the screen."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(folder / f"{name}.png"), full_page=whole)


def serious_faults(page: Any) -> list[tuple[str, list[str]]]:
    """What axe finds serious or critical: the rule's id, and the first three places."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    return [
        (one["id"], [node["html"][:160] for node in one["nodes"]][:3])
        for one in axe.Axe().run(page).response["violations"]
        if one["impact"] in ("serious", "critical")
    ]


def asked_outside(page: Any, url: str) -> list[str]:
    """Addresses that the page has asked for and that are not the server's."""
    return [one for one in page.asked if not one.startswith((url, "ws://127.0.0.1", "data:", "blob:"))]


def shown_at(page: Any, drawing: Any, y: float, x: float) -> tuple[float, float]:
    """Where on the screen a point of the picture is: (x, y)."""
    return tuple(
        drawing.evaluate(
            "(svg, [y, x]) => { const at = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());"
            " return [at.x, at.y]; }",
            [y, x],
        )
    )
