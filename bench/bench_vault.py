"""How soon the provider `vault` works again after a real OpenBao does, and how often it logs in for that.

Each fault is made on a server of its own. "Back" is when the server serves a request of ours with another
token; the figure is the time from then to the first success through the provider, which is read every 20 ms
all the time. Issue bars: less than 2 s, and at most one login per expiry. Reads per second stand beside
hvac's, if that is installed, and beside bare requests.
"""

import contextlib
import importlib.util
import logging
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Self

import httpx
from tests.support import openbao
from tests.support.openbao import OpenBao, openbao_server, policy_for

from resile.clients.vault import AppRole, Target
from resile.core.clock import SYSTEM_CLOCK
from resile.core.vocabulary import RotationReason
from resile.errors import SecretError
from resile.secrets.providers.vault import VaultProvider
from resile.secrets.rotation import Book, Rotations
from resile.testing.rotations import FakeRotator, FakeTarget

NAME = "db/password"
POLL_S = 0.02
BACK_S_MAX = 2.0
THREADS = 16
READS = 2_000
ROTATIONS = 20
ROUNDS = 3
Fault = Callable[[OpenBao, str], float]
"""Makes a fault, undoes it, and tells when it was undone."""


class Counted(httpx.HTTPTransport):
    """The network, with its requests and the logins that succeed counted."""

    def __init__(self) -> None:
        super().__init__()
        self.logins = 0
        self.requests = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        self.requests += 1
        response = super().handle_request(request)
        self.logins += request.url.path.endswith("/login") and response.status_code == 200
        return response


class Reader:
    """Reads through the provider all the time, from many threads."""

    def __init__(self, provider: VaultProvider) -> None:
        self._provider = provider
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._read) for _ in range(THREADS)]
        self.successes: list[float] = []
        self.failures: list[float] = []

    def _read(self) -> None:
        while not self._is_over.wait(POLL_S):
            try:
                self._provider.read(NAME)
            except SecretError:
                self.failures.append(perf_counter())
            else:
                self.successes.append(perf_counter())

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def wait_success_after(self, moment: float) -> float:
        """Give how long after a moment the first success came."""
        deadline = perf_counter() + 30
        while perf_counter() < deadline:
            later = [at for at in tuple(self.successes) if at > moment]
            if later:
                return min(later) - moment
            time.sleep(0.005)
        return float("inf")


@contextlib.contextmanager
def provider_of(server: OpenBao, mount: str, **options: str) -> Iterator[tuple[Any, Any]]:
    """Give a provider with a role of its own, and what it sends through."""
    role_id, secret_id = server.new_role(policy_for(mount), **options)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "secret-id"
        path.touch(0o600)
        path.write_text(secret_id)
        sent = Counted()
        provider = VaultProvider(
            Target(server.url), AppRole(role_id, path), mount=mount, transport=sent
        )
        provider.read(NAME)
        yield provider, sent
        provider.close()


def main() -> None:
    if reason := openbao.why_not():
        print(f"skipped: {reason}")
        return
    logging.getLogger("resile.clients.vault").setLevel(logging.ERROR)  # The faults are ours.
    print("bar | target | measured")
    with openbao_server() as server:
        mount = server.new_mount()
        server.ask("POST", f"{mount}/data/{NAME}", {"data": {"value": "hunter2"}})
        for name, fault in FAULTS.items():
            print_fault(server, mount, name, fault)
        print_fault(server, mount, "killed, token expired meanwhile", killed_long, token_ttl="1s")
        print_expiry(server, mount)
        print_longest_life(server, mount)
        print_denials(server, mount)
        print_speed(server, mount)
        print_rotations(server, mount)


def print_fault(server: OpenBao, mount: str, name: str, fault: Fault, **options: str) -> None:
    backs, failed, logins = [], 0, 0
    with provider_of(server, mount, **options) as (provider, sent):
        for _ in range(ROUNDS):
            with Reader(provider) as reader:
                reader.wait_success_after(perf_counter())
                before = sent.logins
                back_at = fault(server, mount)
                backs.append(reader.wait_success_after(back_at))
                failed += len(reader.failures)
                logins = max(logins, sent.logins - before)
    print(f"{name}: back in, worst of {ROUNDS} | < {BACK_S_MAX:.0f} s | {max(backs) * 1e3:.0f} ms")
    print(f"{name}: logins; reads that failed meanwhile | <= 1 | {logins}; {failed}")


def killed(server: OpenBao, _: str) -> float:
    server.kill()
    time.sleep(1)
    server.start()
    return perf_counter()


def killed_long(server: OpenBao, _: str) -> float:
    """Keep it away until nobody's token lives, so that all who read try to log in all the time."""
    server.kill()
    time.sleep(3)
    server.start()
    return perf_counter()


def sealed(server: OpenBao, _: str) -> float:
    server.seal()
    time.sleep(1)
    server.unseal()
    return perf_counter()


def limited(server: OpenBao, mount: str) -> float:
    server.ask("POST", "sys/quotas/rate-limit/bench", {"path": f"{mount}/", "rate": 1})
    time.sleep(1)
    server.ask("DELETE", "sys/quotas/rate-limit/bench")
    return perf_counter()


