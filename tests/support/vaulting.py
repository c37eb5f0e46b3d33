"""A Vault of a few lines, without a network: what it counts and refuses is for a test to say."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx

from resile.clients.vault import AppRole, AsyncVaultClient, Call, Session, Target, VaultClient
from resile.testing import FakeClock

T = TypeVar("T")

Answer = tuple[int, Any]
ROLE_ID, SECRET_ID = "role-one", "secret-id-one"
ADDRESS = "http://127.0.0.1:8200"
"""Nothing is sent there. For one with https every target would load the authorities of the system."""


class FakeVault:
    """Issues tokens that end by a fake clock, and answers what it was told to.

    Args:
        clock: Of the tokens.
        life_s: Of a token, from its making and from each renewal.
        life_s_max: However often it is renewed.
    """

    def __init__(self, clock: FakeClock, *, life_s: float = 60.0, life_s_max: float = 1e9) -> None:
        self.clock = clock
        self.life_s = life_s
        self.life_s_max = life_s_max
        self.answers: dict[str, Answer | Exception | Callable[[httpx.Request], Answer]] = {}
        self.counts: Counter[str] = Counter()
        self.requests: list[httpx.Request] = []
        self.tokens: dict[str, tuple[float, float]] = {}
        self.trouble: Exception | None = None
        self._lock = threading.Lock()

    def handle(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/v1/")
        with self._lock:
            self.requests.append(request)
            self.counts[path] += 1
            if self.trouble is not None:
                raise self.trouble
            answer = self.answers.get(path, None)
            if isinstance(answer, Exception):
                raise answer
            if callable(answer):
                answer = answer(request)
            status, content = answer or self._own(path, request)
        if isinstance(content, bytes):
            return httpx.Response(status, stream=httpx.ByteStream(content))
        return httpx.Response(status, stream=httpx.ByteStream(json.dumps(content).encode()))

    def end_tokens(self) -> None:
        """Revoke all tokens, which their holders do not know."""
        self.tokens.clear()

    @property
    def logins(self) -> int:
        return self.counts["auth/approle/login"]

    @property
    def lookups(self) -> int:
        return self.counts["auth/token/lookup-self"]

    @property
    def renewals(self) -> int:
        return self.counts["auth/token/renew-self"]

    def _own(self, path: str, request: httpx.Request) -> Answer:
        if path == "auth/approle/login":
            if json.loads(request.content) != {"role_id": ROLE_ID, "secret_id": SECRET_ID}:
                return 400, {"errors": ["invalid role or secret ID"]}
            token = f"s.token-{self.counts[path]}"
            self.tokens[token] = self._ends(began_s=self.clock.monotonic())
            return 200, self._auth(token)
        token = request.headers.get("X-Vault-Token", "")
        now = self.clock.monotonic()
        if token not in self.tokens or self.tokens[token][1] <= now:
            return 403, {"errors": ["permission denied"]}
        if path == "auth/token/lookup-self":
            return 200, {
                "data": {"id": token, "ttl": int(self.tokens[token][1] - now), "expire_time": "x"}
            }
        if path == "auth/token/renew-self":
            self.tokens[token] = self._ends(began_s=self.tokens[token][0])
            return 200, self._auth(token)
        if path == "auth/token/revoke-self":
            del self.tokens[token]
            return 204, b""
        return 404, {"errors": []}

    def _ends(self, *, began_s: float) -> tuple[float, float]:
        return began_s, min(self.clock.monotonic() + self.life_s, began_s + self.life_s_max)

    def _auth(self, token: str) -> dict[str, Any]:
        left_s = self.tokens[token][1] - self.clock.monotonic()
        auth = {"client_token": token, "lease_duration": int(left_s), "renewable": True}
        return {"auth": auth}


class InThreads:
    """A client for threads."""

    def __init__(self, target: Target, session: Session, transport: httpx.MockTransport) -> None:
        self.client = VaultClient(target, session, transport=transport)

    def do(self, call: Call[T]) -> T:
        return self.client.do(call)

    def do_together(self, calls: list[Call[T]]) -> list[T | BaseException]:
        results: list[T | BaseException] = [AssertionError("not done")] * len(calls)
        barrier = threading.Barrier(len(calls))

        def one(index: int) -> None:
            barrier.wait(10)
            try:
                results[index] = self.client.do(calls[index])
            except Exception as exc:  # noqa: BLE001 - the test looks at it
                results[index] = exc

        threads = [threading.Thread(target=one, args=(index,)) for index in range(len(calls))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        return results

    def log_out(self) -> None:
        self.client.log_out()


class InTasks:
    """A client for tasks, behind the same methods."""

    def __init__(self, target: Target, session: Session, transport: httpx.MockTransport) -> None:
        self._made = lambda: AsyncVaultClient(target, session, transport=transport)

    def do(self, call: Call[T]) -> T:
        return self._run(lambda client: client.do(call))

    def do_together(self, calls: list[Call[T]]) -> list[T | BaseException]:
        async def all_of(client: AsyncVaultClient) -> list[T | BaseException]:
            return await asyncio.gather(*map(client.do, calls), return_exceptions=True)

        return self._run(all_of)

    def log_out(self) -> None:
        self._run(lambda client: client.log_out())

    def _run(self, work: Callable[[AsyncVaultClient], Awaitable[T]]) -> T:
        async def run() -> T:
            async with self._made() as client:
                return await work(client)

        return asyncio.run(run())


Either = InThreads | InTasks
KINDS = (InThreads, InTasks)


def secret_id_file(folder: Path, text: str = SECRET_ID) -> Path:
    path = folder / "secret-id"
    path.write_text(text)
    path.chmod(0o600)
    return path


def session_of(vault: FakeVault, folder: Path) -> Session:
    """Give a session that logs in by AppRole and reads the fake clock."""
    return Session(AppRole(ROLE_ID, secret_id_file(folder)), clock=vault.clock)


def client_of(kind: type[Either], vault: FakeVault, session: Session, **options: Any) -> Either:
    """Give a client that speaks with the fake."""
    return kind(Target(ADDRESS, **options), session, httpx.MockTransport(vault.handle))
