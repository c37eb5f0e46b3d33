"""What is known of the machine is doubted as soon as a box cannot be built, and not before."""

from contextlib import closing

import pytest

from resile.contain import Limits, Run, RunSpec, StopRequest
from resile.core.vocabulary import RunReason

pytestmark = pytest.mark.needs_cgroups


def knows(place) -> bool:
    return (place.host.runs.folder / "sandbox.json").exists()


@pytest.fixture
def known(place):
    """Give a place that has found the machine to have everything."""
    if place.host.facts.missing:
        pytest.skip(f"nothing is kept here: {place.host.facts.missing}")
    assert knows(place)
    return place


def test_box_that_cannot_be_built_lets_the_next_run_try_anew(known):
    """Without room in its /tmp there is no way to a workspace that lies there."""
    spec = RunSpec(
        argv=("true",),
        limits=Limits(processes=8, disk_files=1),
        workspaces=(known.workspace,),
    )

    with closing(StopRequest()) as stop:
        outcome = Run(known.host, spec, stop=stop).execute()

    assert outcome.reason is RunReason.LAUNCH_FAILED
    assert not knows(known)
    assert known.run("true").reason is RunReason.OK
    assert knows(known)


def test_command_that_is_missing_says_nothing_of_the_machine(known):
    assert known.run("no-such-command").reason is RunReason.LAUNCH_FAILED
    assert knows(known)
