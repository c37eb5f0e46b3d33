"""Turn a script and its inputs into a plan: a few steps in words, always the same for the same input.

It stands for the language model of a real agent: the dispatcher depends on it, and it may be slow
or gone. `POST /plan` takes {"script", "language", "inputs"} from whoever has the key; `/ready` and
`/live` tell how it is.
"""

import ast
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import resile
from agent_runtime import seed
from agent_runtime.http_service import Answer, HttpService, object_field, text_field
from agent_runtime.keys import Keys
from agent_runtime.lifecycle import serve
from agent_runtime.settings import (
    HOST,
    MESSAGE_BYTES_MAX,
    REASONER_KEY,
    Settings,
    from_environment,
)

STEPS_NAMED_MAX = 8
"""So many names are listed in one step; a plan is read by people."""


class Reasoner:
    """Plans. Safe to share between threads: it only reads."""

    def __init__(self, settings: Settings) -> None:
        self._knowledge = settings.knowledge

    def plan(self, body: Mapping[str, Any]) -> Answer:
        """Answer `POST /plan`."""
        script = text_field(body, "script")
        language = text_field(body, "language", "python")
        inputs = object_field(body, "inputs")
        digest = hashlib.sha256(json.dumps([script, inputs], sort_keys=True).encode()).hexdigest()
        steps = [
            _step("read the inputs", sorted(inputs)),
            _step("load", _modules(script) if language == "python" else []),
            _step("use the files", _files_named(script, self._knowledge)),
            f"run {language}, lines: {len(script.splitlines())}",
        ]
        return 200, {"plan": [step for step in steps if step], "digest": digest[:12]}

    def ready(self, _: Mapping[str, Any]) -> Answer:
        """Answer `GET /ready`: it can plan while the knowledge base is there."""
        is_ready = self._knowledge.is_dir()
        return (200 if is_ready else 503), {"ready": is_ready, "knowledge": is_ready}

    def live(self, _: Mapping[str, Any]) -> Answer:
        """Answer `GET /live`: this process works. Looks at nothing else."""
        return 200, {"live": True}


def _step(verb: str, names: list[str]) -> str:
    if not names:
        return ""
    rest = len(names) - STEPS_NAMED_MAX
    return f"{verb} {', '.join(names[:STEPS_NAMED_MAX])}" + (
        f" and {rest} more" if rest > 0 else ""
    )


def _modules(script: str) -> list[str]:
    """List the modules that a Python script imports; none if it does not parse."""
    try:
        tree = ast.parse(script)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return sorted(found)


def _files_named(script: str, knowledge: Path) -> list[str]:
    return sorted(path.name for path in knowledge.glob("*") if path.name in script)


def main() -> None:
    """Plan until SIGTERM."""
    settings = from_environment()
    seed.prepare(settings)
    reasoner = Reasoner(settings)
    routes = {
        ("POST", "/plan"): reasoner.plan,
        ("GET", "/ready"): reasoner.ready,
        ("GET", "/live"): reasoner.live,
    }
    keys = Keys(REASONER_KEY, resile.use_secrets())
    port = settings.reasoner_port
    serve(
        "reasoner",
        lambda: HttpService(port, routes, body_bytes_max=MESSAGE_BYTES_MAX, admit=keys.admit),
        where=f"{HOST}:{port}",
    )


if __name__ == "__main__":
    main()
