"""Vault from threads: the loop that drives a flow, and nothing else."""

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
from resile.policies.forks import renew_in_children

T = TypeVar("T")


class VaultClient:
    """Makes calls of Vault's API, such as `client.do(kv.read("db/password", mount="secret"))`.

    Safe to share between threads. Each call blocks for some ten seconds at most, with a login in it
    for thirty more.

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
        self._transport = transport
        self.renew()
        renew_in_children(self)

    def __repr__(self) -> str:
        return f"<VaultClient {self._target.name}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def renew(self) -> None:
        """Speak over connections of its own in the child of a fork."""
        options = self._target.options()
        self._http = self._target.httpx.Client(transport=self._transport, **options)

    def do(self, call: Call[T]) -> T:
        """Make a call.

        Raises:
            SecretError: What the server refuses, or ProviderDownError if it cannot be asked.
        """
        return self._drive(self._session.run(call))

    def log_out(self) -> None:
        """End our token, and every credential that lives by it."""
        self._drive(self._session.log_out())

    def close(self) -> None:
        """Let go of the connections; the token lives on, with what depends on it. Idempotent."""
        self._http.close()

    def _drive(self, flow: Flow[T]) -> T:
        try:
            step = next(flow)
            while True:
                try:
                    result = self._perform(step)
                except BaseException as exc:  # noqa: BLE001 - the flow raises it, or one for it
                    step = flow.throw(exc)
                else:
                    step = flow.send(result)
        except StopIteration as end:
            value: T = end.value
            return value

    def _perform(self, step: Step) -> Any:
        match step:
            case Send():
                return self._send(step)
            case Join():
                return step.flight.wait(self._clock, step.timeout_s)
            case Run():
                return step.function()

    def _send(self, step: Send) -> Reply:
        for tries_left in reversed(range(TRIES_OF_A_READ)):
            try:
                return self._exchange(step)
            except (self._target.httpx.HTTPError, TimeoutError) as exc:
                if not (tries_left and self._target.may_repeat(step, exc)):
                    error = self._target.broken(exc)
                    break
        # Raised out here, so that httpx's error, which holds the request, is no context of it.
        raise error

    def _exchange(self, step: Send) -> Reply:
        deadline_s = self._clock.monotonic() + ANSWER_TIMEOUT_S
        body = bytearray()
        with self._http.stream(**self._target.request(step)) as response:
            for piece in response.iter_raw():
                body += piece
                if len(body) > ANSWER_BYTES_MAX:
                    raise self._target.too_large()
                if self._clock.monotonic() > deadline_s:
                    raise TimeoutError
        return reply_from(response.status_code, response.headers.get, bytes(body))
