"""Watching cameras by the clock: which are silent, and whose frames are counted too late."""
