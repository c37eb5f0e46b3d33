"""The daemon's end of the background lanes: what user's processes say, and what is ordered of them."""

from resile.daemon.lanes.degraded import DegradationDesk
from resile.daemon.lanes.desk import LaneDesk, Loop
from resile.daemon.lanes.measures import PolicyMeasures
from resile.daemon.lanes.whose import Instance

__all__ = ["DegradationDesk", "Instance", "LaneDesk", "Loop", "PolicyMeasures"]
