"""Fallbacks: the chain, what steps are called with, and what always passes."""

import asyncio
from functools import partial

import pytest
from tests.support.virtual_loop import run_virtual

from resile.errors import ConfigError
from resile.policies.bound import Guard
from resile.policies.fallback import Fallback
from resile.policies.timeout import Timeout


class GoneError(Exception):
    pass


def fetch(user: int, *, fresh: bool = False) -> str:
    raise GoneError(f"user {user}")


async def afetch(user: int) -> str:
    raise GoneError(f"user {user}")


def broken(user: int, **_: object) -> str:
    raise KeyError(user)


def test_a_fallback_without_steps_or_for_cancellation_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        Fallback(on=KeyboardInterrupt)  # type: ignore[arg-type]

    assert len(caught.value.problems) == 2


def test_a_success_needs_no_fallback() -> None:
    assert Fallback("never").call(len, "abc") == 3


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError]
)
def test_cancellation_and_its_like_pass(error: type[BaseException]) -> None:
    def failing() -> None:
        raise error

    with pytest.raises(error):
        Fallback("never").call(failing)


def test_other_errors_than_those_named_pass() -> None:
    with pytest.raises(GoneError):
        Fallback("never", on=(KeyError, ValueError)).call(fetch, 1)


class Backup:
    def read(self, user: int, *, fresh: bool = False) -> str:
        return f"backup {user} {fresh}"

    def empty(self) -> str:
        return "empty"


@pytest.mark.parametrize(
    ("step", "answer"),
    [
        (None, None),
        ("cached", "cached"),
        (lambda: "nothing", "nothing"),
        (lambda *, error: str(error), "user 7"),
        (lambda user, *, fresh=False, error: (user, fresh, str(error)), (7, True, "user 7")),
        (lambda *args, **kwargs: (args, kwargs), ((7,), {"fresh": True})),
        (Backup().read, "backup 7 True"),
        (Backup().empty, "empty"),
        (list, []),
        (partial("{1} {fresh}".format, 0), "7 True"),
    ],
)
def test_a_step_is_a_value_or_gets_the_arguments_that_it_takes(
    step: object, answer: object
) -> None:
    assert Fallback(step).call(fetch, 7, fresh=True) == answer


def test_a_step_that_raises_gives_way_to_the_next() -> None:
    assert Fallback(broken, "second").call(fetch, 7) == "second"


def test_if_all_fail_the_original_error_tells_of_the_others_once() -> None:
    error = GoneError("always the same")

    def failing(user: int) -> str:
        raise error

    chain = Fallback(broken, broken)
    for _ in range(30):
        with pytest.raises(GoneError) as caught:
            chain.call(failing, 7)

    assert caught.value is error
    assert error.__notes__ == [
        "fallback 1 (broken) failed too: KeyError(7)",
        "fallback 2 (broken) failed too: KeyError(7)",
    ]


def test_notes_are_bounded() -> None:
    error, counter = GoneError("x"), iter(range(1000))

    def failing() -> str:
        raise error

    def changing() -> str:
        raise KeyError(next(counter))

    for _ in range(100):
        with pytest.raises(GoneError):
            Fallback(changing).call(failing)

    assert len(error.__notes__) == 20


def test_a_coroutine_function_is_no_fallback_of_a_plain_one() -> None:
    class Later:
        def __await__(self) -> object:
            raise AssertionError

    with pytest.raises(GoneError) as caught:
        Fallback(afetch, Later).call(fetch, 7)

    assert len(caught.value.__notes__) == 2
    assert "cannot be the fallback of a plain function" in caught.value.__notes__[0]


def test_the_chain_works_in_both_colours() -> None:
    async def backup(user: int) -> str:
        return f"backup {user}"

    async def main() -> None:
        assert await Fallback(backup).acall(afetch, 7) == "backup 7"
        assert await Fallback(broken, afetch, "value").acall(afetch, 7) == "value"
        with pytest.raises(GoneError) as caught:
            await Fallback(broken).acall(afetch, 7)
        assert len(caught.value.__notes__) == 1
        assert await Fallback("never").acall(asyncio.sleep, 0, "ok") == "ok"

    run_virtual(main())


def test_arguments_are_found_through_the_other_layers() -> None:
    pipeline = Fallback(lambda user: user) + Timeout("5s", by="deadline")

    assert Guard(pipeline, name="pay").call(fetch, 7) == 7


def test_a_thunk_has_no_arguments() -> None:
    def failing() -> str:
        raise GoneError

    assert Guard(Fallback(lambda: "empty"), name="pay").run(failing) == "empty"
