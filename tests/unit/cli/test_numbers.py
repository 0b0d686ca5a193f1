"""Limits beside their value say no more than they know."""

from __future__ import annotations

import msgspec
import pytest
from rich.console import Console

from streamcount.cli._numbers import limits
from streamcount.cli._query import print_table
from streamcount.cli._windows import windows_table
from streamcount.sinks.store.questions import Answer
from streamcount.types import Figure
from tests.sunk import window


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (5.792e-17, 3.896, "0–3.9"),
        (-3e-15, 0.02, "0–0.02"),
        (4.5123, 4.5678, "4.512–4.568"),
        (12_345.678, 12_899.1, "12350–12900"),
        (0.0, 0.0, "0–0"),
        (2.5, 2.5, "2.5–2.5"),
        (2e-12, 5e-12, "2e-12–5e-12"),
        (-1.234, 2.345, "-1.2–2.3"),
    ],
)
def test_limits_have_two_digits_of_the_way_between_them_and_no_noise(
    low: float, high: float, told: str
) -> None:
    assert limits(low, high) == told


def test_the_table_of_windows_has_no_noise(capsys: pytest.CaptureFixture[str]) -> None:
    noisy = (Figure(name="cells", value=0.1, low=5.792e-17, high=3.896),)
    Console(width=200).print(
        windows_table([("film", msgspec.structs.replace(window(60, 1, True), figures=noisy))])
    )
    assert "0.1 (0–3.9)" in capsys.readouterr().out


def test_the_table_of_query_has_no_noise(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(Answer(("value", "low", "high"), ((0.1, 5.792e-17, 3.896), (2, 1, 3), (1.0, None, None))))
    out = capsys.readouterr().out
    assert "e-17" not in out
    assert "3.896" in out
