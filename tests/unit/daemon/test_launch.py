"""What the guard is told of a launch."""

import dataclasses
import signal

from resile.daemon.launch import LaunchSpec
from resile.daemon.protocol import Spawn, from_line, to_line


def test_the_guard_is_told_everything_of_a_launch() -> None:
    launch = LaunchSpec(
        argv=("app", "--fast"),
        env={"A": "b"},
        cwd="/srv",
        is_notify=True,
        watchdog_s=3.0,
        stop_signal=signal.SIGINT,
        drain_s=12.5,
        log_bytes_max=1000,
        log_files_max=2,
        log_lines_per_s_max=7,
    )

    request = from_line(to_line(launch.spawn("app", 4)))

    assert isinstance(request, Spawn)
    assert (request.service, request.generation) == ("app", 4)
    for field in dataclasses.fields(LaunchSpec):
        assert getattr(request, field.name) == getattr(launch, field.name)
