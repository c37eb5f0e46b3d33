"""Vault from tasks: the loop that drives a flow, and nothing else."""

from types import TracebackType
from typing import Any, Self, TypeVar

from resile.clients.vault.http import (
    ANSWER_BYTES_MAX,
    ANSWER_TIMEOUT_S,
    TRIES_OF_A_READ,
    Target,
    reply_from,
)
from resile.clients.vault.model import Call, Reply
from resile.clients.vault.session import Session
from resile.clients.vault.steps import Flow, Join, Run, Send, Step
from resile.core.clock import SYSTEM_CLOCK, Clock

T = TypeVar("T")


class AsyncVaultClient:
    """Makes calls of Vault's API: `await client.do(kv.read("db/password", mount="secret"))`.

    For the tasks of one event loop. Each call takes some ten seconds at most, with a login in it
    thirty more.

    Args:
        target: The server.
        session: Who we are there; may be shared with other clients.
        clock: Measures deadlines.
        transport: In place of the network, for tests.
    """

    def __init__(
        self,
        target: Target,
        session: Session,
        *,
        clock: Clock = SYSTEM_CLOCK,
        transport: Any = None,
    ) -> None:
        self._target = target
        self._session = session
        self._clock = clock
        self._http = target.httpx.AsyncClient(transport=transport, **target.options())

    def __repr__(self) -> str:
        return f"<AsyncVaultClient {self._target.name}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def do(self, call: Call[T]) -> T:
        """Make a call.

        Raises:
            SecretError: What the server refuses, or ProviderDownError if it cannot be asked.
        """
        return await self._drive(self._session.run(call))

    async def log_out(self) -> None:
        """End our token, and every credential that lives by it."""
        await self._drive(self._session.log_out())

    async def close(self) -> None:
        """Let go of the connections; the token lives on, with what depends on it. Idempotent."""
        await self._http.aclose()

    async def _drive(self, flow: Flow[T]) -> T:
        try:
            step = next(flow)
            while True:
                try:
                    result = await self._perform(step)
                except BaseException as exc:  # noqa: BLE001 - the flow raises it, or one for it
                    step = flow.throw(exc)
                else:
                    step = flow.send(result)
        except StopIteration as end:
            value: T = end.value
            return value

    async def _perform(self, step: Step) -> Any:
        match step:
            case Send():
                return await self._send(step)
            case Join():
                return await step.flight.await_landing(self._clock, step.timeout_s)
            case Run():
                import asyncio

                return await asyncio.to_thread(step.function)

    async def _send(self, step: Send) -> Reply:
        import asyncio

        for tries_left in reversed(range(TRIES_OF_A_READ)):
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    return await self._exchange(step)
            except (self._target.httpx.HTTPError, TimeoutError) as exc:
                if not (tries_left and self._target.may_repeat(step, exc)):
                    error = self._target.broken(exc)
                    break
        # Raised out here, so that httpx's error, which holds the request, is no context of it.
        raise error

    async def _exchange(self, step: Send) -> Reply:
        body = bytearray()
        async with self._http.stream(**self._target.request(step)) as response:
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > ANSWER_BYTES_MAX:
                    raise self._target.too_large()
        return reply_from(response.status_code, response.headers.get, bytes(body))
