"""The example system under the daemon: one, started once, for all tests of `xdist_group("example")`."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.e2e.example import HOME, ask
from tests.e2e.running import System, free_port
from tests.support.rotting import rot
from tests.support.storing import LONG_AGO_NS, opened

FLIP = "python -m agent_runtime.flip"
PORTS = ("8470", "8481", "8482", "8483")
SERVICES = ("database", "scanner", "reasoner", "outside", "dispatcher")


class Example(System):
    """A copy of the example, on free ports."""

    def __init__(self, folder: Path) -> None:
        shutil.copytree(
            HOME, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("data", ".resile")
        )
        super().__init__(folder)
        free = (self.port, *(free_port() for _ in PORTS[1:]))
        ports = dict(zip(PORTS, map(str, free), strict=True))
        text = (HOME / "resile.toml").read_text()
        self.ports = {name: int(port) for name, port in ports.items()}
        """By those that `resile.toml` says."""
        (folder / "resile.toml").write_text(
            re.sub("|".join(PORTS), lambda match: ports[match[0]], text).replace(
                'name = "agent-runtime"\n',
                f'name = "agent-runtime"\nhttp = {{ port = {self.port} }}\n',
            )
        )
        self._more = {
            "AGENT_RUNTIME_DISPATCHER_PORT": ports["8481"],
            "AGENT_RUNTIME_REASONER_PORT": ports["8482"],
            "AGENT_RUNTIME_OUTSIDE_PORT": ports["8483"],
        }
        self.data = folder / "data"
        seeding = [sys.executable, "-m", "agent_runtime.seed"]
        subprocess.run(seeding, cwd=folder, check=True, timeout=30)
        for path in (self.data / "knowledge").iterdir():
            os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))

    def write(self) -> None:
        """Leave the file as it is."""

    def environ(self) -> dict[str, str]:
        """Give the processes of the example their ports."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**super().environ(), **self._more, "PATH": path}

    def harm(self) -> tuple[Path, bytes, Path, bytes]:
        """Flip a bit of a pack and one of a kept file, while the daemon is down."""
        source, pack = self.data / "knowledge", self.largest_pack()
        file = source / "prices.json"
        before = pack, pack.read_bytes(), file, file.read_bytes()
        with opened(self.data / "store", self.state_dir() / "catalogs") as store:
            rot(store, source, file, 99)
        self.type_from_the_readme(FLIP)
        # The next pass begins now, and not when the rest of a minute is over.
        (self.state_dir() / "storekeeper.json").unlink(missing_ok=True)
        return before

    def type_from_the_readme(self, line: str) -> None:
        """Run a line that the README says."""
        assert f"\n{line}\n" in (HOME.parents[1] / "README.md").read_text()
        words = ["/bin/sh", "-c", line]
        subprocess.run(words, cwd=self.folder, env=self.environ(), check=True, timeout=30)

    def largest_pack(self) -> Path:
        """Give the pack of the knowledge base, or of the policy."""
        packs = (self.data / "store" / "packs").iterdir()
        return max(packs, key=lambda path: path.stat().st_size)

    def dispatch(self, script: str, agent: str = "librarian") -> dict[str, Any]:
        """Send a script."""
        body = json.dumps({"agent": agent, "script": script})
        return ask(self.ports["8481"], "POST", "/dispatch", body.encode())[1]

    def kinds(self) -> list[str]:
        """List what happened in the store and the folders, in order."""
        events = self.get("/api/events?kinds=store.*,data.*&limit=100")["events"]
        return [event["kind"] for event in events]
