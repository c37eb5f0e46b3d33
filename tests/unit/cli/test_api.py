"""The client of the daemon's socket: every way in which a daemon may not answer."""

import os
import socket

import pytest
from tests.unit.cli.conftest import STATUS, FakeDaemon, event, pretend_guard, serving

from resile.cli.api import Api, service_path
from resile.cli.places import Places
from resile.errors import ConfigError, DaemonUnreachableError, OperationError, RejectedError
from resile.testing import FakeClock


def stream(*events: dict[str, object]) -> str:
    import json

    return "retry: 1000\n\n: comment\n\n" + "".join(
        f"id: {e['seq']}\nevent: {e['kind']}\ndata: {json.dumps(e)}\n\n" for e in events
    )


def test_answer_is_read(places, daemon):
    assert Api(places).get("/api/status") == STATUS


def test_query_leaves_out_what_is_not_set(places, daemon):
    daemon.routes["GET", "/api/events"] = (200, {"events": []})

    Api(places).get("/api/events", kinds="a.*,b.c", subject="", since=None, limit=5)

    assert daemon.asked[-1][1] == "/api/events?kinds=a.%2A%2Cb.c&limit=5"


def test_path_longer_than_the_kernel_takes_is_reached(tmp_path):
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    places = Places(config=tmp_path / "resile.toml", state=deep)

    with serving(FakeDaemon(), places.socket):
        assert Api(places).get("/api/status")["name"] == "shop"
    assert len(os.fsencode(places.socket)) > 107


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, ConfigError), (422, ConfigError), (409, RejectedError), (500, OperationError)],
)
def test_refusal_keeps_message_and_hint(places, daemon, status, kind):
    daemon.routes["POST", "/api/restart"] = (status, {"error": "no", "hint": "do"})

    with pytest.raises(kind) as caught:
        Api(places).post("/api/restart")

    assert (caught.value.message, caught.value.hint) == ("no", "do")


@pytest.mark.parametrize(("status", "content"), [(500, "<html>"), (200, "{cut"), (400, "[1]")])
def test_answer_that_is_no_json_of_ours_is_an_error_in_words(places, daemon, status, content):
    daemon.routes["GET", "/api/x"] = (status, content)

    with pytest.raises((OperationError, RejectedError)):
        Api(places).get("/api/x")


def test_no_socket_and_no_guard_is_told_at_once(places):
    clock = FakeClock()

    with pytest.raises(DaemonUnreachableError, match="no daemon runs") as caught:
        Api(places, clock=clock).get("/api/status")

    assert caught.value.hint == "start it with `resile up`"
    assert caught.value.exit_code == 6
    assert clock.monotonic() == 0


def test_stale_socket_is_no_daemon(places):
    places.run.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(places.socket))

    with pytest.raises(DaemonUnreachableError, match="no daemon runs"):
        Api(places, clock=FakeClock()).get("/api/status")


@pytest.mark.parametrize(
    "facts",
    ["", "[]", "{}", '{"pid": 1, "start_ticks": 1, "boot_id": "another"}', '{"pid": "x"}'],
)
def test_facts_of_a_dead_guard_are_not_believed(places, facts):
    places.run.mkdir(parents=True)
    places.guard_facts.write_text(facts)

    with pytest.raises(DaemonUnreachableError, match="no daemon runs"):
        Api(places, clock=FakeClock()).get("/api/status")


def test_starting_daemon_is_waited_for(places):
    pretend_guard(places)
    fake = FakeDaemon()
    opened = []

    class Starting(FakeClock):
        def sleep(self, seconds):
            super().sleep(seconds)
            if self.monotonic() > 1 and not opened:
                opened.append(serving(fake, places.socket))
                opened[0].__enter__()

    try:
        assert Api(places, clock=Starting()).get("/api/status")["name"] == "shop"
    finally:
        opened[0].__exit__(None, None, None)


def test_brain_that_does_not_come_back_is_given_up_after_the_patience(places):
    pretend_guard(places)
    clock = FakeClock()

    with pytest.raises(DaemonUnreachableError, match="its brain does not answer") as caught:
        Api(places, clock=clock).get("/api/status")

    assert 5 <= clock.monotonic() < 6
    assert str(places.guard_log) in caught.value.hint


def test_daemon_that_hangs_is_told_after_the_timeout(places):
    places.run.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(places.socket))
        silent.listen(1)

        with pytest.raises(DaemonUnreachableError, match=r"did not answer within 0\.05 s"):
            Api(places, timeout_s=0.05).get("/api/status")


def test_question_is_asked_again_when_the_brain_dies_in_the_middle(places, daemon):
    pretend_guard(places)
    answers = iter([(0, None), (200, {"x": 1})])
    daemon.routes["GET", "/api/x"] = lambda _: next(answers)

    assert Api(places, clock=FakeClock()).get("/api/x") == {"x": 1}


def test_request_is_not_repeated_when_nobody_knows_whether_it_was_heard(places, daemon):
    pretend_guard(places)
    daemon.routes["POST", "/api/restart"] = (0, None)

    with pytest.raises(OperationError, match="nobody knows"):
        Api(places, clock=FakeClock()).post("/api/restart")

    assert len(daemon.asked) == 1


def test_socket_of_another_user_is_told(places, monkeypatch):
    monkeypatch.setattr(
        "resile.clients.unix_http.connect_unix",
        lambda *_, **__: (_ for _ in ()).throw(PermissionError()),
    )

    with pytest.raises(DaemonUnreachableError, match="belongs to another user"):
        Api(places).get("/api/status")


def test_livez_tells_whether_a_brain_answers(places):
    assert not Api(places).is_answering()
    with serving(FakeDaemon(), places.socket):
        assert Api(places).is_answering()


def test_stream_goes_on_with_the_next_brain_where_the_last_one_ended(places, daemon):
    pretend_guard(places)
    parts = iter([stream(event(3), event(4)), stream(), stream(event(5))])
    daemon.routes["GET", "/events"] = lambda _: (200, next(parts, ""))

    follow = Api(places, clock=FakeClock()).follow(after_seq=2)

    assert [next(follow)["seq"] for _ in range(3)] == [3, 4, 5]
    asked = [target for _, target, _ in daemon.asked if target.startswith("/events")]
    assert asked == ["/events?after_seq=2", "/events?after_seq=4", "/events?after_seq=4"]
    follow.close()


def test_stream_ends_with_an_error_when_the_daemon_is_gone(places):
    fake = FakeDaemon()
    fake.routes["GET", "/events"] = (200, stream(event(1)))
    follow = Api(places, clock=FakeClock()).follow(after_seq=0)
    with serving(fake, places.socket):
        assert next(follow)["seq"] == 1

    with pytest.raises(DaemonUnreachableError):
        next(follow)


def test_name_of_a_service_is_quoted():
    assert service_path("a/../b", "stop") == "/api/services/a%2F..%2Fb/stop"
