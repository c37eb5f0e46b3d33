"""Experiments for real: requests, the Chaos Toolkit's format, guards in threads, hanging calls."""

import contextlib
import http.server
import json
import ssl
import threading
import time
from pathlib import Path

import pytest
from tests.support.chaotic import (
    QUESTIONS,
    World,
    action,
    host_of,
    injection,
    no_watchdog,
    probe,
)

from resile.chaos import Engine, Experiment, HttpCall, Parts, Variables, load_experiment
from resile.chaos.experiments.calling import Caller
from resile.chaos.experiments.running import ThreadRunner
from resile.chaos.experiments.steady import ThreadWatch
from resile.core.clock import SYSTEM_CLOCK
from resile.core.verdicts import ExperimentVerdict as Verdict
from resile.errors import OperationError

DATA = Path(__file__).parents[2] / "support" / "data"
VARIABLES = Variables(configuration={"who": "ann"}, secrets={"till": {"key": "s3cret!"}})


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with what it was asked; the path says with which status."""

    def do_GET(self):
        length = int(self.headers.get("Content-Length") or 0)
        facts = {
            "method": self.command,
            "path": self.path,
            "body": self.rfile.read(length).decode(),
            "key": self.headers.get("Authorization"),
        }
        if self.path.startswith("/hang"):
            time.sleep(3)
        content = json.dumps(facts).encode()
        self.send_response(int(self.path[1:4]) if self.path[1:4].isdigit() else 200)
        is_json = "plain" not in self.path
        self.send_header("Content-Type", "application/json" if is_json else "text/plain")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 - the library's name

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(context=None):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def port():
    with serving() as found:
        yield found


@pytest.fixture
def caller(tmp_path):
    return Caller(VARIABLES, folder=tmp_path, system=host_of(tmp_path).system)


def test_a_request_gives_status_headers_and_body(caller, port):
    url = f"http://127.0.0.1:{port}/a"
    found = caller.call(HttpCall(url=url, arguments={"name": "${who}"}))

    assert found["status"] == 200
    assert found["body"]["path"] == "/a?name=ann"
    assert found["headers"]["Content-Type"] == "application/json"
    assert isinstance(caller.call(HttpCall(url=f"{url}/plain"))["body"], str)


def test_a_body_is_json_or_a_form_as_its_header_says(caller, port):
    call = {"url": f"http://127.0.0.1:{port}/a", "method": "POST", "arguments": {"n": 1}}

    as_json = caller.call(HttpCall(**call, headers={"Content-Type": "application/json"}))
    as_form = caller.call(HttpCall(**call, headers={"Authorization": "${key}"}))

    assert as_json["body"]["body"] == '{"n": 1}'
    assert (as_form["body"]["body"], as_form["body"]["key"]) == ("n=1", "s3cret!")
    assert caller.shown(as_form["body"]["key"]) == "***"


def test_a_status_that_nobody_wants_is_an_answer(caller, port):
    assert caller.call(HttpCall(url=f"http://127.0.0.1:{port}/503"))["status"] == 503


def test_no_answer_in_time_is_a_failure(caller, port):
    with pytest.raises(OperationError, match="no answer from"):
        caller.call(HttpCall(url=f"http://127.0.0.1:{port}/hang?token=x", timeout_s=0.1))
    with pytest.raises(OperationError, match="no answer from"):
        caller.call(HttpCall(url="http://127.0.0.1:1/"), timeout_s_max=0.5)


def test_a_certificate_is_checked_unless_the_author_says_otherwise(caller):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(DATA / "localhost.pem")
    with serving(context) as port:
        url = f"https://127.0.0.1:{port}/a"
        assert caller.call(HttpCall(url=url, verifies_tls=False))["status"] == 200
        with pytest.raises(OperationError, match="no answer from"):
            caller.call(HttpCall(url=url))


def engine_of(folder, world=None):
    host = host_of(folder, world=world, clock=SYSTEM_CLOCK)
    return Engine(host, tell=lambda _: None, who="ann", parts=Parts(gate=no_watchdog))


def test_an_experiment_of_the_toolkit_deviates_and_its_rollback_mends(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings.txt").write_text("greeting=hello\n")
    experiment = load_experiment(DATA / "chaostoolkit" / "settings.json")

    report = engine_of(tmp_path).run(experiment)

    assert report.verdict is Verdict.DEVIATED
    assert report.reason.startswith("word-is-there")
    assert report.recovered_s is not None
    assert (tmp_path / "settings.txt").read_text() == "greeting=hello\n"


def test_an_experiment_of_the_toolkit_passes_where_the_system_bears_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pid_file = tmp_path / "run" / "writer.pid"
    pid_file.parent.mkdir()
    pid_file.touch()
    end = threading.Event()

    def write():
        while not end.wait(0.02):
            pid_file.touch()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = engine_of(tmp_path).run(load_experiment(DATA / "chaostoolkit" / "minimal.json"))
    finally:
        end.set()
        writer.join()

    assert found.verdict is Verdict.PASSED
    assert [step.name for step in found.steps] == ["remove-pid-file", "pid-file-exists"]


@pytest.fixture(autouse=True)
def questions():
    yield QUESTIONS
    QUESTIONS.clear()


def test_a_guard_that_hangs_is_blind_and_ends_the_experiment(tmp_path, questions):
    world, looks, end = World(), [], threading.Event()

    def look():
        looks.append(1)
        return len(looks) != 3 or end.wait(30)

    questions["guard"] = look

    report = engine_of(tmp_path, world).run(
        Experiment(
            title="t",
            probes=(probe("guard", is_guard=True),),
            method=(injection(hold_s=20.0),),
        )
    )
    end.set()

    assert report.verdict is Verdict.ABORTED
    assert "has not answered" in report.reason
    assert world.broken == set()


def test_a_step_that_hangs_does_not_keep_a_guard_from_ending_it(tmp_path, questions):
    world, end = World(), threading.Event()
    began_s = time.monotonic()
    questions["hang"] = lambda: end.wait(30)
    questions["guard"] = lambda: time.monotonic() - began_s < 0.7

    report = engine_of(tmp_path, world).run(
        Experiment(
            title="t",
            probes=(probe("guard", is_guard=True),),
            method=(injection(is_background=True), action("hang")),
        )
    )
    end.set()

    assert report.verdict is Verdict.ABORTED
    assert world.broken == set()
    assert report.duration_s < 10


def test_a_step_in_the_background_is_waited_for_and_its_failure_counts(tmp_path, questions):
    questions["well"] = lambda: True
    questions["slow"] = lambda: time.sleep(0.2) or 1 / 0

    report = engine_of(tmp_path).run(
        Experiment(title="t", probes=(probe("well"),), method=(action("slow", is_background=True),))
    )

    assert report.verdict is Verdict.INCONCLUSIVE
    assert "slow failed" in report.reason


def test_a_watch_that_was_stopped_tells_nothing_more(tmp_path, caller, questions):
    questions["guard"] = lambda: True
    watch = ThreadWatch([probe("guard", is_guard=True)], caller, SYSTEM_CLOCK)
    watch.start()
    assert watch.breach() is None
    watch.stop()
    questions["guard"] = lambda: False
    time.sleep(0.3)
    assert watch.breach() is None


def test_a_call_that_is_stopped_is_left_alone(questions):
    end = threading.Event()

    with pytest.raises(OperationError, match="not waited for: enough"):
        ThreadRunner().run(lambda: end.wait(30), lambda: "enough")
    end.set()
    with pytest.raises(ZeroDivisionError):
        ThreadRunner().run(lambda: 1 / 0, lambda: "")
