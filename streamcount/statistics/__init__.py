"""Intervals, rates and units: what a count is worth."""
