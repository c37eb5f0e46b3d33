"""What degraded operation costs while all is well and while it is not, and what the outbox does.

Each figure is the best of interleaved rounds. The bars are of a call through the manager beside the
same call through a guard of the same kind, and beside a plain call; requirement D8 allows 10 ms.
"""

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

import resile

ROUNDS = 15
CALLS = 20_000
PUTS = 300


def ask(value: int) -> int:
    return value


async def aask(value: int) -> int:
    return value


def main() -> None:
    print("bar | target | measured")
    services = resile.Degradation(
        resile.Service("well", fallbacks=[0]), resile.Service("down", fallbacks=[0])
    )
    services.set_state("down", resile.ServiceState.FAILED, "for the bench")
    guard = resile.Guard(resile.Breaker(), name="bench")
    plain, guarded, called, decorated, down = fastest(
        ask, guard(ask), partial_call(services), services.guard("well")(ask), down_call(services)
    )
    print(f"call of a HEALTHY service / guard.call | <= 1 | {called / guard_call(guard):.2f}")
    print(f"decorated, HEALTHY / decorated by a guard | | {decorated / guarded:.2f}")
    print(f"call, HEALTHY, over a plain call | | {(called - plain) * 1e9:.0f} ns")
    print(f"decorated, HEALTHY, over a plain call | | {(decorated - plain) * 1e9:.0f} ns")
    print(f"call, FAILED, its fallback answers | <= 10 ms | {down * 1e6:.1f} us")
    print_async(services, guard)
    print_outbox()


def partial_call(services: resile.Degradation) -> Callable[[int], int]:
    call = services.call
    return lambda value: call("well", ask, value)


def down_call(services: resile.Degradation) -> Callable[[int], int]:
    call = services.call
    return lambda value: call("down", ask, value)


def guard_call(guard: resile.Guard) -> float:
    call = guard.call
    return fastest(lambda value: call(ask, value))[0]


def fastest(*functions: Callable[[int], int]) -> list[float]:
    """Give the seconds of one call of each."""
    best = [float("inf")] * len(functions)
    for _ in range(ROUNDS):
        for index, function in enumerate(functions):
            began = perf_counter()
            for value in range(CALLS // 10):
                function(value)
            best[index] = min(best[index], (perf_counter() - began) / (CALLS // 10))
    return best


def print_async(services: resile.Degradation, guard: resile.Guard) -> None:
    async def measure() -> tuple[float, float]:
        best = [float("inf")] * 2
        for _ in range(ROUNDS):
            for index, call in enumerate(
                (lambda v: services.acall("well", aask, v), lambda v: guard.acall(aask, v))
            ):
                began = perf_counter()
                for value in range(CALLS // 10):
                    await call(value)
                best[index] = min(best[index], perf_counter() - began)
        return best[0], best[1]

    ours, theirs = asyncio.run(measure())
    print(f"awaited call of a HEALTHY service / guard.acall | <= 1 | {ours / theirs:.2f}")


def print_outbox() -> None:
    """Put and send durably, one after the other; the figure of the disk is in it."""
    with (
        tempfile.TemporaryDirectory(dir=Path.cwd()) as folder,
        resile.Outbox(f"{folder}/outbox.db") as outbox,
    ):
        began, cpu = perf_counter(), process_time()
        for number in range(PUTS):
            outbox.put({"number": number}, key=str(number % 10))
        put_s = perf_counter() - began
        began = perf_counter()
        drained = outbox.drain(lambda _: None)
        sent_s = perf_counter() - began
        cpu_s = process_time() - cpu
    print(f"outbox, put, durable | | {put_s / PUTS * 1e3:.2f} ms each")
    print(f"outbox, sent, durable | | {sent_s / drained.sent * 1e3:.2f} ms each")
    print(f"outbox, put and sent, processor time | | {cpu_s / PUTS * 1e6:.0f} us each")


if __name__ == "__main__":
    main()
