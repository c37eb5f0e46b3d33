import os
import signal
import threading
from collections.abc import Iterator

import pytest
from tests.support.probing import ask_wsgi, service

import resile
from resile import ConfigError


@pytest.fixture
def health() -> Iterator[resile.Health]:
    with service() as health:
        yield health


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def reason(health: resile.Health) -> str | None:
    reason: str | None = ask_wsgi(health.wsgi(), "GET", "/health/ready").json["reason"]
    return reason


def test_a_service_is_ready_when_it_has_started(health: resile.Health) -> None:
    with health.starting("loading the model"):
        with health.starting("warming up"):
            pass
        assert reason(health) == "starting: loading the model"

    assert reason(health) is None


def test_a_start_that_failed_is_not_ready_until_it_is_done_again(health: resile.Health) -> None:
    with pytest.raises(OSError, match="gone"), health.starting("loading the model"):
        raise OSError("gone")
    assert reason(health) == "failed to start: loading the model"

    with health.starting("loading the model"):
        pass
    assert reason(health) is None


def test_a_service_that_drains_stays_unready(health: resile.Health) -> None:
    health.drain("a new version comes")
    health.drain("again")
    with health.starting("anything"):
        pass

    assert reason(health) == "a new version comes"


def test_a_service_that_is_not_ready_anyway_asks_nobody(health: resile.Health) -> None:
    health.check("database", critical=True)(lambda: pytest.fail("was asked"))
    health.drain()

    assert reason(health) == "the service ends"


def test_sigterm_drains_and_is_handed_on(health: resile.Health) -> None:
    seen: list[tuple[int, str | None]] = []
    signal.signal(signal.SIGTERM, lambda number, frame: seen.append((number, reason(health))))
    health.drain_on_sigterm()

    os.kill(os.getpid(), signal.SIGTERM)

    assert seen == [(signal.SIGTERM, "SIGTERM: the service ends")]


def test_sigterm_that_is_ignored_only_drains(health: resile.Health) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    health.drain_on_sigterm()

    os.kill(os.getpid(), signal.SIGTERM)

    assert reason(health) == "SIGTERM: the service ends"


def test_sigterm_without_a_handler_still_ends_the_process() -> None:
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        resile.Health().drain_on_sigterm()
        os.kill(os.getpid(), signal.SIGTERM)
        os._exit(0)

    _, status = os.waitpid(pid, 0)

    assert os.WTERMSIG(status) == signal.SIGTERM


def test_only_the_main_thread_can_handle_sigterm(health: resile.Health) -> None:
    caught: list[BaseException] = []

    def call() -> None:
        try:
            health.drain_on_sigterm()
        except ConfigError as exc:
            caught.append(exc)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()

    assert "main thread" in str(caught[0])
