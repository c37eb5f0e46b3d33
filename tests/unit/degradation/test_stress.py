"""Many threads through one manager while its services come and go: nothing hangs, nothing is lost."""

import sys
import threading

import pytest

from resile.core.journal import Query
from resile.degradation import Degradation, Service
from resile.testing import MemoryJournal

THREADS, CALLS = 8, 300
WAIT_S = 20.0


@pytest.fixture(autouse=True)
def quick_switches() -> object:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def test_threads_get_an_answer_each_time_and_all_is_well_in_the_end() -> None:
    journal = MemoryJournal()
    is_down = threading.Event()

    def ask(number: int) -> int:
        if is_down.is_set():
            raise ConnectionError("down")
        return number

    def probe() -> bool:
        return not is_down.is_set()

    services = Degradation(
        Service("database", fallbacks=[lambda n: -n], probe=probe, probe_initial=0.01),
        Service("api", depends_on=["database"], fallbacks=[lambda n: -n], probe_initial=0.01),
        journal=journal,
    )
    wrong: list[object] = []

    def work(name: str) -> None:
        for number in range(1, CALLS):
            if number % 50 == 0:
                (is_down.clear if is_down.is_set() else is_down.set)()
            try:
                answer = services.call(name, ask, number)
            except Exception as error:  # noqa: BLE001 - any is wrong
                wrong.append(error)
            else:
                wrong.extend([answer] if abs(answer) != number else [])

    threads = [
        threading.Thread(target=work, args=(("database", "api")[n % 2],)) for n in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    is_down.clear()
    never = threading.Event()
    for _ in range(int(WAIT_S / 0.02)):
        services.call("api", ask, 1)
        if not services.degraded():
            break
        never.wait(0.02)

    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []
    assert services.degraded() == ()
    assert services.flush()
    services.close()
    last = {}
    for record in journal.read(Query(kinds=("degradation.changed",), limit=100_000)):
        last[record.event.body["service"]] = record.event.body["after"]
    assert set(last.values()) <= {"HEALTHY"}
