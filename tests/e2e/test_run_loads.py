"""`resile run` of a command that changes nothing loads what such a run needs, and nothing else.

Loading is most of what it takes. Who adds a name to what is loaded pays for it in every run.
"""

import importlib.util
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.needs_cgroups

NOT_NEEDED = (
    *("asyncio", "fastapi", "pydantic", "rich", "ssl", "yaml"),
    *("argparse", "difflib", "importlib.metadata", "random", "shutil", "tempfile", "tomllib"),
    *("resile.clients", "resile.daemon", "resile.health", "resile.incidents", "resile.recover"),
    *("resile.testing", "resile.web"),
    *("resile.cli.api", "resile.cli.cmd_up", "resile.cli.probes"),
    *("resile.contain.api", "resile.contain.kill", "resile.contain.recover"),
    *("resile.contain.sandboxes.bubblewrap", "resile.contain.sandboxes.pure"),
    *("resile.contain.settle", "resile.contain.transaction.applying"),
    *("resile.contain.transaction.committing", "resile.contain.transaction.differing"),
    *("resile.contain.transaction.managed", "resile.contain.transaction.recovering"),
    *("resile.contain.transaction.selecting", "resile.contain.transaction.staging"),
    "resile.contain.transaction.wal",
    *("resile.core.config", "resile.core.events.incidents", "resile.core.events.recovery"),
    *("resile.core.events.system", "resile.core.journal.plain", "resile.core.journal.verify"),
    *("resile.core.metrics", "resile.core.sentences", "resile.core.spawning"),
)
TO_TRY = {"random", "shutil", "tempfile"}
"""Needed where the sandbox lacks something: then it is tried each time."""
CODE = """
import sys
from resile.cli.main import run
code = run(["run", "--", *sys.argv[1:]])
print("loaded", *sys.modules)
sys.exit(code)
"""


@pytest.fixture
def loaded_by(tmp_path):
    """Give what the second run in a new process has loaded; the first one tries the sandbox."""
    work = tmp_path / "work"
    work.mkdir()
    environ = {**os.environ, "RESILE_RUNS_DIR": str(tmp_path / "state" / "runs")}

    def loaded_by(*argv: str) -> set[str]:
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, "-c", CODE, *argv],
                cwd=work,
                env=environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=50,
                check=True,
            )
        return set(done.stdout.splitlines()[-1].split()[1:])

    return loaded_by


def test_a_run_that_changes_nothing_loads_nothing_else(loaded_by, tmp_path):
    loaded = loaded_by("true")

    has_everything = (tmp_path / "state" / "runs" / "sandbox.json").exists()
    assert sorted(loaded.intersection(NOT_NEEDED) - (set() if has_everything else TO_TRY)) == []


def test_a_run_that_changes_something_loads_its_commit(loaded_by):
    """What is not needed above is there, under these names, and is needed elsewhere."""
    loaded = loaded_by("sh", "-c", "date +%s%N > file")

    assert {"resile.contain.transaction.committing", "resile.contain.transaction.wal"} <= loaded


@pytest.mark.parametrize("name", NOT_NEEDED)
def test_what_must_not_be_loaded_is_a_module(name):
    """A name that was changed would never be found again."""
    assert importlib.util.find_spec(name) is not None
