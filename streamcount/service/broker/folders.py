"""Where the broker keeps what it needs: jars and class archives in the cache, records in the data folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """The user's cache for streamcount; everything in it can be deleted at any time and is made again."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "streamcount"
    return _xdg("XDG_CACHE_HOME", ".cache") / "streamcount"


def default_data_folder() -> Path:
    """Where `streamcount broker` keeps its records unless told otherwise."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "streamcount" / "broker"
    return _xdg("XDG_DATA_HOME", ".local/share") / "streamcount" / "broker"


def _xdg(variable: str, fallback: str) -> Path:
    # The XDG specification says that a relative path there is to be ignored.
    named = Path(os.environ.get(variable, ""))
    return named if named.is_absolute() else Path.home() / fallback
