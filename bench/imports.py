"""How long `import streamcount` takes, beside a bare Python and beside NumPy."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from rich.console import Console
from rich.table import Table

RUNS = 11


def _median_ms(code: str) -> float:
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        times.append(1e3 * (time.perf_counter() - started))
    return statistics.median(times)


def run(console: Console) -> None:
    """Measures and prints."""
    bare = _median_ms("pass")
    table = Table("whole process", "median ms", "above a bare Python, ms")
    for code in ("pass", "import numpy", "import streamcount", "import streamcount.cli"):
        value = _median_ms(code)
        table.add_row(code, f"{value:.0f}", f"{value - bare:.0f}")
    console.print(table)
