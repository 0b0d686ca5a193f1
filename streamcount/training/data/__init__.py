"""Labelled images: reading them, checking them, splitting them, making them."""
