"""Experiments in TOML: what may be written, and every mistake at once."""

import tomllib

import pytest
from tests.support.chaotic import TableFault, World

from resile.chaos import (
    HttpCall,
    Injection,
    Pause,
    ProcessCall,
    PythonCall,
    ServiceCall,
    Settle,
)
from resile.chaos.catalogue import FAULTS
from resile.chaos.experiments.model import ToleranceKind
from resile.chaos.experiments.own import read_own

TABLE = TableFault(World())
CATALOGUE = {**FAULTS, TABLE.name: TABLE}

WHOLE = """
version = 1
title = "Everything that may be written"
description = "d"

[recovery]
within = "20s"

[[probe]]
http = "http://127.0.0.1:8481/health/ready"
guard = true
patience = "3s"
timeout = "500ms"

[[probe]]
name = "listed"
run = ["ls", "-l"]

[[probe]]
call = "os.path:exists"
arguments = { path = "x" }

[[probe]]
service = "api"
expect = ["UP", "DEGRADED"]

[[probe]]
http = "http://127.0.0.1:1/json"
expect = { type = "jsonpath", path = "$.ok", expect = true, target = "body" }

[[step]]
fault = "network.latency"
target = "127.0.0.1:8482"
with = { latency = "200ms", listen = "127.0.0.1:9000" }
background = true
ttl = "2m"

[[step]]
fault = "process.kill"
target = "service/api"

[[step]]
pause = "1s"

[[step]]
steady = "30s"

[[step]]
http = "http://127.0.0.1:8481/jobs"
method = "post"
arguments = { n = 1 }
headers = { "Content-Type" = "application/json" }
expect = 202

[[step]]
run = ["true"]
action = false
background = true

[[rollback]]
run = ["rm", "-f", "x"]
"""


def read(text):
    problems = []
    return read_own(tomllib.loads(text), CATALOGUE, problems), problems


def test_everything_that_may_be_written_is_read():
    found, problems = read(WHOLE)

    assert problems == []
    assert found.recovers_within_s == 20.0
    assert not found.is_judged_before_rollbacks
    ready, listed, there, api, json = found.probes
    assert ready.call == HttpCall(url="http://127.0.0.1:8481/health/ready", timeout_s=0.5)
    assert (ready.is_guard, ready.patience_s, ready.tolerance.value) == (True, 3.0, 200)
    assert ready.name == "GET http://127.0.0.1:8481/health/ready"
    assert listed.call == ProcessCall(path="ls", arguments=("-l",), timeout_s=10.0)
    assert there.call == PythonCall(module="os.path", func="exists", arguments={"path": "x"})
    assert api.call == ServiceCall(service="api")
    assert json.tolerance.kind is ToleranceKind.JSONPATH
    late, kill, pause, settle, post, beside = found.method
    assert isinstance(late, Injection)
    assert late.wish.arguments["latency"] == 0.2
    assert (late.hold_s, late.wish.ttl_s, late.is_background) == (5.0, 120.0, True)
    assert (kill.hold_s, kill.wish.ttl_s, kill.name) == (0.0, 30.0, "process.kill service/api")
    assert pause == Pause(name="pause", pause_s=1.0)
    assert settle == Settle(name="steady again", within_s=30.0)
    assert (post.call.method, post.tolerance.value, post.is_action) == ("POST", 202, True)
    assert (beside.is_action, beside.is_background, beside.tolerance) == (False, True, None)
    assert found.injections == (late, kill)


def test_every_mistake_is_told_at_once():
    _, problems = read(
        """
        titel = "x"
        [recovery]
        within = "soon"
        whithin = 1
        [[probe]]
        http = "http://x"
        run = ["ls"]
        [[probe]]
        run = "ls -l"
        [[probe]]
        call = "os.path.exists"
        patience = "2d"
        [[probe]]
        service = 3
        expect = { type = "regex" }
        [[step]]
        fault = "process.kil"
        [[step]]
        fault = "network.latency"
        with = { latancy = "1s" }
        for = "10s"
        ttl = "5s"
        [[step]]
        fault = "table.break"
        with = { size = "2GiB" }
        colour = "red"
        [[step]]
        [[rollback]]
        call = ""
        """
    )
    text = "\n".join(problems)

    for wanted in (
        "version: has to be 1",
        "title: is missing",
        "titel: there is no such key; did you mean title?",
        "recovery.within: 'soon' is not a duration",
        "recovery.whithin: there is no such key; did you mean within?",
        "probe[1]: a probe needs exactly one of http, run, call, service; there is http, run",
        "probe[2].run: has to be a list of texts",
        'probe[3].call: has to be "module:function"',
        "probe[3].patience: 2d is not within",
        "probe[4].service: has to be a text",
        "probe[4].expect: a regex needs a pattern",
        "step[1].fault: there is no fault 'process.kil'; did you mean process.kill?",
        "step[2].with: there is no option 'latancy'; did you mean latency?",
        "step[2].with: latency is missing",
        "step[2].ttl: is shorter than the fault is held",
        "step[3].with: size",
        "step[3].colour: there is no such key",
        "step[4]: a step needs exactly one of http, run, call, service; there is none",
        "rollback[1].call: has to be a text",
    ):
        assert wanted in text, wanted


def test_an_experiment_without_probes_or_steps_is_none():
    _, problems = read('version = 1\ntitle = "t"')

    assert any("no [[step]]" in problem for problem in problems)
    assert any("no [[probe]]" in problem for problem in problems)


@pytest.mark.parametrize(
    "text",
    [
        'probe = "x"',
        "probe = [3]",
        'recovery = "x"',
        "step = [[]]",
        'version = "1"',
        '[[step]]\nfault = ["x"]',
        '[[step]]\nfault = "table.break"\nwith = 3\nfor = true\nbackground = "yes"',
    ],
)
def test_what_has_another_shape_is_told_and_never_breaks(text):
    _, problems = read(text)

    assert problems


def test_no_more_steps_than_anybody_means():
    _, problems = read('version=1\ntitle="t"\n' + '[[step]]\npause="1s"\n' * 201)

    assert any("may have 200" in problem for problem in problems)
