"""Sinks: where results go. Each is one file."""
