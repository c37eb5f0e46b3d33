"""Plain calls of coroutine functions, and the other way round, are told and not taken for successes."""

import asyncio
import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

import resile
from resile.errors import ConfigError


@pytest.fixture(autouse=True)
def nothing_is_left_unawaited() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


async def late() -> int:
    return 7


def plain() -> Any:
    return late()


@pytest.mark.parametrize("function", [late, partial(late), plain])
def test_a_plain_call_of_a_coroutine_function_is_refused(function: Any) -> None:
    with pytest.raises(ConfigError, match="gave a coroutine") as caught:
        resile.Retry().call(function)

    assert "acall" in caught.value.hint


def test_an_awaited_call_of_a_plain_function_is_refused_and_not_tried_again() -> None:
    calls: list[int] = []
    policy: Any = resile.Retry(initial=0) + resile.Breaker(failures=1)

    with pytest.raises(ConfigError, match="gave NoneType, which nobody can await"):
        asyncio.run(policy.acall(calls.append, 1))

    assert calls == [1]
    assert asyncio.run(policy.acall(late)) == 7


@pytest.mark.parametrize("function", [late, partial(late), plain])
def test_whatever_gives_something_to_await_is_awaited(function: Any) -> None:
    assert asyncio.run(resile.Retry().acall(function)) == 7
