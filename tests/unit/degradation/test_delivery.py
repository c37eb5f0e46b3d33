"""Who sends what an outbox holds by and by, and when a service is back."""

import asyncio
import logging
import threading
from pathlib import Path

import pytest
from tests.unit.degradation.kit import Dependency, Receiver, fail, put_all

from resile.degradation import Degradation, Message, Outbox, OutboxLimits, Service, ServiceState
from resile.degradation.outbox.delivering import _Gate
from resile.errors import ConfigError
from resile.testing import FakeClock


def test_a_delivery_sends_what_is_put(tmp_path: Path) -> None:
    got = threading.Event()
    with Outbox(tmp_path / "o") as outbox, outbox.deliver(lambda _: got.set()):
        outbox.put("x")
        assert got.wait(20)


def test_a_delivery_waits_for_its_service_and_flushes_when_it_is_back(tmp_path: Path) -> None:
    receiver = Receiver()
    got_all = threading.Event()
    services = Degradation(Service("network", fallbacks=["queued"]))
    services.set_state("network", ServiceState.FAILED, "no route")
    tried = threading.Event()

    def send(message: Message) -> None:
        tried.set()
        if services.should_use_fallback("network"):
            raise ConnectionError("no route")
        receiver(message)
        if len(receiver.got) == 5:
            got_all.set()

    limits = OutboxLimits(initial=600)
    with Outbox(tmp_path / "o", limits) as outbox:
        put_all(outbox, *range(5))
        with outbox.deliver(send, services=services, service="network"):
            assert tried.wait(20)
            assert receiver.got == []
            services.set_state("network", ServiceState.HEALTHY)
            assert got_all.wait(20)
    services.close()

    assert receiver.got == [0, 1, 2, 3, 4]


def test_a_message_that_goes_through_is_a_reason_to_look(tmp_path: Path) -> None:
    clock = FakeClock()
    services = Degradation(
        Service("network", fallbacks=["queued"]), clock=clock, is_background=False
    )
    fail(services, "network", Dependency())
    with Outbox(tmp_path / "o") as outbox:
        outbox.put("x")
        gate = _Gate(outbox, services, "network")
        assert gate.limit() == 1
        gate.wait_s(outbox.drain(Receiver(), limit=1), None)

    assert services.call("network", Dependency().ask) == "live"


def test_a_delivery_on_a_loop(tmp_path: Path) -> None:
    receiver = Receiver()

    async def main() -> None:
        got = asyncio.Event()

        async def send(message: Message) -> None:
            receiver(message)
            got.set()

        with Outbox(tmp_path / "o") as outbox:
            delivering = asyncio.create_task(outbox.adeliver(send))
            await outbox.aput("x")
            async with asyncio.timeout(20):
                await got.wait()
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)

    asyncio.run(main())

    assert receiver.got == ["x"]


def test_a_delivery_of_an_unknown_service_is_refused(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o")
    services = Degradation(Service("network"))

    with pytest.raises(ConfigError, match="no service"):
        outbox.deliver(print, services=services, service="netwrk")


def test_a_delivery_outlives_trouble(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    path = tmp_path / "o"
    path.mkdir()
    got = threading.Event()
    with Outbox(path) as outbox, outbox.deliver(lambda _: got.set()):
        while "outbox.not_sent" not in caplog.messages:
            threading.Event().wait(0.01)
        path.rmdir()
        outbox.put("x")
        assert got.wait(20)
