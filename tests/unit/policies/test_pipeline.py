"""Composing policies: the canonical order, stacks as written, and what cannot be composed."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import TypeVar

import pytest

from resile.core.clock import Clock
from resile.errors import ConfigError
from resile.policies import Guard, Layer, Pipeline, Policy, stack
from resile.policies.blocks import Block

T = TypeVar("T")
Log = list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Noting(Policy):
    """Writes its name down on the way in and on the way out."""

    name: str
    log: Log
    position: int = 0

    def layer(self, name: str, clock: Clock, chance: Random) -> Layer:
        return NotingLayer(self.name, self.log)


class NotingLayer:
    def __init__(self, name: str, log: Log) -> None:
        self.name, self.log = name, log

    def run(self, call: Callable[[], T], /) -> T:
        self.log.append(f"+{self.name}")
        try:
            return call()
        finally:
            self.log.append(f"-{self.name}")

    async def arun(self, call: Callable[[], Awaitable[T]], /) -> T:
        self.log.append(f"+{self.name}")
        return await call()


@dataclass(frozen=True, slots=True, kw_only=True)
class Only(Noting):
    is_single = True


def test_what_is_no_policy_is_refused_with_what_to_write() -> None:
    with pytest.raises(ConfigError, match="3 is not a policy"):
        Noting(name="a", log=[]) + 3  # type: ignore[operator]
    with pytest.raises(ConfigError, match="'x' is not a policy"):
        stack("x")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no policies"):
        stack()


def test_two_of_a_kind_that_stands_alone_are_refused() -> None:
    one = Only(name="a", log=[])

    with pytest.raises(ConfigError, match="one Only, not two"):
        one + one


def test_a_stack_cannot_be_added_to() -> None:
    one = Noting(name="a", log=[])

    with pytest.raises(ConfigError, match="order in which it was written"):
        stack(one) + one


def test_plus_puts_policies_into_the_canonical_order() -> None:
    log: Log = []
    outer, inner = (Noting(name=n, log=log, position=p) for n, p in (("out", 1), ("in", 2)))

    assert (inner + outer).parts() == (outer, inner) == (outer + inner).parts()
    assert (inner + outer).call(lambda: log.append("call")) is None
    assert log == ["+out", "+in", "call", "-in", "-out"]


def test_policies_of_equal_rank_keep_the_order_as_written() -> None:
    first, second = (Noting(name=n, log=[]) for n in "ab")

    assert (first + second).parts() == (first, second)


def test_a_stack_runs_as_written() -> None:
    log: Log = []
    one, two = (Noting(name=n, log=log, position=p) for n, p in (("1", 1), ("2", 2)))

    stack(two, one).call(lambda: None)

    assert log == ["+2", "+1", "-1", "-2"]


def test_a_layer_that_cannot_guard_a_block_says_so() -> None:
    guard = Guard(Noting(name="a", log=[]), name="db")

    with pytest.raises(ConfigError, match="cannot guard a block of 'db'"), guard:
        pass


def test_a_pipeline_is_a_value() -> None:
    one = Noting(name="a", log=[])

    assert one + one == Pipeline(policies=(one, one))


def test_a_policy_that_lacks_its_half_says_so() -> None:
    with pytest.raises(NotImplementedError):
        _ = Policy().position
    with pytest.raises(NotImplementedError):
        Policy().call(int)
    with pytest.raises(NotImplementedError):
        Block().hold()
