"""Many at once: threads, tasks and forks over one manager."""

import asyncio
import os
import threading
from collections.abc import Callable

import pytest

from resile.errors import ProviderDownError, UnknownSecretError
from resile.secrets import Secret, SecretManager
from resile.secrets.cache import asking
from resile.testing.secrets import FakeProvider

NAME = "db/password"
WAIT_S = 20.0
"""Generous: a slow machine may not turn a test red."""


class Gated(FakeProvider):
    """One whose readings wait at a gate."""

    def __init__(self) -> None:
        super().__init__({NAME: "first"})
        self.gate = threading.Event()
        self.began = threading.Event()
        self.stopped: type[BaseException] | None = None

    def read(self, name: str, *, version: str = "current") -> Secret:
        self.began.set()
        assert self.gate.wait(WAIT_S)
        if self.stopped is not None:
            stopped, self.stopped = self.stopped, None
            raise stopped
        return super().read(name, version=version)

    @property
    def reads(self) -> int:
        return sum(1 for what, _ in self.calls if what == "read")


@pytest.fixture
def provider() -> Gated:
    return Gated()


@pytest.fixture
def manager(provider: Gated) -> SecretManager:
    return SecretManager(provider)


def in_threads(count: int, work: Callable[[], object]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def join(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive()


def waiting(manager: SecretManager) -> int:
    flights = manager._memory._flights._by_key.values()
    return sum(flight.waiting for flight in flights)


def wait_until(fact: Callable[[], bool]) -> None:
    done = threading.Event()
    for _ in range(2000):
        if fact():
            return
        done.wait(0.01)
    raise AssertionError("in vain")


async def until(fact: Callable[[], bool]) -> None:
    for _ in range(2000):
        if fact():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("in vain")


def test_a_thousand_threads_and_tasks_are_one_question(
    manager: SecretManager, provider: Gated
) -> None:
    values: list[str] = []
    threads = in_threads(50, lambda: values.append(manager.secret(NAME).reveal()))

    async def ask() -> None:
        values.append((await manager.asecret(NAME)).reveal())

    async def run() -> None:
        tasks = [asyncio.create_task(ask()) for _ in range(950)]
        await until(lambda: waiting(manager) == 999)
        provider.gate.set()
        await asyncio.gather(*tasks)

    asyncio.run(asyncio.wait_for(run(), WAIT_S))
    join(threads)

    assert provider.reads == 1
    assert values == ["first"] * 1000


def test_failure_of_the_one_who_asks_is_everybody_s(
    manager: SecretManager, provider: Gated
) -> None:
    provider.is_away = True
    errors: list[Exception] = []

    def ask() -> None:
        try:
            manager.secret(NAME)
        except ProviderDownError as exc:
            errors.append(exc)

    threads = in_threads(20, ask)
    wait_until(lambda: waiting(manager) == 19)
    provider.gate.set()
    join(threads)

    assert provider.reads == 1
    assert len({id(error) for error in errors}) == 20


def test_when_the_one_who_asks_is_stopped_another_asks(
    manager: SecretManager, provider: Gated
) -> None:
    provider.stopped = SystemExit
    values: list[str] = []

    def ask() -> None:
        try:
            values.append(manager.secret(NAME).reveal())
        except SystemExit:
            values.append("stopped")

    threads = in_threads(10, ask)
    wait_until(lambda: waiting(manager) == 9)
    provider.gate.set()
    join(threads)

    assert sorted(values) == ["first"] * 9 + ["stopped"]
    assert provider.reads == 1


def test_cancelled_task_leaves_the_others_their_answer(
    manager: SecretManager, provider: Gated
) -> None:
    async def run() -> str:
        leader = asyncio.create_task(manager.asecret(NAME))
        other = asyncio.create_task(manager.asecret(NAME))
        await until(lambda: waiting(manager) == 2)
        leader.cancel()
        await asyncio.gather(leader, return_exceptions=True)
        provider.gate.set()
        return (await other).reveal()

    assert asyncio.run(asyncio.wait_for(run(), WAIT_S)) == "first"
    assert provider.reads == 1


def test_loop_goes_on_while_a_task_waits_for_a_secret(
    manager: SecretManager, provider: Gated
) -> None:
    async def run() -> str:
        asked = asyncio.create_task(manager.asecret(NAME))
        await until(provider.began.is_set)
        provider.gate.set()
        return (await asked).reveal()

    assert asyncio.run(asyncio.wait_for(run(), WAIT_S)) == "first"


def test_refusal_to_many_at_once_is_few_questions(manager: SecretManager, provider: Gated) -> None:
    provider.gate.set()
    version = manager.secret(NAME).version
    provider.write(NAME, b"second", token="w")
    provider.gate.clear()
    provider.calls.clear()
    values: list[str] = []

    threads = in_threads(
        50, lambda: values.append(manager.refresh(NAME, instead_of=version).reveal())
    )
    wait_until(lambda: waiting(manager) == 49)
    provider.gate.set()
    join(threads)

    assert provider.reads == 1
    assert values == ["second"] * 50


def test_wait_for_another_s_question_is_bounded(
    manager: SecretManager, provider: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "WAIT_S_MAX", 0.05)
    threads = in_threads(1, lambda: manager.secret(NAME))
    assert provider.began.wait(WAIT_S)

    with pytest.raises(ProviderDownError, match="no answer"):
        manager.secret(NAME)
    with pytest.raises(ProviderDownError, match="no answer"):
        asyncio.run(manager.asecret(NAME))

    provider.gate.set()
    join(threads)


def test_task_that_nobody_can_ask_for_is_told(
    manager: SecretManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager._asker._readers, "submit", lambda _: False)

    with pytest.raises(Exception, match="no thread can be started"):
        asyncio.run(manager.asecret(NAME))


def test_unknown_name_is_told_to_tasks_too(manager: SecretManager, provider: Gated) -> None:
    provider.gate.set()

    with pytest.raises(UnknownSecretError):
        asyncio.run(manager.asecret("nope"))
    with pytest.raises(UnknownSecretError):
        asyncio.run(manager.arefresh("nope"))


def test_background_thread_brings_what_was_told(manager: SecretManager, provider: Gated) -> None:
    provider.gate.set()
    manager.secret(NAME)
    told: list[str] = []
    manager.on_rotation(NAME, lambda secret: told.append(secret.reveal()))

    number = provider.write(NAME, b"second", token="w").number
    manager.changed(NAME, number)

    wait_until(lambda: told == ["second"])
    assert manager.secret(NAME).reveal() == "second"
    manager.close()


def test_callback_that_waits_holds_nothing_else_up(manager: SecretManager, provider: Gated) -> None:
    provider.gate.set()
    provider.write("other", b"1", token="o1")
    gate = threading.Event()
    told: list[str] = []
    for name in (NAME, "other"):
        manager.secret(name)
    manager.on_rotation(NAME, lambda _: gate.wait(WAIT_S))
    manager.on_rotation("other", lambda secret: told.append(secret.reveal()))

    for name in (NAME, "other"):
        manager.changed(name, provider.write(name, b"second", token="w").number)

    wait_until(lambda: told == ["second"])
    gate.set()
    manager.close()


def test_child_of_a_fork_has_locks_and_threads_of_its_own(
    manager: SecretManager, provider: Gated
) -> None:
    """It is forked while another thread asks, and holds the flight; in the child nobody lands that."""
    threads = in_threads(1, lambda: manager.secret(NAME))
    assert provider.began.wait(WAIT_S)
    locks = [manager._memory._lock, manager._handing._lock, manager._ticker._lock]
    for lock in locks:
        lock.acquire()

    pid = os.fork()
    if pid == 0:
        try:
            provider.gate.set()
            is_right = manager.secret(NAME).reveal() == "first"
            manager.changed(NAME, provider.write(NAME, b"second", token="w").number)
            wait_until(lambda: manager.secret(NAME).reveal() == "second")
            os._exit(0 if is_right else 3)
        finally:
            os._exit(4)
    for lock in locks:
        lock.release()
    provider.gate.set()
    join(threads)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
