"""One process that times resile's policies beside its peers, interleaved; prints JSON.

Run by `bench_policies` with the Python of an environment that has the peers. Every function does the
same work, `return x`, so what is left above the plain call is overhead.
"""

import asyncio
import json
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter_ns
from typing import Any

import aiobreaker
import backoff
import circuitbreaker
import hyx.circuitbreaker
import hyx.retry
import interlock
import limits
import limits.strategies
import purgatory
import pybreaker
import pyresilience as py
import resilient_circuit
import stamina
import tenacity

import resile
from resile.policies.ratelimit import RateLimit
from resile.policies.signals import Signal
from resile.policies.timeout import Timeout

ROUNDS = 25
ROUND_NS = 4_000_000
WATCHED = "resile, watched: "
"""Guards by name, which count, while a listener hears of all that they tell."""
Function = Callable[..., Any]


def plain(x: int) -> int:
    return x


async def aplain(x: int) -> int:
    return x


def boom(x: int) -> int:
    raise KeyError(x)


async def with_asyncio_timeout(x: int) -> int:
    async with asyncio.timeout(5):
        return await aplain(x)


def limited(x: int) -> int:
    LIMITER.hit(RATE, "key")
    return x


LIMITER = limits.strategies.MovingWindowRateLimiter(limits.storage.MemoryStorage())
RATE = limits.parse("100000000/second")
WINDOW = py.CircuitBreakerConfig(sliding_window_size=100, minimum_calls=10)
WINDOWED = resile.Breaker(ratio=0.5, window_calls=100)
TIMED = resile.Breaker(ratio=0.5, window="30s")
RETRY = resile.Retry(attempts=3)
BOTH = RETRY + resile.Breaker()


def opened(function: Function) -> Function:
    """Call until it rejects, and keep it so."""
    for _ in range(20):
        try:  # noqa: SIM105 - a context manager would be timed too
            function(1)
        except Exception:  # noqa: BLE001 - that is what is wanted
            pass
    return function


def sync_cases() -> dict[str, Function]:
    return {
        "plain": plain,
        "resile: breaker": resile.Breaker()(plain),
        "resile: count window": WINDOWED(plain),
        "resile: time window": TIMED(plain),
        "resile: slow calls": resile.Breaker(slow="1s")(plain),
        "resile: retry": RETRY(plain),
        "resile: retry + breaker": BOTH(plain),
        "resile: rate limit": RateLimit(limit=1_000_000, per=1)(plain),
        "circuitbreaker": circuitbreaker.circuit(failure_threshold=5)(plain),
        "pybreaker": pybreaker.CircuitBreaker(fail_max=5)(plain),
        "purgatory": purgatory.SyncCircuitBreakerFactory()("x")(plain),
        "interlock": interlock.CircuitBreaker(name="x")(plain),
        "pyresilience window": py.resilient(circuit_breaker=WINDOW)(plain),
        "pyresilience retry": py.resilient(retry=py.RetryConfig())(plain),
        "pyresilience retry + breaker": py.resilient(
            retry=py.RetryConfig(), circuit_breaker=py.CircuitBreakerConfig()
        )(plain),
        "pyresilience rate limit": py.resilient(
            rate_limiter=py.RateLimiterConfig(max_calls=100_000_000)
        )(plain),
        "limits moving window": limited,
        "resilient-circuit retry": resilient_circuit.RetryWithBackoffPolicy()(plain),
        "tenacity": tenacity.retry(stop=tenacity.stop_after_attempt(3))(plain),
        "stamina": stamina.retry(on=Exception)(plain),
        "backoff": backoff.on_exception(backoff.expo, Exception, max_tries=3)(plain),
    }


def watched_cases() -> dict[str, Function]:
    """Give guards by name: their numbers are shown, whether anybody asks or not."""
    limit = RateLimit(limit=1_000_000, per=1)
    return {
        f"{WATCHED}breaker": resile.guard("b", breaker=True)(plain),
        f"{WATCHED}count window": resile.guard("c", WINDOWED)(plain),
        f"{WATCHED}time window": resile.guard("t", TIMED)(plain),
        f"{WATCHED}retry": resile.guard("r", RETRY)(plain),
        f"{WATCHED}retry + breaker": resile.guard("rb", BOTH)(plain),
        f"{WATCHED}rate limit": resile.guard("l", limit)(plain),
    }


