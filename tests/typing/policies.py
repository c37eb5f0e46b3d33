"""Guarded functions as a user's code sees them; mypy and pyright read this, nothing runs it."""

from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Mapping
from typing import Any, TypeVar, assert_type, overload

import resile
from resile.policies import BlockAttempt, BreakerState, LastFailure, Loaded, Reading, Signal

T = TypeVar("T")


def host_of(host: str, _: int) -> str:
    return host


def repeated(host: str, count: int) -> str:
    return host * count


db = resile.Retry(attempts=3, initial="100ms", max="1s", multiplier=2.0, jitter=0.1) + (
    resile.Breaker(failures=5, open_for="30s", successes=2)
)
payments = resile.guard("payments", retry=3, timeout="2s", breaker=True)
assert_type(db, resile.Pipeline)
assert_type(payments, resile.Guard)
assert_type(resile.breaker("payments").state, BreakerState)
assert_type(resile.breaker("payments").last_failure, LastFailure | None)
plain = resile.guard("plain", timeout=resile.Timeout("2s", by="deadline"))
assert_type(plain, resile.Guard)
assert_type(resile.readings(), tuple[Reading, ...])
assert_type(resile.load("resile.toml", watch=True), Loaded)
assert_type(resile.use_opentelemetry(), Callable[[], None])


def hear(signal: Signal) -> None:
    assert_type(signal.detail, Mapping[str, object])


assert_type(resile.listen(hear), Callable[[], None])


async def block() -> None:
    async with db, payments, resile.breaker("payments"):
        pass
    async for attempt in db:
        async with attempt as entered:
            assert_type(entered, BlockAttempt)


with resile.Chaos(error_rate=0.1).injected("payments"):
    pass


@db
def query(sql: str, *, limit: int = 10) -> list[str]:
    return [sql] * limit


@payments
async def charge(amount: int) -> float:
    return amount / 100


@resile.Retry()
def rows(count: int) -> Generator[int, str, bool]:
    yield count
    return True


@payments
async def stream(count: int) -> AsyncIterator[bytes]:
    yield bytes(count)


@db
def same(value: T) -> T:
    return value


@overload
def doubled(value: int) -> int: ...
@overload
def doubled(value: str) -> str: ...
@db
def doubled(value: int | str) -> int | str:
    return value * 2


class Service:
    @db
    def method(self, number: int) -> str:
        return str(number)

    @payments
    async def later(self, number: int) -> str:
        return str(number)

    @classmethod
    @db
    def of_class(cls, number: int) -> int:
        return number

    @staticmethod
    @db
    def static(number: int) -> int:
        return number

    @property
    @db
    def attribute(self) -> int:
        return 1


assert_type(query("x", limit=3), list[str])
charging: Coroutine[Any, Any, float] = charge(3)
assert_type(rows(3), Generator[int, str, bool])
assert_type(stream(3), AsyncIterator[bytes])
assert_type(same(3), int)
assert_type(doubled(3), int)
assert_type(doubled("x"), str)
assert_type(Service().method(3), str)
waiting: Coroutine[Any, Any, str] = Service().later(3)
assert_type(Service.of_class(3), int)
assert_type(Service.static(3), int)
assert_type(Service().attribute, int)
assert_type(db.call(query, "x", limit=2), list[str])
assert_type(payments.call(lambda: 3), int)
per_host: Callable[[str, int], str] = payments.per(host_of)(repeated)

query(3)  # type: ignore[arg-type]
query("x", most=3)  # type: ignore[call-arg]
refused = charge("x")  # type: ignore[arg-type]
Service().method("x")  # type: ignore[arg-type]
db.call(query, 3)  # type: ignore[arg-type]


async def work() -> None:
    assert_type(await charge(1), float)
    assert_type(await payments.acall(charge, 1), float)
    async for attempt in resile.Retry():
        assert_type(attempt, BlockAttempt)
        with attempt:
            await charge(2)
    with resile.breaker("payments"):
        pass
