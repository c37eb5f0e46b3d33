"""The example system under the daemon: what is kept is mended by itself, and the page tells of it."""

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.running import System, free_port
from tests.support.rotting import rot
from tests.support.storing import LONG_AGO_NS, opened

HOME = Path(__file__).parents[2] / "examples" / "agent_runtime"
FLIP = "python -m agent_runtime.flip"
PORTS = ("8470", "8481", "8482", "8483")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


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
        self.dispatcher_port = ports["8481"]
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

    def dispatch(self, script: str) -> dict[str, Any]:
        """Send a script."""
        body = json.dumps({"agent": "librarian", "script": script})
        port = int(self.dispatcher_port)
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            connection.request("POST", "/dispatch", body)
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
        return answer

    def kinds(self) -> list[str]:
        """List what happened in the store and the folders, in order."""
        events = self.get("/api/events?kinds=store.*,data.*&limit=100")["events"]
        return [event["kind"] for event in events]


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Example]:
    made_here = Example(tmp_path)
    try:
        yield made_here
    finally:
        made_here.destroy()


def test_flipped_bits_are_mended_and_each_run_has_a_checkpoint(example: Example) -> None:
    example.up()
    example.wait("kept twice", lambda: example.kinds().count("store.replicated") >= 2)
    example.wait_up("scanner", "reasoner", "dispatcher")

    answer = example.dispatch("open('new.md', 'w').write('hello')")

    assert (answer["is_committed"], answer["no_checkpoint"]) == (True, "")
    shown = example.get("/api/store")["snapshots"]
    (checkpoint,) = [one for one in shown if one["id"] == answer["checkpoint"]]
    assert set(checkpoint["tags"]) == {"before-dispatch", "checkpoint", answer["run_id"]}
    back = example.resile("restore", answer["checkpoint"], "--to", "before")
    assert back.returncode == 0, back.stderr
    knowledge = {path.name for path in (example.data / "knowledge").iterdir()}
    assert {path.name for path in (example.folder / "before").iterdir()} == knowledge - {"new.md"}

    assert example.resile("down").returncode == 0
    pack, pack_before, file, file_before = example.harm()
    example.up()

    example.wait("both mended", lambda: {"store.mended", "data.mended"} <= set(example.kinds()))
    assert pack.read_bytes() == pack_before
    assert file.read_bytes() == file_before
    example.wait("the dispatcher's start", lambda: example.service("dispatcher")["state"] == "UP")
    example.wait("the end of two incidents", lambda: states(example) <= {"monitoring", "resolved"})
    assert {incident["severity"] for incident in example.incidents()} == {"P1", "P3"}
    health = example.get("/api/store")["health"]
    assert (health["found"], health["mended"]) == (2, 2)


def states(example: Example) -> set[str]:
    return {incident["state"] for incident in example.incidents()}
