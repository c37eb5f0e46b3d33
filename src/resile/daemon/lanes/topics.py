"""The last value of each further topic, by process: kept as it came, for whoever knows what it means."""

from datetime import datetime
from typing import Any, Final

from resile.clients import wire
from resile.daemon.lanes.table import Process

TOPICS_MAX: Final = 16
"""Of one process."""
VALUE_BYTES_MAX: Final = 64 << 10


class TopicStore:
    """Values by topic and process. Not thread-safe."""

    def __init__(self) -> None:
        self._values: dict[Process, dict[str, dict[str, Any]]] = {}

    def put(self, process: Process, topic: str, value: Any, now: datetime) -> None:
        """Keep a value in place of the one before it.

        Raises:
            WireError: If it is too large, or the process has too many topics.
        """
        known = self._values.setdefault(process, {})
        if topic not in known and len(known) >= TOPICS_MAX:
            raise wire.WireError(f"there are {TOPICS_MAX} topics already")
        if len(wire.to_line({"": value})) > VALUE_BYTES_MAX:
            raise wire.WireError(f"the value of {topic!r} has more than {VALUE_BYTES_MAX} bytes")
        known[topic] = {"value": value, "at": now}

    def drop(self, process: Process) -> None:
        """Forget a process that is gone."""
        self._values.pop(process, None)

    def of(self, topic: str) -> list[dict[str, Any]]:
        """Give what each process says of a topic, with who it is and since when it says so."""
        return [
            {
                "key": process.key,
                "pid": process.pid,
                "program": process.program,
                "service": process.service,
                **known[topic],
            }
            for process, known in self._values.items()
            if topic in known
        ]
