"""`streamcount` as a shell runs it, within the tests' own process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from streamcount.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def streamcount(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command and gives its exit code, standard output and standard error."""
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["streamcount", *map(str, arguments)])
        code: Any = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        output = capfd.readouterr()
        return int(code or 0), output.out, output.err

    return run
