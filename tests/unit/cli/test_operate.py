"""Start, stop and restart ask once, then wait until it has been done."""

import pytest

from resile.cli.operate import operate
from resile.core.vocabulary import Verb
from resile.errors import ConfigError, OperationError
from resile.testing import FakeClock


class FakeApi:
    """Gives one state after the other; the last one stays.

    Args:
        states: Of each service by name, (phase, generation), one for each look.
    """

    def __init__(self, *states):
        self.states = list(states)
        self.posted = []

    def get(self, path):
        if path == "/api/status":
            state = self.states[0] if len(self.states) == 1 else self.states.pop(0)
            return {"services": [service(name, *facts) for name, facts in state.items()]}
        name = path.rpartition("/")[2]
        if name not in self.states[0]:
            raise ConfigError(f"there is no service {name!r}")
        return service(name, *self.states[0][name])

    def post(self, path, body):
        assert body["who"]
        self.posted.append(path)


def service(name, phase, generation, state="UP"):
    facts = {"phase": phase, "generation": generation, "state": state}
    return {"name": name, "reason": "exit code 1", **facts}


def run(api, verb, *names, timeout_s=60.0):
    operate(api, verb, names, timeout_s=timeout_s, as_json=False, clock=FakeClock())


def test_start_waits_until_it_is_running(capsys):
    api = FakeApi({"a": ("stopped", 1)}, {"a": ("starting", 2)}, {"a": ("running", 2)})

    run(api, Verb.START, "a")

    assert api.posted == ["/api/services/a/start"]
    assert len(api.states) == 1
    assert capsys.readouterr().out == "a: running\n"


@pytest.mark.parametrize("verb", [Verb.START, Verb.RESTART])
def test_job_that_has_ended_well_meanwhile_is_done(verb):
    api = FakeApi({"a": ("stopped", 1, "MAINTENANCE")}, {"a": ("stopped", 2, "MAINTENANCE")})

    run(api, verb, "a")

    assert len(api.states) == 1


def test_job_that_failed_and_is_left_so_is_said_at_once():
    api = FakeApi({"a": ("stopped", 1, "DOWN")}, {"a": ("stopped", 2, "DOWN")})

    with pytest.raises(OperationError, match="exit code 1"):
        run(api, Verb.START, "a")


def test_stop_waits_until_it_is_stopped(capsys):
    api = FakeApi({"a": ("running", 1)}, {"a": ("stopping", 1)}, {"a": ("stopped", 1)})

    run(api, Verb.STOP, "a")

    assert capsys.readouterr().out == "a: stopped\n"


def test_restart_is_done_with_a_new_generation_only():
    api = FakeApi({"a": ("running", 1)}, {"a": ("running", 1)}, {"a": ("running", 2)})

    run(api, Verb.RESTART, "a")

    assert len(api.states) == 1


def test_restart_of_all_asks_once_and_tells_each(capsys):
    api = FakeApi(
        {"a": ("running", 1), "b": ("running", 1)},
        {"a": ("running", 2), "b": ("running", 1)},
        {"a": ("running", 2), "b": ("running", 2)},
    )

    run(api, Verb.RESTART)

    assert api.posted == ["/api/restart"]
    assert capsys.readouterr() == ("a, b: running\n", "a: running\n")


def test_nothing_is_asked_when_one_name_is_unknown():
    api = FakeApi({"a": ("running", 1)})

    with pytest.raises(ConfigError, match="no service 'b'"):
        run(api, Verb.STOP, "a", "b")

    assert api.posted == []


def test_service_that_is_quarantined_meanwhile_ends_the_wait():
    api = FakeApi({"a": ("quarantined", 1)}, {"a": ("starting", 2)}, {"a": ("quarantined", 6)})

    with pytest.raises(OperationError, match="quarantined: exit code 1") as caught:
        run(api, Verb.START, "a")

    assert "resile logs a" in caught.value.hint


def test_quarantine_of_before_is_waited_out():
    api = FakeApi(*[{"a": ("quarantined", 1)}] * 3, {"a": ("running", 2)})

    run(api, Verb.START, "a")


def test_wait_has_a_bound():
    api = FakeApi({"a": ("waiting", 1)})

    with pytest.raises(OperationError, match="not done in time: a is waiting"):
        run(api, Verb.START, "a", timeout_s=5.0)


def test_without_wait_it_returns_when_the_request_is_durable(capsys):
    api = FakeApi({"a": ("stopped", 1)})

    run(api, Verb.START, "a", timeout_s=None)

    assert capsys.readouterr().out == "a: start is asked for\n"


@pytest.mark.parametrize("words", [("restart",), ("restart", "a", "--all")])
def test_restart_wants_names_or_all(resile, words):
    assert resile(*words).code == 2


@pytest.mark.parametrize(
    ("words", "path", "phase"),
    [
        (("start", "api"), "/api/services/api/start", "running"),
        (("stop", "api"), "/api/services/api/stop", "stopped"),
        (("restart", "api", "--no-wait"), "/api/services/api/restart", "running"),
        (("restart", "--all", "--no-wait"), "/api/restart", "running"),
    ],
)
def test_command_asks_the_daemon(resile, daemon, words, path, phase):
    facts = {"name": "api", "phase": phase, "generation": 1}
    daemon.routes["GET", "/api/services/api"] = (200, facts)
    daemon.routes["GET", "/api/status"] = (200, {"services": [facts]})
    daemon.routes["POST", path] = (202, {})

    done = resile(*words, "--json")

    assert done.code == 0, done.out
    assert done.data == {"services": [facts]}
    assert [target for method, target, _ in daemon.asked if method == "POST"] == [path]


@pytest.mark.parametrize("text", ["soon", "-1s"])
def test_timeout_that_is_none_is_refused(resile, text):
    assert resile("stop", "api", f"--timeout={text}").code == 2