def rejection_cases() -> dict[str, Function]:
    return {
        "plain raise": boom,
        "resile: open": opened(resile.Breaker()(boom)),
        f"{WATCHED}open": opened(resile.guard("o", breaker=True)(boom)),
        "circuitbreaker open": opened(circuitbreaker.circuit(failure_threshold=5)(boom)),
        "pybreaker open": opened(pybreaker.CircuitBreaker(fail_max=5)(boom)),
    }


def async_cases() -> dict[str, Function]:
    return {
        "async plain": aplain,
        "resile: async breaker": resile.Breaker()(aplain),
        "resile: async retry + breaker": BOTH(aplain),
        "resile: async timeout": Timeout(5)(aplain),
        f"{WATCHED}async breaker": resile.guard("ab", breaker=True)(aplain),
        f"{WATCHED}async retry + breaker": resile.guard("arb", BOTH)(aplain),
        f"{WATCHED}async timeout": resile.guard("at", Timeout(5))(aplain),
        "circuitbreaker async": circuitbreaker.circuit(failure_threshold=5)(aplain),
        "aiobreaker": aiobreaker.CircuitBreaker()(aplain),
        "hyx retry + breaker": hyx.retry.retry(attempts=3)(
            hyx.circuitbreaker.consecutive_breaker(failure_threshold=5)(aplain)
        ),
        "asyncio.timeout": with_asyncio_timeout,
    }


def cost(function: Function, count: int) -> float:
    began = perf_counter_ns()
    for _ in range(count):
        function(1)
    return (perf_counter_ns() - began) / count


def rejected_cost(function: Function, count: int) -> float:
    began = perf_counter_ns()
    for _ in range(count):
        try:  # noqa: SIM105 - a context manager would be timed too
            function(1)
        except Exception:  # noqa: BLE001 - a caller that goes on
            pass
    return (perf_counter_ns() - began) / count


async def async_cost(function: Function, count: int) -> float:
    began = perf_counter_ns()
    for _ in range(count):
        await function(1)
    return (perf_counter_ns() - began) / count


def interleaved(
    cases: dict[str, Function], measure: Callable[[Function, int], float]
) -> dict[str, float]:
    """Time every case in each round; give the minimum of each, in ns for a call."""
    counts = {
        name: max(int(ROUND_NS / max(measure(case, 200), 20)), 50) for name, case in cases.items()
    }
    best = dict.fromkeys(cases, float("inf"))
    for _ in range(ROUNDS):
        for name, case in cases.items():
            with heard(name):
                best[name] = min(best[name], measure(case, counts[name]))
    return best


def ignored(_: Signal) -> None:
    """Hear a signal, and do nothing."""


@contextmanager
def heard(name: str) -> Iterator[None]:
    """Listen while a watched case is timed."""
    end = resile.listen(ignored) if name.startswith(WATCHED) else None
    yield
    if end is not None:
        end()


def memory(decorate: Callable[[Function], Function]) -> float:
    """Tell the bytes for each of a thousand decorated functions, the plain one included."""
    source = "def f(x): return x"
    scopes: list[dict[str, Any]] = []
    kept = []
    code = compile(source, "f", "exec")
    decorate(plain)
    tracemalloc.start()
    for _ in range(1000):
        scope: dict[str, Any] = {"__name__": "m"}
        exec(code, scope)
        function = scope.pop("f")
        scopes.append(scope)
        kept.append(function)
    bare = tracemalloc.get_traced_memory()[0]
    kept = [decorate(function) for function in kept]
    both = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return (both - bare) / 1000


def main() -> None:
    times = interleaved(sync_cases() | watched_cases(), cost) | interleaved(
        rejection_cases(), rejected_cost
    )

    async def timed() -> dict[str, float]:
        cases = async_cases()
        counts = {}
        for name, case in cases.items():
            counts[name] = max(int(ROUND_NS / max(await async_cost(case, 200), 20)), 50)
        best = dict.fromkeys(cases, float("inf"))
        for _ in range(ROUNDS):
            for name, case in cases.items():
                with heard(name):
                    best[name] = min(best[name], await async_cost(case, counts[name]))
        return best

    times |= asyncio.run(timed())
    sizes = {
        "resile: retry": memory(RETRY),
        "resile: breaker": memory(resile.Breaker()),
        "tenacity": memory(tenacity.retry(stop=tenacity.stop_after_attempt(3))),
        "circuitbreaker": memory(circuitbreaker.circuit(failure_threshold=5)),
    }
    json.dump({"ns": times, "bytes": sizes}, sys.stdout)


if __name__ == "__main__":
    main()
