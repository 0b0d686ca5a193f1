"""Summing the windows of groups of cameras, as a process of its own."""
