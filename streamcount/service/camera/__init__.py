"""Cameras: frames from sources to Kafka, with every sequence number accounted for."""
