"""The degradation manager: services, how they serve the program, and what answers in their place."""

import random
from collections.abc import Awaitable, Callable, Iterable
from functools import partial, wraps
from pathlib import Path
from types import CoroutineType
from typing import Any, Final, ParamSpec, Self, TypeVar, cast
from weakref import WeakSet

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.events import DegradationAnswered
from resile.core.vocabulary import NoticeChoice, ServiceState
from resile.degradation.book import Book, Change, Entry, by_name
from resile.degradation.calls import acall, call
from resile.degradation.effects import Effects, Listener, Notify
from resile.degradation.keeping import JournalLike, Keeper
from resile.degradation.model import Answer, Notice, Service, Status
from resile.degradation.notices import CHOICES_SHOWN, Notices
from resile.degradation.probing import Prober
from resile.degradation.registering import checked, entry_of, listed
from resile.errors import ConfigError
from resile.policies import Signal, listen
from resile.policies.bound import CHANCE
from resile.policies.colours import check_called
from resile.policies.forks import renew_in_children
from resile.policies.forms import Form, check_callable, form_of

P = ParamSpec("P")
T = TypeVar("T")
Function = TypeVar("Function", bound=Callable[..., object])

CLOSE_S: Final = 5.0
"""How long `close` waits for what is being written and told."""


