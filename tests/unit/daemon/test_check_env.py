"""A command check runs in the environment of the service that it looks at."""

import json
import sys

import pytest

from resile.core.config import load_config
from resile.core.spawning import run_bounded
from resile.core.vocabulary import CheckState
from resile.daemon.wiring import check_specs
from resile.health import LookContext, look
from resile.testing import FakeClock

ENVIRON = {"PATH": "/inherited", "A": "outer", "RESILE_GUARD_FD": "3"}


@pytest.fixture
def specs(tmp_path):
    """The specs of a live check of a service, and of a system check, which print what they see."""
    script = "import json, os; print(json.dumps(dict(os.environ)))"
    command = json.dumps([sys.executable, "-c", script])
    (tmp_path / "resile.toml").write_text(
        f"[service.s]\ncommand = ['x']\nenv = {{ A = 'inner', B = 'b' }}\n"
        f"live = {{ command = {command}, interval = '20s', timeout = '10s' }}\n"
        f"[check.c]\ncommand = {command}\ninterval = '20s'\ntimeout = '10s'\n"
    )
    config = load_config(tmp_path / "resile.toml", environ={})
    return {spec.id: spec for spec in check_specs(config, environ=ENVIRON)}


@pytest.fixture
def seen():
    """Look at a spec and give the environment that its command saw."""

    def run(spec):
        outputs = []

        def kept(*args, **options):
            ran = run_bounded(*args, **options)
            outputs.append(ran.output)
            return ran

        context = LookContext(
            clock=FakeClock(), run=kept, process_of=lambda _: None, silence_s_of=lambda _: 0.0
        )
        assert look(spec, context).state is CheckState.UP
        return json.loads(outputs[0])

    return run


def test_command_of_a_service_sees_what_the_service_sees(specs, seen):
    env = seen(specs["s.live"])

    assert (env["PATH"], env["A"], env["B"]) == ("/inherited", "inner", "b")
    assert not [name for name in env if name.startswith("RESILE_")]


def test_command_of_the_system_sees_the_daemons_own_but_what_steers_it(specs, seen, monkeypatch):
    monkeypatch.setenv("RESILE_GUARD_FD", "3")
    monkeypatch.setenv("OWN", "1")

    env = seen(specs["c"])

    assert env["OWN"] == "1"
    assert "RESILE_GUARD_FD" not in env


def test_environment_is_not_shown_with_the_check(specs):
    assert "inner" not in repr(specs["s.live"])
