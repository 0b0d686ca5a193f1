"""What the page may write: nothing, unless its command was told where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Writing:
    """corrections: the folder that keeps them. settings_file: what setting up shows; may_set_up: and may change."""

    corrections: Path | None = None
    settings_file: Path | None = None
    may_set_up: bool = False
