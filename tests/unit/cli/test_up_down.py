"""What `up` refuses before anything is started, and how `down` ends what runs."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest
from tests.unit.cli.conftest import FakeDaemon, pretend_guard, serving

from resile.cli import cmd_up
from resile.cli.guard import living_guard, wait_gone
from resile.cli.ports import owner_of, port_problem
from resile.core.files import try_lock
from resile.core.process import identity_of


@pytest.fixture
def port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.fixture
def declare(places, port):
    def write(text="", http=port):
        places.config.write_text(f"[resile]\nhttp = {{ port = {http} }}\n{text}")

    write()
    return write


@pytest.fixture
def become(monkeypatch):
    """Catch the moment in which the command would become the guard."""
    became = []

    def execv(path, argv):
        became.append(argv)
        raise SystemExit(0)

    monkeypatch.setattr(os, "execv", execv)
    return became


def test_up_becomes_the_guard(resile, places, declare, become, port):
    with pytest.raises(SystemExit):
        resile("up")

    assert become == [
        (
            *(sys.executable, "-m", "resile.daemon.guard"),
            *("--state", str(places.state), "--config", str(places.config)),
            *("--stop-timeout", "60"),
        )
    ]
    assert oct(places.run.stat().st_mode & 0o777) == "0o700"


def test_up_tells_every_obstacle_at_once_and_starts_nothing(resile, declare, become, tmp_path):
    (tmp_path / "plain").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        declare(
            '[service.a]\ncommand = ["no-such-program"]\n'
            'ready = { command = ["no-such-check"] }\n'
            '[service.b]\ncommand = ["./plain"]\n'
            '[service.c]\ncommand = ["./none"]\n'
            '[service.d]\ncommand = ["true"]\ncwd = "nowhere"\n'
            '[service.e]\ncommand = ["sh"]\nenv = { PATH = "/nowhere" }\n'
            '[check.f]\ncommand = ["no-such-look"]\n',
            http=taken.getsockname()[1],
        )

        done = resile("up", "--json")

    assert done.code == 2
    assert become == []
    keys = [problem.split(": ")[0] for problem in done.data["problems"]]
    assert keys == [
        "service.a.command",
        "service.a.ready.command",
        "service.b.command",
        "service.c.command",
        "service.d.cwd",
        "service.e.command",
        "check.f.command",
        "resile.http",
    ]
    assert f"{os.getpid()} (" in done.data["problems"][-1]


def test_second_up_is_refused(resile, places, declare, become):
    places.run.mkdir(parents=True)
    lock = try_lock(places.lock)
    assert lock is not None
    with lock:
        done = resile("up")

    assert done.code == 3
    assert "resile runs already" in done.err
    assert "resile down" in done.err
    assert become == []


def test_stale_socket_is_removed(resile, places, declare, become):
    places.run.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(places.socket))

    with pytest.raises(SystemExit):
        resile("up")

    assert not places.socket.exists()


def test_socket_on_which_somebody_listens_is_left_alone(resile, places, declare, become):
    with serving(FakeDaemon(), places.socket):
        done = resile("up")

        assert places.socket.exists()
    assert done.code == 2
    assert "something still listens" in done.err


def test_state_folder_that_cannot_be_made_is_told(resile, places, declare, become):
    places.state.touch()

    done = resile("up")

    assert done.code == 2
    assert "resile.state_dir: " in done.err


def test_wrong_configuration_is_told_and_nothing_is_made(resile, places, declare, become):
    declare("[service.a]\n")

    assert resile("up").code == 2
    assert not places.state.exists()


@pytest.mark.parametrize("words", [("up",), ("config", "check")])
def test_broken_file_is_refused_though_a_guard_left_its_name(
    resile, places, declare, become, words
):
    places.run.mkdir(parents=True)
    places.guard_facts.touch()
    declare("[[")

    done = resile(*words)

    assert done.code == 2
    assert become == []


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8470/"),
        ("0.0.0.0", "http://127.0.0.1:8470/"),
        ("::", "http://[::1]:8470/"),
        ("box.lan", "http://box.lan:8470/"),
    ],
)
def test_dashboard_is_told_as_a_browser_takes_it(host, url):
    assert cmd_up.dashboard_url(host, 8470) == url


def test_daemon_that_ends_at_once_shows_its_last_words(resile, places, declare, monkeypatch):
    words = (sys.executable, "-c", "print('cannot do it'); raise SystemExit(4)")
    monkeypatch.setattr(cmd_up, "_guard_argv", lambda _places, _timeout_s: words)

    done = resile("up", "--detach")

    assert done.code == 1
    assert "(exit code 4)" in done.err
    assert "  cannot do it\n" in done.err


def test_last_words_are_shown_though_the_daemon_began_its_full_log_anew(
    resile, places, declare, monkeypatch
):
    program = "import os; os.ftruncate(1, 0); print('cannot do it'); raise SystemExit(4)"
    words = (sys.executable, "-c", program)
    monkeypatch.setattr(cmd_up, "_guard_argv", lambda _places, _timeout_s: words)
    places.logs.mkdir(parents=True)
    places.guard_log.write_text("long ago\n" * 100)

    done = resile("up", "--detach")

    assert "  cannot do it\n" in done.err
    assert "long ago" not in done.err


def test_detached_daemon_is_waited_for(resile, places, declare, monkeypatch, port):
    words = (sys.executable, "-c", "import time; time.sleep(60)")
    monkeypatch.setattr(cmd_up, "_guard_argv", lambda _places, _timeout_s: words)
    fakes = []

    def answering(api):
        if not fakes:
            fakes.append(serving(FakeDaemon(), places.socket))
            fakes[0].__enter__()
            return False
        return True

    monkeypatch.setattr("resile.cli.api.Api.is_answering", answering)
    done = resile("up", "--detach", "--json")
    fakes[0].__exit__(None, None, None)

    pid = done.data["guard"]["pid"]
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert done.data["dashboard"] == f"http://127.0.0.1:{port}/"


def test_daemon_that_does_not_answer_is_left_running_and_told(resile, places, declare, monkeypatch):
    words = (sys.executable, "-c", "print('thinking', flush=True); import time; time.sleep(60)")
    monkeypatch.setattr(cmd_up, "_guard_argv", lambda _places, _timeout_s: words)
    monkeypatch.setattr(cmd_up, "START_TIMEOUT_S", 0.0)

    done = resile("up", "--detach")

    pid = int(done.err.partition("(guard ")[2].partition(")")[0])
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert done.code == 1
    assert "does not answer after 0 s" in done.err


def test_port_of_another_is_told_with_its_process():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]

        assert f"port {number} is in use by process {os.getpid()} (" in port_problem(
            "127.0.0.1", number
        )
    assert owner_of(number) == ""
    assert port_problem("127.0.0.1", number) == ""


@pytest.mark.parametrize(
    ("host", "words"),
    [("192.0.2.1", "no address of this machine"), ("no.such.host.invalid", "is not known here")],
)
def test_host_that_is_not_ours_is_told(host, words, port):
    assert words in port_problem(host, port)


@pytest.fixture
def sleeper():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_down_asks_the_brain_and_waits_for_the_guard(resile, places, daemon, sleeper):
    pretend_guard(places, sleeper.pid)

    def shut_down(_body):
        sleeper.kill()
        sleeper.wait()
        return 202, {}

    daemon.routes["POST", "/api/shutdown"] = shut_down

    done = resile("down")

    assert done.code == 0
    assert done.out == "everything is stopped; nothing is left running\n"


def test_down_asks_the_guard_when_the_brain_does_not_answer(resile, places, sleeper, monkeypatch):
    pretend_guard(places, sleeper.pid)
    monkeypatch.setattr("resile.cli.cmd_down.PATIENCE_S", 0.0)

    done = resile("down", "--json")

    assert done.data == {"was_running": True, "is_running": False, "killed": []}
    assert "asking the guard" in done.err
    assert sleeper.wait() == -signal.SIGTERM


def test_down_gives_up_after_its_time_and_names_what_still_runs(resile, places, daemon, sleeper):
    pretend_guard(places, sleeper.pid)
    daemon.routes["POST", "/api/shutdown"] = (202, {})

    done = resile("down", "--timeout", "0s")

    assert done.code == 1
    assert "still runs after 0 s" in done.err
    assert sleeper.poll() is None


def test_down_tells_which_services_still_stop(resile, places, daemon, sleeper, monkeypatch):
    pretend_guard(places, sleeper.pid)
    monkeypatch.setattr("resile.cli.cmd_down._LOOK_S", 0.0)
    looks = []

    def status(_body):
        looks.append(1)
        if len(looks) == 3:
            sleeper.kill()
            sleeper.wait()
        return 200, {"services": [{"name": "slow", "pid": 5}, {"name": "gone", "pid": None}]}

    daemon.routes["POST", "/api/shutdown"] = (202, {})
    daemon.routes["GET", "/api/status"] = status

    done = resile("down")

    assert done.code == 0
    assert done.err == "still stopping: slow\n"


def test_down_without_daemon_is_done_already(resile):
    assert resile("down").out == "no daemon runs here; nothing is left running\n"


def test_down_kills_what_a_dead_guard_left(resile, places, monkeypatch):
    places.run.mkdir(parents=True)
    monkeypatch.setattr("resile.contain.kill_everything", lambda _state: ("api",))

    assert resile("down").out == "no daemon runs here; killed what was left of api\n"


def test_down_leaves_a_guard_alone_that_is_just_starting(resile, places, monkeypatch):
    places.run.mkdir(parents=True)
    monkeypatch.setattr("resile.contain.kill_everything", lambda _state: ("api",))
    lock = try_lock(places.lock)
    assert lock is not None
    with lock:
        assert "killed" not in resile("down").out


def test_pid_of_another_process_is_no_guard(places, sleeper):
    pretend_guard(places, sleeper.pid)
    facts = json.loads(places.guard_facts.read_text())
    places.guard_facts.write_text(json.dumps(facts | {"start_ticks": facts["start_ticks"] - 1}))

    assert living_guard(places.guard_facts) is None


def test_end_of_a_process_is_waited_for(sleeper):
    identity = identity_of(sleeper.pid)
    assert identity is not None
    assert not wait_gone(identity, timeout_s=0.0)
    sleeper.kill()

    assert wait_gone(identity, timeout_s=30.0)
    sleeper.wait()
    assert wait_gone(identity, timeout_s=0.0)


def test_folder_of_sockets_that_is_a_link_is_refused(resile, places, declare, become, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    places.state.mkdir()
    places.run.symlink_to(tmp_path / "elsewhere")

    done = resile("up")

    assert done.code == 2
    assert "resile.state_dir: " in done.err


def test_socket_that_is_no_socket_is_left_alone(resile, places, declare, become):
    places.run.mkdir(parents=True)
    places.socket.mkdir()

    assert resile("up").code == 2
    assert places.socket.is_dir()
