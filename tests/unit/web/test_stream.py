import asyncio
import json

import pytest
from fastapi import FastAPI
from tests.unit.web.client import Reader, run

from resile.core.events import ServiceReady
from resile.testing.view import FakeSystemView
from resile.web import create_app
from resile.web.stream import EventHub


def make(view: FakeSystemView, **limits: float) -> FastAPI:
    app = create_app(view)
    app.state.hub = EventHub(view, **limits)  # type: ignore[arg-type]
    return app


def add(view: FakeSystemView, count: int) -> None:
    for number in range(count):
        view.append(ServiceReady(service="scanner", generation=number, after_s=0.1))


def is_open(reader: Reader) -> bool:
    return "retry:" in reader.text


def test_a_reader_gets_what_comes_from_now_on() -> None:
    async def story() -> None:
        view = FakeSystemView()
        add(view, 3)
        reader = Reader(make(view))
        await reader.wait_until(is_open)

        add(view, 2)

        await reader.wait_until(lambda r: r.ids == [4, 5])
        data = next(line[6:] for line in reader.text.splitlines() if line.startswith("data: "))
        assert json.loads(data)["kind"] == "service.ready"
        assert reader.headers["content-type"].startswith("text/event-stream")
        assert reader.headers["x-accel-buffering"] == "no"
        assert reader.headers["cache-control"] == "no-store"
        assert "content-length" not in reader.headers
        await reader.disconnect()

    run(story)


@pytest.mark.parametrize(
    ("query", "headers", "first"),
    [
        ("after_seq=0", {}, 1),
        ("after_seq=450", {}, 451),
        ("", {"last-event-id": "498"}, 499),
        ("after_seq=0", {"last-event-id": "498"}, 499),
    ],
)
def test_a_reader_resumes_without_a_gap_and_without_a_repeat(
    query: str, headers: dict[str, str], first: int
) -> None:
    async def story() -> None:
        view = FakeSystemView()
        add(view, 500)
        reader = Reader(make(view), query, headers)
        await reader.wait_until(is_open)
        add(view, 10)

        await reader.wait_until(lambda r: bool(r.ids) and r.ids[-1] == 510)
        assert reader.ids == list(range(first, 511))
        await reader.disconnect()

    run(story)


def test_events_that_come_during_the_replay_are_sent_once() -> None:
    async def story() -> None:
        view = FakeSystemView()
        add(view, 5)
        app = make(view)
        read_events = view.events

        async def read_while_events_come(query):
            page = await read_events(query)
            if len(view.records) < 20:
                add(view, 5)
                await asyncio.sleep(0)
            return page

        view.events = read_while_events_come  # type: ignore[method-assign]
        reader = Reader(app, "after_seq=0")
        await reader.wait_until(lambda r: bool(r.ids) and r.ids[-1] >= 15)
        add(view, 1)
        last = len(view.records)

        await reader.wait_until(lambda r: r.ids[-1] == last)
        assert reader.ids == list(range(1, last + 1))
        await reader.disconnect()

    run(story)


def test_a_number_of_another_journal_does_not_silence_the_stream() -> None:
    async def story() -> None:
        view = FakeSystemView()
        add(view, 2)
        reader = Reader(make(view), "after_seq=1000000")
        await reader.wait_until(is_open)
        add(view, 1)

        await reader.wait_until(lambda r: r.ids == [3])
        await reader.disconnect()

    run(story)


def test_a_slow_reader_is_dropped_and_the_others_go_on() -> None:
    async def story() -> None:
        view = FakeSystemView()
        app = make(view, queue_length_max=4)
        slow, quick = Reader(app), Reader(app)
        await slow.wait_until(is_open)
        await quick.wait_until(is_open)

        slow.can_send.clear()
        for _ in range(8):
            add(view, 1)
            await quick.wait_until(lambda r: r.ids[-1:] == [len(view.records)])

        await slow.task
        assert not slow.is_ended
        assert app.state.hub.clients_count == 1
        add(view, 1)
        await quick.wait_until(lambda r: r.ids == list(range(1, 10)))
        await quick.disconnect()

    run(story)


def test_a_reader_too_many_gets_503_until_one_leaves() -> None:
    async def story() -> None:
        view = FakeSystemView()
        app = make(view, clients_max=2)
        first, second = Reader(app), Reader(app)
        await first.wait_until(is_open)
        await second.wait_until(is_open)

        third = Reader(app)
        await third.task
        assert third.status == 503
        assert json.loads(third.text)["hint"]

        await first.disconnect()
        fourth = Reader(app)
        await fourth.wait_until(is_open)
        await second.disconnect()
        await fourth.disconnect()
        assert app.state.hub.clients_count == 0

    run(story)


def test_silence_is_filled_with_comments() -> None:
    async def story() -> None:
        reader = Reader(make(FakeSystemView(), keepalive_s=0.001))

        await reader.wait_until(lambda r: r.text.count(": keepalive\n\n") >= 2)
        await reader.disconnect()

    run(story)


def test_a_shutdown_ends_every_stream_and_takes_no_new_one() -> None:
    async def story() -> None:
        app = make(FakeSystemView())
        readers = [Reader(app) for _ in range(3)]
        for reader in readers:
            await reader.wait_until(is_open)

        app.state.hub.close()

        for reader in readers:
            await reader.task
            assert reader.is_ended
        late = Reader(app)
        await late.task
        assert late.status == 503

    run(story)


def test_a_shutdown_does_not_wait_for_a_blocked_reader() -> None:
    async def story() -> None:
        app = make(FakeSystemView())
        reader = Reader(app)
        await reader.wait_until(is_open)
        reader.can_send.clear()

        app.state.hub.close()

        await reader.task
        assert not reader.is_ended

    run(story)


def test_streams_end_with_the_journal_and_begin_anew_after_it() -> None:
    async def story() -> None:
        view = FakeSystemView()
        app = make(view)
        reader = Reader(app)
        await reader.wait_until(is_open)
        view.stop()
        await reader.task
        assert reader.is_ended

        view._is_stopped = False
        again = Reader(app)
        await again.wait_until(is_open)
        add(view, 1)
        await again.wait_until(lambda r: r.ids == [1])
        await again.disconnect()

    run(story)


def test_a_failing_journal_ends_the_streams(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        view = FakeSystemView()

        async def fail(*, after_seq: int):
            raise OSError(f"no journal behind {after_seq}")
            yield

        view.follow = fail  # type: ignore[method-assign]
        reader = Reader(make(view))
        await reader.task
        assert reader.is_ended

    run(story)
    assert "no journal behind 0" in caplog.text
