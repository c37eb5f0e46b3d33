"""Engines that several contracts share."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.support import boxes
from tests.support.boxes import Desk, Ran, Room, box_in, why_not
from tests.support.looking import Stage


@pytest.fixture
def stage(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(tmp_path, stack, request)


USERS = ("root", "nobody") if os.geteuid() == 0 else ("self",)


@pytest.fixture(scope="module", params=USERS)
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    made = Desk(request.param)
    yield made
    made.close()


@pytest.fixture(params=("native", "python", "bubblewrap"))
def launcher(request: pytest.FixtureRequest, desk: Desk) -> str:
    if reason := why_not(request.param, desk.user):
        pytest.skip(reason)
    return request.param


@pytest.fixture
def room(desk: Desk) -> Iterator[Room]:
    made = desk.call(boxes.make_room)
    yield made
    desk.call(boxes.remove_room, made)


@pytest.fixture
def run(desk: Desk, launcher: str, room: Room) -> Callable[..., Ran]:
    def run(*argv: str, stdin: bytes = b"", **given: Any) -> Ran:
        options = {k: given.pop(k) for k in ("signal_at", "is_killed_at") if k in given}
        made = box_in(room, *argv, **given)
        return desk.call(boxes.run_box, launcher, made, stdin=stdin, **options)

    return run
