"""Stand for the world outside: somebody else's service that wants to know what was run.

`POST /reports` takes {"run_id", ...} and adds it to a file, once for each run: whoever is not sure
that a report arrived may send it again. `/ready` and `/live` tell how it is.
"""

import json
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from agent_runtime import seed
from agent_runtime.http_service import Answer, HttpService, text_field
from agent_runtime.lifecycle import serve
from agent_runtime.settings import HOST, Settings, from_environment

REMEMBERED_MAX = 10_000
"""Ids of reports that are known again; a sender asks again soon or not at all."""


class Outside:
    """Takes reports. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.reports
        self._lock = threading.Lock()
        self._known: dict[str, None] = {}
        if self._path.exists():
            for line in self._path.read_text().splitlines()[-REMEMBERED_MAX:]:
                with suppress(ValueError):  # One that was cut off: it is sent again.
                    self._known[json.loads(line)["run_id"]] = None

    def take(self, body: Mapping[str, Any]) -> Answer:
        """Answer `POST /reports`; the report is on the disk then."""
        run_id = text_field(body, "run_id")
        with self._lock:
            is_new = run_id not in self._known
            if is_new:
                with self._path.open("a") as file:
                    file.write(json.dumps(body) + "\n")
                    file.flush()
                    os.fsync(file.fileno())
                self._known[run_id] = None
                if len(self._known) > REMEMBERED_MAX:
                    del self._known[next(iter(self._known))]
        return 200, {"taken": True, "is_new": is_new}


def _well(_: Mapping[str, Any]) -> Answer:
    return 200, {"ready": True, "live": True}


def main() -> None:
    """Take reports until SIGTERM."""
    settings = from_environment()
    seed.prepare(settings)
    outside = Outside(settings)
    routes = {("POST", "/reports"): outside.take, ("GET", "/ready"): _well, ("GET", "/live"): _well}
    port = settings.outside_port
    serve("outside", lambda: HttpService(port, routes), where=f"{HOST}:{port}")


if __name__ == "__main__":
    main()
