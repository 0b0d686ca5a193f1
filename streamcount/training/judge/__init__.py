"""What a detector is worth on labelled images."""

from streamcount.training.judge.calibration import fit_temperature, unbiased_thresholds
from streamcount.training.judge.figures import ANY_CLASS, ClassFigures, f1_of_all, figures
from streamcount.training.judge.finds import Found, class_columns, doubtful, find_all, needed_columns
from streamcount.training.judge.matching import match, whole_only

__all__ = [
    "ANY_CLASS",
    "ClassFigures",
    "Found",
    "class_columns",
    "doubtful",
    "f1_of_all",
    "figures",
    "find_all",
    "fit_temperature",
    "match",
    "needed_columns",
    "unbiased_thresholds",
    "whole_only",
]
