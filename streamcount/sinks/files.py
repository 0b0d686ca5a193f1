"""Files that are whole or not there: written beside their place, then moved into it."""

from __future__ import annotations

import os
import re
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from streamcount.errors import ConfigurationError


def write_whole(path: Path, data: bytes) -> None:
    """Replace the file by `data`; its folder is made. Raises ConfigurationError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = part_of(path)
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        raise not_writable(path, error) from error


def open_part(path: Path) -> BinaryIO:
    """A new file beside `path`, to be moved into its place when complete. Raises ConfigurationError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return part_of(path).open("wb")
    except OSError as error:
        raise not_writable(path, error) from error


def part_of(path: Path) -> Path:
    """Where the unfinished file lies; the process id keeps two commands apart."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def not_writable(path: Path, error: OSError) -> ConfigurationError:
    """What to tell when the file cannot be written."""
    return ConfigurationError(f"{path}: cannot be written ({error.strerror or error}); choose another place")


def picture_name(source: str, index: int, kind: str) -> str:
    """STEM-HASH-INDEX.KIND.png, the picture that belongs to one line of results.

    HASH is the first 8 digits of the sha256 of the line's `source`, so that files of one name in two folders,
    or with two endings, keep apart, and a script can tell the name from the line.
    """
    stem = re.sub(r"[^\w.+-]+", "_", Path(source).stem)[:100]
    return f"{stem}-{sha256(source.encode()).hexdigest()[:8]}-{index:06d}.{kind}.png"
