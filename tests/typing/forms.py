"""Every decorated form keeps its signature, under each way to guard; mypy and pyright check it.

Both must agree, so a type is asserted as both call it; a wrong call is refused by both. Nothing runs.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, ParamSpec, Protocol, TypeVar, assert_type

import resile

P = ParamSpec("P")
R = TypeVar("R")


class Row:
    """What a query gives."""


class Query(Protocol):
    """The exact signature of `plain` and of what is made of it."""

    def __call__(self, sql: str, /, *values: int, limit: int = 10, **named: bytes) -> list[Row]: ...


class Fetch(Protocol):
    """The exact signature of the coroutine functions."""

    def __call__(self, sql: str, *, limit: int = 10) -> Coroutine[Any, Any, list[Row]]: ...


def plain(sql: str, /, *values: int, limit: int = 10, **named: bytes) -> list[Row]:
    return [Row()][: limit + len(sql) + len(values) + len(named)]


def key_of(sql: str, *_: object, **__: object) -> str:
    return sql


async def fetch(sql: str, *, limit: int = 10) -> list[Row]:
    return [Row()][: limit + len(sql)]


# Each way to guard a plain function.
by_retry: Query = resile.Retry()(plain)
by_breaker: Query = resile.Breaker()(plain)
by_timeout: Query = resile.Timeout("1s", by="deadline")(plain)
by_bulkhead: Query = resile.Bulkhead()(plain)
by_adaptive: Query = resile.AdaptiveLimit()(plain)
by_rate: Query = resile.RateLimit()(plain)
by_fallback: Query = resile.Fallback([])(plain)
by_hedge: Query = resile.Hedge()(plain)
by_cache: Query = resile.Cache()(plain)
by_chaos: Query = resile.Chaos()(plain)
by_sum: Query = (resile.Retry() + resile.Breaker() + resile.Timeout(total="9s"))(plain)
by_stack: Query = resile.stack(resile.Breaker(), resile.Retry())(plain)
by_preset: Query = resile.presets.DATABASE(plain)
by_guard: Query = resile.guard("db", retry=3, breaker=True)(plain)
by_named: Query = resile.Retry().named("own")(plain)
by_key: Query = resile.guard("db").per(key_of)(plain)
by_two: Query = resile.Breaker()(resile.Retry()(plain))

# Each way to guard a coroutine function.
fetch_by_retry: Fetch = resile.Retry()(fetch)
fetch_by_timeout: Fetch = resile.Timeout("1s")(fetch)
fetch_by_sum: Fetch = (resile.Retry() + resile.Timeout("1s"))(fetch)
fetch_by_preset: Fetch = resile.presets.DATABASE(fetch)
fetch_by_guard: Fetch = resile.guard("db", timeout="2s")(fetch)
fetch_by_key: Fetch = resile.guard("db").per(key_of)(fetch)


@resile.presets.DATABASE
def decorated(sql: str, limit: int = 10) -> list[Row]:
    return plain(sql, limit=limit)


@resile.guard("payments", retry=3, timeout="2s", breaker=True)
async def charge(amount: int) -> float:
    return amount / 100


@resile.Retry() + resile.Breaker()
def generator(count: int) -> Iterator[int]:
    yield from range(count)


@resile.guard("payments")
async def stream(count: int) -> AsyncIterator[bytes]:
    yield bytes(count)


class Service:
    """A method of each kind."""

    @resile.Retry()
    def method(self, number: int) -> str:
        return str(number)

    @resile.presets.DATABASE
    async def later(self, number: int) -> str:
        return str(number)

    @classmethod
    @resile.Retry() + resile.Breaker()
    def of_class(cls, number: int) -> type["Service"]:
        return cls if number else Service

    @staticmethod
    @resile.guard("static", retry=2)
    def static(number: int) -> bytes:
        return bytes(number)

    @resile.Retry()
    def items(self) -> Iterator[int]:
        yield 1

    @resile.Retry()
    async def aitems(self) -> AsyncIterator[int]:
        yield 1

    @property
    @resile.Retry()
    def attribute(self) -> int:
        return 1


@resile.Retry()
def generic(value: R, *others: R) -> list[R]:
    return [value, *others]


@resile.Retry()
def higher(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    return function(*args, **kwargs)


assert_type(decorated("x", limit=3), list[Row])
assert_type(decorated("x", 3), list[Row])
assert_type(generator(3), Iterator[int])
assert_type(stream(3), AsyncIterator[bytes])
assert_type(generic(3, 4), list[int])
assert_type(higher(decorated, "x", limit=3), list[Row])
assert_type(Service().method(3), str)
assert_type(Service().method(number=3), str)
assert_type(Service.of_class(3), type[Service])
assert_type(Service.static(3), bytes)
assert_type(Service().static(3), bytes)
assert_type(Service().items(), Iterator[int])
assert_type(Service().aitems(), AsyncIterator[int])
assert_type(Service().attribute, int)
assert_type(resile.Retry().call(decorated, "x", limit=3), list[Row])
assert_type(resile.guard("db").call(decorated, "x"), list[Row])
bound: Callable[[int], str] = Service().method


async def work() -> None:
    assert_type(await charge(3), float)
    assert_type(await Service().later(3), str)
    assert_type(await resile.Retry().acall(charge, 3), float)
    assert_type(await resile.guard("db").acall(fetch, "x", limit=3), list[Row])
    assert_type([item async for item in stream(3)], list[bytes])
    assert_type([item async for item in Service().aitems()], list[int])


# What is wrong without a guard is wrong with it. Both checkers take the same comment.
decorated(3)  # type: ignore[arg-type]
decorated("x", most=3)  # type: ignore[call-arg]
decorated()  # type: ignore[call-arg]
by_sum("x", "y")  # type: ignore[arg-type]
by_key("x", limit="y")  # type: ignore[arg-type]
generator("x")  # type: ignore[arg-type]
Service().method("x")  # type: ignore[arg-type]
Service.of_class()  # type: ignore[call-arg]
Service.static("x")  # type: ignore[arg-type]
resile.Retry().call(decorated, 3)  # type: ignore[arg-type]
wrong: Callable[[str], str] = Service().method  # type: ignore[assignment]