class Degradation:
    """Keeps a program at work while what it depends on is not. Safe to share between threads.

    Calls go to a service while it is HEALTHY or DEGRADED, and to its fallbacks when it raises; while
    it is FAILED or CRITICAL they go to the fallbacks at once. Whether it works again is found out by
    its probe, or by a call now and then. After that it is DEGRADED for some answers, then HEALTHY.

    Args:
        services: To begin with; more by `register`.
        program: Whose services they are, in the journal: another name for each program that shares
            one. Default "main".
        journal: A folder in which states survive a restart, or a journal that is open already.
            None: they end with the process. A change counts once it is written there; a journal
            that is away, full or slow is not waited for, and `journal_trouble` says so.
        notify: Functions that are given each `Notice`, such as `resile.Terminal()`, in a thread of
            their own.
        is_background: True probes, writes and tells in threads, which live while there is something
            to do. False does what follows from a call within it, and probes when `step` is called,
            as tests want it.
        clock: For all that is measured.
        chance: Spreads probes.

    Raises:
        ConfigError: If a service's dependencies or guard do not exist, dependencies go round in a
            circle, or a name comes twice; all of it is told at once. If `notify` is no list of
            functions.
    """

    def __init__(
        self,
        *services: Service,
        program: str = "main",
        journal: Path | str | JournalLike | None = None,
        notify: Iterable[Notify] = (),
        is_background: bool = True,
        clock: Clock = SYSTEM_CLOCK,
        chance: random.Random = CHANCE,
    ) -> None:
        self._program = program
        self._clock = clock
        journal = Path(journal) if isinstance(journal, str) else journal
        self._keeper = None if journal is None else Keeper(journal, program=program, clock=clock)
        self._notices = Notices(clock)
        self._effects = Effects(
            keeper=self._keeper,
            notices=self._notices,
            notify=listed(notify),
            is_background=is_background,
        )
        self._book = Book(clock=clock, chance=chance, save=self._save, tell=self._tell)
        self._prober = Prober(
            self._book,
            clock=clock,
            chores=lambda: self._effects.save_what_is_missing(self._book, clock),
            is_background=is_background,
        )
        self._is_new_here = False
        self.register(*services)
        _MANAGERS.add(self)
        renew_in_children(self)

    def renew(self) -> None:
        """Begin anew in the child of a fork: the threads are the parent's."""
        for part in (self._book, self._notices, self._effects, self._prober):
            part.renew()
        self._is_new_here = True

    def register(self, *services: Service) -> None:
        """Add services; those that depend on each other in any order, but in one call.

        What the journal has of them counts from now on, and is looked into soon.

        Raises:
            ConfigError: As the constructor; then none is added.
        """
        known = {name: entry.service for name, entry in self._book.entries.items()}
        order, breakers = checked(known, services)
        entries = [
            entry_of(service, breakers.get(service.name), self._keeper, self._clock)
            for service in services
        ]
        if self._keeper is not None:
            self._keeper.close()
        if breakers:
            _follow_breakers()
        self._book.add(entries, order)
        for entry in entries:
            if entry.breaker is not None and entry.breaker.gate:
                self._book.follow(entry)
        self._prober.wake()

    # Calls --------------------------------------------------------------------------------------

    def call(
        self, service: str, primary: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call `primary`, which asks a service; or let its fallbacks answer.

        Raises:
            ServiceDownError: If the service was not asked, and nothing else answers.
            Exception: What the service raised, if nothing else answers.
            ConfigError: If there is no such service.
        """
        entry = self._book.entries.get(service) or self._book.of(service)
        if entry.is_plain:
            try:
                value = primary(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - raised again where it is counted
                return cast("T", self._failed(entry, error, args, kwargs))
            if type(value) is CoroutineType:
                check_called(value, primary, instead="`await services.acall(...)`")
            return value
        return call(self._looked_after(), entry, primary, args, kwargs)[0]

    async def acall(
        self, service: str, primary: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do the same with a coroutine function; fallbacks may be coroutine functions."""
        entry = self._book.of(service)
        if entry.is_plain:
            try:
                return await primary(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - raised again where it is counted
                return cast("T", await self._afailed(entry, error, args, kwargs))
        return (await acall(self._looked_after(), entry, primary, args, kwargs))[0]

    def answer(
        self, service: str, primary: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Answer[T]:
        """Do as `call` does, and tell who answered."""
        entry = self._book.of(service)
        value, is_fallback = call(self._looked_after(), entry, primary, args, kwargs)
        return self._answer(entry, value, is_fallback=is_fallback)

    async def aanswer(
        self, service: str, primary: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Answer[T]:
        """Do as `acall` does, and tell who answered."""
        entry = self._book.of(service)
        value, is_fallback = await acall(self._looked_after(), entry, primary, args, kwargs)
        return self._answer(entry, value, is_fallback=is_fallback)

    def guard(self, service: str) -> Callable[[Function], Function]:
        """Decorate a function, or a coroutine function, that asks a service.

        Raises:
            ConfigError: If there is no such service, or the function is of another kind.
        """
        entry = self._book.of(service)

        def decorate(function: Function) -> Function:
            check_callable(function)
            make = {Form.PLAIN: self._wrapper, Form.COROUTINE: self._awrapper}.get(
                form_of(function)
            )
            if make is None:
                raise ConfigError(
                    f"{function!r:.80} gives its items one by one, and a fallback cannot take over",
                    hint="guard what it calls for each item",
                )
            return cast("Function", wraps(function)(make(entry, function)))

        return decorate

    # States -------------------------------------------------------------------------------------

    def set_state(self, service: str, state: ServiceState | str, reason: str = "") -> None:
        """Say how a service serves the program; it counts when this returns.

        It holds until it is set again, or calls make it worse; and if it is down, until its probe
        finds it well. Waits for the journal, for a second at most.

        Args:
            service: Its name.
            state: HEALTHY, DEGRADED, FAILED or CRITICAL.
            reason: For people, up to 200 characters.

        Raises:
            ConfigError: If there is no such service or state.
        """
        entry = self._book.of(service)
        if state not in set(ServiceState):
            raise ConfigError(
                f"{state!r} is none of {', '.join(ServiceState)}",
                hint='such as services.set_state("database", "FAILED", "connection lost")',
            )
        self._book.report(entry, ServiceState(state), reason)
        self._book.wait_until_counted(entry)

    async def aset_state(self, service: str, state: ServiceState | str, reason: str = "") -> None:
        """Do the same without holding an event loop up."""
        from asyncio import to_thread

        await to_thread(self.set_state, service, state, reason)

    def status(self, service: str) -> Status:
        """Tell how a service serves the program.

        Raises:
            ConfigError: If there is no such service; the nearest name is shown.
        """
        return self._looked_after().status(self._book.of(service))

    def state(self, service: str) -> ServiceState:
        """Tell a service's state: as it counts for calls, dependencies included."""
        return self.status(service).state

    def statuses(self) -> tuple[Status, ...]:
        """Tell how each service serves the program, by name."""
        book = self._looked_after()
        return tuple(book.status(entry) for entry in by_name(book.entries))

    def system_state(self) -> ServiceState:
        """Tell the state of all together: the worst, each as far as its criticality goes."""
        return self._looked_after().system_state()

    def degraded(self) -> tuple[str, ...]:
        """Name the services that are not HEALTHY."""
        return tuple(s.name for s in self.statuses() if s.state is not ServiceState.HEALTHY)

    def should_use_fallback(self, service: str) -> bool:
        """Tell whether calls to a service go to its fallbacks at once."""
        return self.status(service).is_fallback

    def fallback_reason(self, service: str) -> str | None:
        """Tell why calls to a service go to its fallbacks; None if they do not."""
        status = self.status(service)
        return status.reason if status.is_fallback else None

    @property
    def journal_trouble(self) -> str:
        """Why the journal lacks something of this manager; empty if it does not."""
        return "" if self._keeper is None else self._keeper.trouble

    # People -------------------------------------------------------------------------------------

    def notices(self) -> tuple[Notice, ...]:
        """Give the notices that wait for an answer, the oldest first."""
        return self._notices.open()

    def choose(self, notice_id: str, choice: NoticeChoice | str, *, who: str = "") -> None:
        """Do what a person answers to a notice; it is journalled before.

        RETRY tries the service now, or with the next call if it has no probe; a breaker that is open
        is reset. CONTINUE closes the notice: only something worse is told again.

        Raises:
            ConfigError: If the notice is not open, or there is no such choice.
        """
        notice = self._notices.get(notice_id)
        if choice not in set(NoticeChoice):
            raise ConfigError(f"{choice!r} is none of {CHOICES_SHOWN}")
        self._effects.answer(
            DegradationAnswered(
                program=self._program,
                service=notice.service,
                notice_id=notice.id,
                choice=NoticeChoice(choice),
                who=who[:100],
            )
        )
        if choice == NoticeChoice.RETRY:
            self.retry(notice.service)
        else:
            self._notices.silence(notice)

    def retry(self, service: str) -> None:
        """Try a service now, and whatever it waits for, not when it would be due.

        Raises:
            ConfigError: If there is no such service.
        """
        entry = self._book.of(service)
        for one in (entry, *(self._book.of(name) for name in entry.standing.blocked_by)):
            if one.breaker is not None and one.breaker.gate and not one.breaker.reason:
                one.breaker.reset(why="somebody chose to retry")
                self._book.follow(one)
            self._book.hasten(one)
        self._prober.wake()

    def on_change(self, listener: Listener) -> Callable[[], None]:
        """Have the new `Status` of a service given to a listener, in a thread of its own.

        Returns:
            What ends it.
        """
        return self._effects.listen(listener)

    def story(self) -> dict[str, Any]:
        """Tell all as JSON data, for a page: the system, its services, and what waits for an answer.

        `since_s` is in seconds since 1970 (UTC).
        """
        return {
            "system": self.system_state().value,
            "services": [
                {
                    "name": status.name,
                    "state": status.state.value,
                    "reason": status.reason,
                    "since_s": status.since.timestamp(),
                    "fallback": status.is_fallback,
                }
                for status in self.statuses()
            ],
            "notices": [
                {
                    "id": notice.id,
                    "service": notice.service,
                    "text": notice.text,
                    "choices": [choice.value for choice in notice.choices],
                }
                for notice in self.notices()
            ],
        }

    # Recovery -----------------------------------------------------------------------------------

    def step(self) -> None:
        """Do what is due now in this thread: probe what is down, write what the journal lacks."""
        self._prober.step()

    async def watch(self) -> None:
        """Probe on this event loop until cancelled, and in no thread meanwhile."""
        await self._prober.watch()

    def flush(self, timeout_s: float = CLOSE_S) -> bool:
        """Wait until all that has happened is written and told; False if that took longer."""
        return self._effects.flush(timeout_s)

    def close(self) -> None:
        """Stop probing, and wait for what is being written and told, for 5 s at most."""
        _MANAGERS.discard(self)
        self._prober.close()
        self.flush()
        if self._keeper is not None:
            self._keeper.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def hear(self, signal: Signal) -> None:
        """Follow a breaker that a signal is about."""
        for entry in list(self._book.entries.values()):
            if entry.service.guard == signal.guard:
                self._book.follow(entry)

    # Inside -------------------------------------------------------------------------------------

    def _wrapper(self, entry: Entry, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if entry.is_plain:
                try:
                    return function(*args, **kwargs)
                except Exception as error:  # noqa: BLE001 - raised again where it is counted
                    return self._failed(entry, error, args, kwargs)
            return call(self._looked_after(), entry, function, args, kwargs)[0]

        return wrapper

    def _awrapper(self, entry: Entry, function: Callable[..., Any]) -> Callable[..., Any]:
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            if entry.is_plain:
                try:
                    return await function(*args, **kwargs)
                except Exception as error:  # noqa: BLE001 - raised again where it is counted
                    return await self._afailed(entry, error, args, kwargs)
            return (await acall(self._looked_after(), entry, function, args, kwargs))[0]

        return wrapper

    def _failed(self, entry: Entry, error: Exception, args: Any, kwargs: Any) -> Any:
        """Go on after a call that was made without a look, and failed."""
        again: Callable[..., Any] = partial(_again, error)
        return call(self._book, entry, again, args, kwargs)[0]

    async def _afailed(self, entry: Entry, error: Exception, args: Any, kwargs: Any) -> Any:
        again: Callable[..., Any] = partial(_aagain, error)
        return (await acall(self._book, entry, again, args, kwargs))[0]

    def _save(self, entry: Entry) -> None:
        self._effects.save(self._book, entry)
        self._prober.wake()

    def _tell(self, changes: list[Change]) -> None:
        self._effects.tell(self._book, changes)
        self._prober.wake()

    def _looked_after(self) -> Book:
        """Give the book, with what came due meanwhile."""
        if self._is_new_here:
            self._is_new_here = False
            self._prober.wake()
        self._book.hurry()
        return self._book

    def _answer(self, entry: Entry, value: T, *, is_fallback: bool) -> Answer[T]:
        status = self._book.status(entry)
        reason = status.reason or "it failed just now" if is_fallback else ""
        return Answer(value=value, is_fallback=is_fallback, state=status.state, reason=reason)


_MANAGERS: WeakSet[Degradation] = WeakSet()
_STATE_KINDS: Final = ("opened", "half_open", "closed", "mode")
_FOLLOWING: list[Callable[[], None]] = []
"""What ends our listening to signals; there is one listener for all managers."""


def managers() -> tuple[Degradation, ...]:
    """Give all managers of this process that are not closed."""
    return tuple(_MANAGERS)


def _follow_breakers() -> None:
    """Begin to listen to the guards of this process, once."""
    if not _FOLLOWING:
        _FOLLOWING.append(listen(_hear))


def _hear(signal: Signal) -> None:
    if signal.kind in _STATE_KINDS:
        for manager in managers():
            manager.hear(signal)


def _again(error: Exception, /, *_: object, **__: object) -> Any:
    """Fail as a call did that was made already."""
    raise error


async def _aagain(error: Exception, /, *_: object, **__: object) -> Any:
    raise error
