"""Contained runs on pure cgroup v2, in a virtual machine: as root and as a delegated plain user."""

# ruff: noqa: T201 - its lines are for whoever runs it

import os

import pytest
from tests.vm.machine import TIMEOUT_S, run_checks
from tests.vm.packages import fetch

pytestmark = [
    pytest.mark.needs_vm,
    pytest.mark.skipif(
        os.environ.get("RESILE_VM") != "1",
        reason="boots a virtual machine for a minute; run it by `make vm`",
    ),
]


@pytest.mark.timeout(TIMEOUT_S + 700)
def test_behaviour_on_pure_cgroup_v2(capsys):
    """Every check in the guest passes; its lines are shown."""
    with capsys.disabled():
        print()
        result = run_checks(fetch(), is_shown=True)

    if not result.is_ok:
        pytest.fail(f"exit code {result.exit_code}\n{result.complaints}", pytrace=False)
