"""What a secret costs from memory, and whether the promises of the cache hold: asked once, stale, revoked.

The figures of time are the best of some rounds; the bars of behaviour are counts over fake time.
"""

import asyncio
import gc
import hashlib
import logging
import threading
from collections.abc import Callable
from time import perf_counter

import resile
from resile.secrets import Secret, SecretManager, Terms
from resile.secrets.redaction import RedactingFilter, Redactor
from resile.testing import FakeClock
from resile.testing.secrets import FakeProvider

NAME = "db/password"
ROUNDS = 15
CALLS = 50_000
ASKERS = 1_000
TTL_S, STALE_S = 300.0, 3600.0


def main() -> None:
    print("bar | target | measured")
    print_hits()
    print(f"{ASKERS} concurrent misses of threads and tasks, calls upstream | 1 | {misses()}")
    asked, failed = provider_away()
    print(f"provider away for max_stale, of {asked} reads failed | 0 | {failed}")
    asked, served = revoked_served()
    print(f"revoked, of {asked} reads served stale | 0 | {served}")
    print_redaction()


def print_hits() -> None:
    with resile.use_secrets(FakeProvider({NAME: "hunter2hunter2"})) as manager:
        resile.secret(NAME)
        empty = fastest(lambda _: None)
        hit = fastest(_through_the_package) - empty
        own = fastest(manager.secret)
        ahit = asyncio.run(fastest_async())
    print(f"cache hit, resile.secret | < 2000 ns | {hit * 1e9:.0f} ns")
    print(f"cache hit, of a manager | < 2000 ns | {own * 1e9:.0f} ns")
    print(f"cache hit, awaited | | {ahit * 1e9:.0f} ns")


def _through_the_package(name: str) -> object:
    return resile.secret(name)


def fastest(call: Callable[[str], object]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        began = perf_counter()
        for _ in range(CALLS):
            call(NAME)
        best = min(best, (perf_counter() - began) / CALLS)
    return best


async def fastest_async() -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        began = perf_counter()
        for _ in range(CALLS // 5):
            await resile.asecret(NAME)
        best = min(best, (perf_counter() - began) / (CALLS // 5))
    return best


class Gated(FakeProvider):
    """Answers when its gate is open."""

    def __init__(self) -> None:
        super().__init__({NAME: "hunter2hunter2"})
        self.gate = threading.Event()

    def read(self, name: str, *, version: str = "current") -> Secret:
        """Wait for the gate, and answer."""
        self.gate.wait()
        return super().read(name, version=version)


def misses() -> int:
    """Count what reaches the provider when many want one name that is not in memory."""
    provider = Gated()
    with SecretManager(provider) as manager:
        threads = [
            threading.Thread(target=manager.secret, args=(NAME,)) for _ in range(ASKERS // 10)
        ]
        for thread in threads:
            thread.start()

        async def ask() -> None:
            tasks = [
                asyncio.create_task(manager.asecret(NAME)) for _ in range(ASKERS - len(threads))
            ]
            await asyncio.sleep(0.2)
            provider.gate.set()
            await asyncio.gather(*tasks)

        asyncio.run(ask())
        for thread in threads:
            thread.join()
    return sum(1 for what, _ in provider.calls if what == "read")


def provider_away() -> tuple[int, int]:
    """Read every second for as long as a value may be stale; count the reads, and those that failed."""
    clock = FakeClock()
    provider = FakeProvider({NAME: "hunter2hunter2"}, clock=clock)
    terms = Terms(ttl_s=TTL_S, max_stale_s=STALE_S)
    manager = SecretManager(provider, terms=terms, clock=clock, is_background=False)
    manager.secret(NAME)
    provider.is_away = True
    asked = failed = 0
    while clock.monotonic() < TTL_S + STALE_S - 1:
        clock.advance(1.0)
        manager.step()
        asked += 1
        try:
            manager.secret(NAME)
        except resile.ProviderDownError:
            failed += 1
    return asked, failed


def revoked_served() -> tuple[int, int]:
    """Revoke while the provider is away, and read on; count the reads, and those that got a value."""
    clock = FakeClock()
    provider = FakeProvider({NAME: "hunter2hunter2"}, clock=clock)
    manager = SecretManager(provider, clock=clock, is_background=False)
    manager.secret(NAME)
    provider.is_away = True
    manager.revoked(NAME, "")
    asked = served = 0
    for _ in range(ASKERS):
        clock.advance(1.0)
        manager.step()
        asked += 1
        try:
            manager.secret(NAME)
            served += 1
        except resile.SecretError:
            continue
    return asked, served


def print_redaction() -> None:
    """What a log line costs more, when none of the secrets is in it."""
    for count in (1, 100):
        redactor = Redactor()
        for number in range(count):
            value = hashlib.sha256(str(number).encode()).hexdigest()[:40]
            redactor.know(Secret(f"n{number}", "1", value.encode()))
        one = RedactingFilter(redactor)
        text = "order.taken id=%s took=%d ms path=/v1/orders/of/somebody user=somebody status=200"
        record = logging.LogRecord("app", logging.INFO, "app.py", 1, text, ("o-17", 12), None)
        one.filter(record)
        gc.collect()
        best = float("inf")
        for _ in range(ROUNDS):
            began = perf_counter()
            for _ in range(CALLS // 50):
                one.filter(record)
            best = min(best, (perf_counter() - began) / (CALLS // 50))
        print(f"redaction of a line, {count} secrets known | | {best * 1e6:.1f} us")


if __name__ == "__main__":
    main()
