"""The daemon's end of the background lanes: what user's processes say, and what is ordered of them.

The keeper of secrets needs a little of it, and loads no more.
"""

from typing import TYPE_CHECKING

from resile.daemon.lanes.whose import Instance

if TYPE_CHECKING:
    from resile.daemon.lanes.degraded import DegradationDesk
    from resile.daemon.lanes.desk import LaneDesk, Loop
    from resile.daemon.lanes.measures import PolicyMeasures

__all__ = ["DegradationDesk", "Instance", "LaneDesk", "Loop", "PolicyMeasures"]


def __getattr__(name: str) -> object:
    from resile.core.lazy import load

    homes = {
        "degraded": ("DegradationDesk",),
        "desk": ("LaneDesk", "Loop"),
        "measures": ("PolicyMeasures",),
    }
    return load(__name__, name, homes)
