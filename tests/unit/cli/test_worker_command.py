"""`streamcount worker` with a configuration that cannot be right; it ends before it looks for Kafka."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from streamcount.errors import ExitCode

RULE = """
[detector]
kind = "watershed"
[windows.minute]
length_s = 60
[alerts.dying]
kind = "limit"
figure = "viability"
window = "minute"
below = 0.8
"""


def test_a_rule_that_no_camera_can_fulfil_is_refused_with_the_remedy(tmp_path: Path) -> None:
    file = tmp_path / "streamcount.toml"
    file.write_text(RULE)
    command = [sys.executable, "-m", "streamcount", "worker", "--config", str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == ExitCode.CONFIGURATION
    assert "alerts.dying" in ended.stderr
    assert "marked dead" in " ".join(ended.stderr.split())
