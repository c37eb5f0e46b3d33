"""Engines that several contracts share."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.support import boxes
from tests.support.boxes import Desk, Ran, Room, box_in, why_not
from tests.support.looking import Stage
from tests.support.secret_providers import READ_ONLY, WRITABLE, Case, Reader, as_params, token

from resile.secrets import Provider, WritableProvider


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


@pytest.fixture(params=as_params(WRITABLE))
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture
def provider(
    case: Case, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[WritableProvider]:
    made = case.make(request, tmp_path)
    yield made
    made.close()


@pytest.fixture
def reader(
    any_kind: Case | str, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Reader]:
    """Makes a provider with some secrets in it."""
    with ExitStack() as stack:

        def make(values: Mapping[str, bytes]) -> Provider:
            if isinstance(any_kind, str):
                provider = READ_ONLY[any_kind](tmp_path, values)
            else:
                provider = writable = any_kind.make(request, tmp_path)
                for name, value in values.items():
                    writable.write(name, value, token=token())
            stack.callback(provider.close)
            return provider

        yield make


@pytest.fixture(params=[*as_params(WRITABLE), *READ_ONLY])
def any_kind(request: pytest.FixtureRequest) -> Case | str:
    return request.param


@pytest.fixture
def name() -> str:
    return f"t{os.urandom(6).hex()}/password"
