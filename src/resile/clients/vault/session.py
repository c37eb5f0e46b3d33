"""The life of a token: when to log in, when to renew, and what a refusal means. Without any waiting.

Vault answers an expired token exactly as it answers what a policy denies. So the token's end is known
here, by a clock that nobody sets, and a refusal is looked into once before it is believed.
"""

import copy
import logging
import random
import threading
from dataclasses import dataclass, field, replace
from typing import TypeVar

from resile.clients.vault import tokens
from resile.clients.vault.answers import taken
from resile.clients.vault.logins import Login
from resile.clients.vault.model import Auth, Call, Reply
from resile.clients.vault.steps import Flow, Join, Send
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.log_line import log_line
from resile.errors import ProviderDownError, ResileError, SecretError
from resile.policies.bound import CHANCE
from resile.policies.flights import Flight, Flights
from resile.policies.forks import renew_in_children

logger = logging.getLogger(__name__)

T = TypeVar("T")

DUE_AT = 2 / 3
"""The part of its life after which a token gets more, or is replaced; as Vault's own agent does."""
DUE_JITTER = 0.1
"""Up to so much of that earlier, so that those who started together do not renew together."""
FLIGHT_TIMEOUT_S = 30.0
"""A login is three requests at most."""
DOWN_PAUSE_S = (0.1, 1.0)
"""Between two logins while the server is away: the first pause, doubled up to the last one. It bounds
how long after its return the first one succeeds."""
DENIED_PAUSE_S = (1.0, 60.0)
"""Between two logins that are denied: some servers lock a role after a few of them."""
RENEW_PAUSE_S = (0.5, 60.0)
_LEADERS_MAX = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token that we hold. Times are of the clock's `monotonic`.

    Args:
        text: What is sent.
        number: 1 for the first one of the session.
        life_s: Of its first life; infinite if it does not end.
        ends_at_s: When it ends, counted from before the request that gave it.
        due_at_s: When it should get more time, or be replaced.
        can_renew: Asking for more time makes sense.
    """

    text: str = field(repr=False)
    number: int
    life_s: float
    ends_at_s: float
    due_at_s: float
    can_renew: bool


Outcome = Token | bool | ResileError


class Session:
    """One identity towards one server. Safe to share between threads, tasks and event loops.

    Args:
        login: How to get a token.
        clock: Measures lives and pauses.
        chance: Spreads the renewals.
    """

    def __init__(
        self, login: Login, *, clock: Clock = SYSTEM_CLOCK, chance: random.Random = CHANCE
    ) -> None:
        self._login = login
        self._clock = clock
        self._chance = chance
        self.renew()
        self._token: Token | None = None
        self._numbers = 0
        self._failures = 0
        self._pause_until_s = 0.0
        self._failure: SecretError | None = None
        self._renewals_failed = 0
        self._blind_until_s = 0.0
        renew_in_children(self)

    def renew(self) -> None:
        """Forget, in the child of a fork, who waits and who logs in; the token is of use there, too."""
        self._lock = threading.Lock()
        self._flights: Flights[Outcome] = Flights()
        self._is_prolonging = False

    @property
    def token(self) -> Token | None:
        """The token that is held now; None before the first login."""
        return self._token

    def run(self, call: Call[T]) -> Flow[T]:
        """Make a call with a token that lives.

        Raises:
            SecretError: What the server refuses, or why it cannot be asked.
        """
        if call.token is not None:
            return taken(call, (yield Send(call=call, token=call.token)))
        token = yield from self._usable()
        reply: Reply = yield Send(call=call, token=token.text)
        if reply.status == 403:
            other = yield from self._other_than(token)
            if other is not None:
                reply = yield Send(call=call, token=other.text)
                if reply.status == 403:
                    yield from self._doubt(other)
        return taken(call, reply)

    def log_out(self) -> Flow[None]:
        """End the token and what lives by it; the next call logs in. Nothing happens without one."""
        with self._lock:
            token, self._token = self._token, None
        if token is not None:
            call = tokens.revoke_self()
            reply: Reply = yield Send(call=call, token=token.text)
            if reply.status != 403:  # It has ended already.
                taken(call, reply)

    # A token that lives --------------------------------------------------------------------------

    def _usable(self) -> Flow[Token]:
        now = self._clock.monotonic()
        token = self._token
        if token is None or now >= token.ends_at_s:
            return (yield from self._newer_than(token))
        if now >= token.due_at_s:
            return (yield from self._prolonged(token))
        return token

    def _prolonged(self, token: Token) -> Flow[Token]:
        """Give a token more time, or get another one; whoever comes meanwhile uses it as it is."""
        with self._lock:
            if self._is_prolonging or self._token is not token:
                return self._held(token)
            self._is_prolonging = True
        try:
            if token.can_renew:
                yield from self._renew(token)
            else:
                yield from self._newer_than(token)
        except SecretError as exc:
            self._put_off(token, exc)
        finally:
            self._is_prolonging = False
        return self._held(token)

    def _held(self, token: Token) -> Token:
        return token if self._token is None else self._token

    def _renew(self, token: Token) -> Flow[None]:
        began_s = self._clock.monotonic()
        call = tokens.renew_self()
        try:
            auth = taken(call, (yield Send(call=call, token=token.text)))
        except ProviderDownError:
            raise
        except SecretError as exc:
            # Denied, or of a kind that cannot be renewed: asking again would change nothing.
            self._log("vault.token_not_renewed", reason=exc.message)
            rest_s = token.ends_at_s - began_s
            due_at_s = began_s + rest_s * self._due_part()
            self._put(replace(token, can_renew=False, due_at_s=due_at_s), instead_of=token)
            return
        self._renewals_failed = 0
        # One that grants less than the first life has run into the longest life that a token can have.
        is_whole = auth.life_s >= token.life_s
        self._put(
            replace(
                token,
                ends_at_s=began_s + auth.life_s,
                due_at_s=began_s + auth.life_s * self._due_part(),
                can_renew=auth.can_renew and is_whole,
            ),
            instead_of=token,
        )

    def _put_off(self, token: Token, error: SecretError) -> None:
        """Try again later, though before the token ends."""
        self._renewals_failed += 1
        now = self._clock.monotonic()
        pause_s = min(_doubled(RENEW_PAUSE_S, self._renewals_failed), (token.ends_at_s - now) / 2)
        self._put(replace(token, due_at_s=now + max(pause_s, 0.1)), instead_of=token)
        self._log("vault.token_not_prolonged", reason=error.message, again_in_s=round(pause_s, 1))

    def _put(self, token: Token, *, instead_of: Token) -> None:
        with self._lock:
            if self._token is instead_of:
                self._token = token

    # Logging in ----------------------------------------------------------------------------------

    def _newer_than(self, dead: Token | None) -> Flow[Token]:
        """Give a token that is newer than one of no use any more; one flow logs in for all."""
        number = dead.number if dead else 0
        for _ in range(_LEADERS_MAX):
            with self._lock:
                if self._token is not None and self._token.number > number:
                    return self._token
                self._check_pause()
                flight, leads = self._flights.join("login")
            if leads:
                return (yield from self._led(flight))
            yield from _landed(flight)
        raise ProviderDownError("nobody could log in to Vault", hint="try again")

    def _led(self, flight: Flight[Outcome]) -> Flow[Token]:
        outcome: Token | ResileError | None = None
        began_s = self._clock.monotonic()
        try:
            auth = yield from self._login.log_in()
            outcome = self._taken_on(auth, began_s)
        except ResileError as exc:
            outcome = exc
            self._failed(exc)
            raise
        finally:
            with self._lock:
                self._flights.end("login", flight)
            flight.land(outcome)
        return outcome

    def _taken_on(self, auth: Auth, began_s: float) -> Token:
        with self._lock:
            self._numbers += 1
            self._failures, self._failure, self._renewals_failed = 0, None, 0
            self._token = Token(
                text=auth.token,
                number=self._numbers,
                life_s=auth.life_s,
                ends_at_s=began_s + auth.life_s,
                due_at_s=began_s + auth.life_s * self._due_part(),
                can_renew=auth.can_renew,
            )
            token = self._token
        fields: dict[str, object] = {"way": self._login.way, "number": token.number}
        logger.info("vault.logged_in", extra={**fields, "life_s": token.life_s})
        return token

    def _failed(self, error: ResileError) -> None:
        """Let nobody log in for a while. Logged at the 1st, 2nd, 4th, 8th... failure in a row."""
        is_down = isinstance(error, ProviderDownError)
        with self._lock:
            self._failures += 1
            failures = self._failures
            pause_s = _doubled(DOWN_PAUSE_S if is_down else DENIED_PAUSE_S, failures)
            asked_s = error.retry_after_s if isinstance(error, ProviderDownError) else 0.0
            pause_s = max(pause_s * self._chance.uniform(0.5, 1.0), asked_s)
            self._pause_until_s = self._clock.monotonic() + pause_s
            self._failure = error if isinstance(error, SecretError) else None
        if failures & (failures - 1) == 0:
            self._log("vault.login_failed", reason=error.message, failures=failures)

    def _check_pause(self) -> None:
        left_s = self._pause_until_s - self._clock.monotonic()
        if self._failure is None or left_s <= 0:
            return
        error = copy.copy(self._failure)
        if isinstance(error, ProviderDownError):
            error.retry_after_s = left_s
        raise error

    # What a refusal means ------------------------------------------------------------------------

    def _other_than(self, refused: Token) -> Flow[Token | None]:
        """Give another token than one that was refused; None if that one lives, so that it is a denial."""
        current = self._token
        if current is not None and current.number > refused.number:
            return current
        if self._clock.monotonic() < self._blind_until_s:
            return None
        is_alive = yield from self._is_alive(refused)
        return None if is_alive else (yield from self._newer_than(refused))

    def _is_alive(self, token: Token) -> Flow[bool]:
        """Ask whether a token is known; one flow asks for all."""
        for _ in range(_LEADERS_MAX):
            with self._lock:
                flight, leads = self._flights.join(("look", token.number))
            if leads:
                return (yield from self._looked(token, flight))
            outcome = yield from _landed(flight)
            if isinstance(outcome, bool):
                return outcome
        raise ProviderDownError("nobody could ask Vault for the token", hint="try again")

    def _looked(self, token: Token, flight: Flight[Outcome]) -> Flow[bool]:
        outcome: bool | ResileError | None = None
        call = tokens.look_up_self()
        try:
            reply: Reply = yield Send(call=call, token=token.text)
            if reply.status != 403:
                taken(call, reply)
            outcome = reply.status != 403
        except ResileError as exc:
            outcome = exc
            raise
        finally:
            with self._lock:
                self._flights.end(("look", token.number), flight)
            flight.land(outcome)
        return outcome

    def _doubt(self, fresh: Token) -> Flow[None]:
        """See whether looking tells anything at all: a policy may deny even that.

        If so, a refusal says nothing of the token, and no login follows on one for a while.
        """
        if not (yield from self._is_alive(fresh)):
            self._blind_until_s = self._clock.monotonic() + DENIED_PAUSE_S[1]
            self._log("vault.look_up_denied", reason="a policy must allow auth/token/lookup-self")

    def _due_part(self) -> float:
        return DUE_AT * self._chance.uniform(1 - DUE_JITTER, 1)

    def _log(self, event: str, **fields: object) -> None:
        logger.warning(log_line(event, fields), extra=fields)


def _landed(flight: Flight[Outcome]) -> Flow[Outcome | None]:
    """Wait for what comes of another one's flight, its error included; None if that one gave up."""
    if not (yield Join(flight=flight, timeout_s=FLIGHT_TIMEOUT_S)):
        raise ProviderDownError("Vault takes too long to answer another call", hint="try again")
    if isinstance(flight.outcome, ResileError):
        # A copy: one error that is raised in many threads mixes their tracebacks.
        raise copy.copy(flight.outcome)
    return flight.outcome


def _doubled(bounds_s: tuple[float, float], failures: int) -> float:
    """Give the pause after some failures in a row, 1 or more."""
    first_s, last_s = bounds_s
    return min(first_s * 2.0 ** min(failures - 1, 30), last_s)
