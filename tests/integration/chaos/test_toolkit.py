"""An experiment that the Chaos Toolkit runs, word for word: every provider, a rollback, and YAML."""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.support.chaotic import host_of, no_watchdog

from resile.chaos import Engine, Parts, load_experiment
from resile.core.clock import SYSTEM_CLOCK
from resile.core.verdicts import ExperimentVerdict as Verdict

EXPERIMENT = """
title: kill and heal
description: d
configuration:
  port: {type: env, key: CHAOS_TEST_PORT, env_var_type: int}
steady-state-hypothesis:
  title: alive
  probes:
  - {type: probe, name: alive, tolerance: true, provider: {type: python, module: mymod, func: alive}}
  - {type: probe, name: http, tolerance: 200, provider: {type: http, url: "http://127.0.0.1:${port}/", timeout: 1}}
method:
- {type: action, name: kill, provider: {type: python, module: mymod, func: kill, arguments: {sig: 9}}, pauses: {after: 0.1}}
- {ref: alive}
rollbacks:
- {type: action, name: rb, provider: {type: process, path: /bin/echo, arguments: rolled}}
"""
MODULE = """
killed = []
heals = {heals}
def alive():
    return heals or not killed
def kill(sig):
    killed.append(sig)
    return sig
"""


class Well(BaseHTTPRequestHandler):
    """Answers that all is well."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """Write it, and what it needs; give what runs it."""
    pytest.importorskip("yaml", reason="PyYAML is not installed")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Well)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)
    environ = {"CHAOS_TEST_PORT": str(server.server_address[1])}

    def run(heals):
        (tmp_path / "mymod.py").write_text(MODULE.format(heals=heals))
        host = host_of(tmp_path, clock=SYSTEM_CLOCK)
        engine = Engine(host, tell=lambda _: None, who="ann", parts=Parts(gate=no_watchdog))
        return engine.run(load_experiment(tmp_path / "experiment.yaml", environ=environ))

    yield run
    sys.modules.pop("mymod", None)
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_experiment_in_yaml_is_run_as_it_stands(experiment):
    report = experiment(heals=True)

    assert report.verdict is Verdict.PASSED
    assert [step.name for step in report.steps] == ["kill", "alive", "rb"]


def test_its_rollback_is_done_though_the_hypothesis_does_not_hold(experiment):
    report = experiment(heals=False)

    assert report.verdict is Verdict.DEVIATED
    assert report.steps[-1].name == "rb"
