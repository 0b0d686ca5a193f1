"""One TOML file configures all."""

from streamcount.config.load import load_settings, parse_settings
from streamcount.config.settings import CameraConfig, Settings, TopicName, TopicsConfig

__all__ = ["CameraConfig", "Settings", "TopicName", "TopicsConfig", "load_settings", "parse_settings"]