def revoked(server: OpenBao, _: str) -> float:
    for accessor in server.ask("GET", "auth/token/accessors?list=true")["data"]["keys"]:
        with contextlib.suppress(openbao.Refused):
            about = server.ask("POST", "auth/token/lookup-accessor", {"accessor": accessor})
            if about["data"]["path"] == "auth/approle/login":
                server.ask("POST", "auth/token/revoke-accessor", {"accessor": accessor})
    return perf_counter()


FAULTS: dict[str, Fault] = {
    "killed and started": killed,
    "sealed and unsealed": sealed,
    "rate limited": limited,
    "token revoked": revoked,
}


def print_expiry(server: OpenBao, mount: str) -> None:
    """Let a token end while nobody reads, and then read from all threads at once."""
    worst, logins = 0.0, 0
    with provider_of(server, mount, token_ttl="1s") as (provider, sent):
        for _ in range(ROUNDS):
            time.sleep(2)
            before, began = sent.logins, perf_counter()
            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(lambda _: provider.read(NAME), range(THREADS)))
            worst = max(worst, perf_counter() - began)
            logins = max(logins, sent.logins - before)
    print(f"token expired, {THREADS} at once: all have read | < 2 s | {worst * 1e3:.0f} ms")
    print(f"token expired, {THREADS} at once: logins | <= 1 | {logins}")


def print_longest_life(server: OpenBao, mount: str) -> None:
    """Read without a pause over several longest lives of a token."""
    lives, life_s = 3, 4
    options = {"token_ttl": "2s", "token_max_ttl": f"{life_s}s"}
    with provider_of(server, mount, **options) as (provider, sent):
        before = sent.logins
        with Reader(provider) as reader:
            time.sleep(lives * life_s)
        logins, failed = sent.logins - before, len(reader.failures)
    print(f"longest life, {lives} in a row: reads that failed | 0 | {failed}")
    print(f"longest life, {lives} in a row: logins for each | ~ 1 | {logins / lives:.1f}")


def print_denials(server: OpenBao, mount: str) -> None:
    """Ask for what the policy denies; the token is well."""
    with provider_of(server, mount) as (provider, sent):
        before = sent.logins
        for _ in range(100):
            with contextlib.suppress(SecretError):
                provider.renew("sys/none/x", for_s=1)
        print(f"100 denials: logins | 0 | {sent.logins - before}")


def print_speed(server: OpenBao, mount: str) -> None:
    token = server.new_token(policy_for(mount))
    path, headers = f"/v1/{mount}/data/{NAME}", {"X-Vault-Token": token}
    with (
        provider_of(server, mount) as (provider, _),
        httpx.Client(base_url=server.url, headers=headers, trust_env=False) as bare,
    ):
        reads: dict[str, Callable[[], object]] = {
            "ours": lambda: provider.read(NAME),
            "bare httpx": lambda: bare.get(path),
        }
        if importlib.util.find_spec("hvac") is not None:
            hvac: Any = importlib.import_module("hvac")
            kv = hvac.Client(url=server.url, token=token).secrets.kv.v2
            reads["hvac"] = lambda: kv.read_secret_version(
                NAME, mount_point=mount, raise_on_deleted_version=True
            )
        best = fastest(reads)
    for name, rate in best.items():
        print(f"reads per second, one thread, {name} | | {rate:.0f}")
    print(f"ours / bare httpx | | {best['ours'] / best['bare httpx']:.2f}")
    theirs = f"{best['ours'] / best['hvac']:.2f}" if "hvac" in best else "not installed"
    print(f"ours / hvac | >= 1 | {theirs}")


def print_rotations(server: OpenBao, mount: str) -> None:
    """Rotate with OpenBao as the store; the target is in memory, so the figure is the store's and ours."""
    target, took = FakeTarget(), []
    with provider_of(server, mount) as (provider, sent), tempfile.TemporaryDirectory() as folder:
        provider.write("bench/rotated", target.first().encode(), token="first")
        book = Book(Path(folder) / "rotations.db", clock=SYSTEM_CLOCK)
        rotations = Rotations(
            provider,
            {"bench/rotated": FakeRotator(target)},
            book=book,
            consumers=None,
            tell=lambda _: None,
            clock=SYSTEM_CLOCK,
            random=random.Random(0),
        )
        before = sent.requests
        for _ in range(ROTATIONS):
            began = perf_counter()
            rotations.rotate("bench/rotated", reason=RotationReason.MANUAL, who="bench")
            took.append(perf_counter() - began)
        requests = (sent.requests - before) / ROTATIONS
        opens = target.opens(provider.read("bench/rotated"))
        rotations.close()
        book.close()
    figures = f"{median(took) * 1e3:.0f} ms; {max(took) * 1e3:.0f} ms"
    print(f"{ROTATIONS} rotations, median; longest | < 1 s; < 5 s | {figures}")
    print(f"rotations: requests for each; the last one opens | ; True | {requests:.0f}; {opens}")


def fastest(reads: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Give how often each can be done in a second, in the best of interleaved rounds."""
    best = dict.fromkeys(reads, 0.0)
    for _ in range(ROUNDS):
        for name, read in reads.items():
            began = perf_counter()
            for _ in range(READS // ROUNDS):
                read()
            best[name] = max(best[name], READS // ROUNDS / (perf_counter() - began))
    return best


if __name__ == "__main__":
    main()
