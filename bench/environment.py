"""Environments beside the project's own, for what cannot live in it."""

from __future__ import annotations

import hashlib
import subprocess
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]


def pinned_python(name: str, pins: Path, timeout_s: float | None = None) -> Path:
    """The Python of the environment `.venv-NAME`, which is made once for these pins, of versions and hashes."""
    folder = ROOT / f".venv-{name}"
    python, stamp = folder / "bin" / "python", folder / "pins.sha256"
    wanted = hashlib.sha256(pins.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        venv.create(folder, with_pip=True, clear=True)
        install = [python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", pins]
        subprocess.run(install, check=True, timeout=timeout_s)
        stamp.write_text(wanted)
    return python
