"""Look for malicious patterns in scripts: yara rules behind a unix socket.

A request is `{"script": TEXT}` or `{"ping": true}`; the answer is `{"matches": [...]}`, each with
rule, description and severity, `{"pong": true, "rules": COUNT}`, or `{"error": MESSAGE}`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yara  # type: ignore[import-not-found]

from agent_runtime import seed
from agent_runtime.lifecycle import serve
from agent_runtime.settings import HOME, from_environment
from agent_runtime.wire_service import WireService

RULES = HOME / "rules" / "scripts.yar"
SCAN_TIMEOUT_S = 5


class Scanner:
    """Compiled rules. Safe to share between threads: yara scans with rules that do not change."""

    def __init__(self, path: Path) -> None:
        self._rules = yara.compile(filepath=str(path))
        self._count = sum(1 for _ in self._rules)

    def answer(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer one request."""
        if request.get("ping") is True:
            return {"pong": True, "rules": self._count}
        script = request.get("script")
        if not isinstance(script, str):
            return {"error": '"script" must be a text'}
        try:
            matches = self._rules.match(
                data=script.encode("utf-8", "surrogatepass"), timeout=SCAN_TIMEOUT_S
            )
        except yara.Error as exc:
            return {"error": f"the scan failed: {exc}"}
        return {"matches": [{"rule": match.rule, **match.meta} for match in matches]}


def main() -> None:
    """Scan until SIGTERM."""
    settings = from_environment()
    seed.prepare(settings)
    path = settings.scanner_socket
    serve("scanner", lambda: WireService(path, Scanner(RULES).answer), where=str(path))


if __name__ == "__main__":
    main()
