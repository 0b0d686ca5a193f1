"""Groups of cameras: the final windows of a plate, an experiment or a laboratory summed into one."""

from streamcount.windows.groups.config import Group, GroupConfig
from streamcount.windows.groups.gather import gather, relieve
from streamcount.windows.groups.state import GroupState
from streamcount.windows.groups.total import group_window

__all__ = ["Group", "GroupConfig", "GroupState", "gather", "group_window", "relieve"]
