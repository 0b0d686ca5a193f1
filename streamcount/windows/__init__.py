"""Figures of windows of time, per camera, zone and class."""
