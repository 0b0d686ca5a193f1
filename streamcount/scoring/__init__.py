"""Followed cells against truth: the measures of the Cell Tracking Challenge, divisions, births and ends.

`folders` finds the files of both sides, `tables` and `film` read and check them, `matching` says which cells are the
same, `lives` what happened to a cell, `happenings` which of that was found, `measures` is py-ctcmetrics (needs the
``score`` extra), `score` all of it.
"""

from streamcount.scoring.happenings import Found
from streamcount.scoring.score import Score, score

__all__ = ["Found", "Score", "score"]
