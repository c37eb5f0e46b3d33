"""A real core, as the kernel leaves it where a service under the guard crashes."""

import resource
import sys
import time
from pathlib import Path

import pytest
from tests.support.guarding import Brain

from resile.daemon.cores import find_core, remove_core
from resile.daemon.crashes import CORE_PATTERN

PATTERN = CORE_PATTERN.read_text().strip()

pytestmark = [
    pytest.mark.skipif(PATTERN.startswith("|"), reason="a program takes the cores of this machine"),
    pytest.mark.skipif(
        resource.getrlimit(resource.RLIMIT_CORE)[1] == 0, reason="cores are forbidden here"
    ),
]


def test_the_core_of_a_crash_is_found_and_removed(brain: Brain, tmp_path: Path) -> None:
    folder = tmp_path / "service"
    folder.mkdir()
    brain.started(sys.executable, "-c", "import os; os.abort()", cwd=str(folder))
    exited = brain.exited()

    core = find_core(PATTERN, folder, pid=exited.pid, now_s=time.time())

    assert exited.core_dumped
    assert core is not None
    assert remove_core(core) > 0
    assert not Path(core.path).exists()
