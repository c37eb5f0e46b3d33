"""What a process is called, and what keeps others from looking into the keeper's memory."""

import subprocess
import sys
from pathlib import Path

import pytest

from resile.clients.secrets_line import SOCKET_NAME
from resile.core.vocabulary import STATE_VARIABLE
from resile.daemon.handing import __main__ as handing
from resile.daemon.secretkeeper import server
from resile.daemon.secretkeeper.estate import _Rotators
from resile.daemon.secretkeeper.managing import value_of
from resile.daemon.secretkeeper.model import Plan, SecretPlan, plan_of
from resile.daemon.secretkeeper.peers import _script
from resile.errors import ConfigError
from resile.testing import FakeClock
from resile.testing.secrets import FakeProvider

HARDENED = """
import ctypes, resource
from resile.daemon.secretkeeper.hardening import harden
harden()
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))
import threading
threads = [threading.Thread(target=lambda: None) for _ in range(32)]
[thread.start() for thread in threads]
print(len(bytes(1 << 24)))
"""
"""PR_GET_DUMPABLE is 3."""


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["/srv/app.py", "-x"], "app.py"),
        (["-I", "-X", "dev", "-m", "resile.cli", "up"], "resile.cli"),
        (["-W", "error", "/usr/bin/resile", "status"], "resile"),
        (["-c", "import app"], ""),
        (["-"], ""),
        (["-m"], ""),
        ([], ""),
    ],
)
def test_process_of_an_interpreter_is_called_as_its_script(words: list[str], name: str) -> None:
    assert _script(words) == name


def test_keeper_leaves_no_core_and_still_has_memory_and_threads() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HARDENED], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["0", "0", "0", str(1 << 24)]


def test_both_ends_mean_the_same_socket() -> None:
    assert server.SOCKET_NAME == SOCKET_NAME
    assert STATE_VARIABLE.startswith("RESILE_")
    assert handing.FOLDER_VARIABLE == "RESILE_SECRETS_DIR"


@pytest.mark.parametrize("text", ["no base64!", "aGk", 7, None])
def test_value_that_is_none_is_refused_without_being_told(text: object) -> None:
    with pytest.raises(ConfigError) as caught:
        value_of({"value": text})

    assert str(text) not in str(caught.value)
    assert value_of({"value": "aGk="}) == b"hi"


def test_secrets_that_are_made_with_another_one_are_known() -> None:
    tables = {
        "admin": None,
        "ca": None,
        "db": {"kind": "postgres", "admin": "admin"},
        "aws": {"kind": "aws-database", "database": {"kind": "postgres", "admin": "admin"}},
        "tls": {"kind": "tls", "ca": "ca"},
        "key": {"kind": "random"},
    }
    plan = Plan(
        state=Path("/state"),
        settings={},
        secrets={n: SecretPlan(name=n, rotator=table) for n, table in tables.items()},
    )
    rotators = _Rotators(plan, FakeProvider(), clock=FakeClock())

    assert rotators.dependents("admin") == ("db", "aws")
    assert rotators.dependents("ca") == ("tls",)
    assert rotators.dependents("key") == ()
    assert rotators.of("admin") is None


def test_plan_has_what_holds_for_all_where_a_secret_says_nothing() -> None:
    table = {
        "services": ["web"],
        "deliver": "env",
        "variable": "",
        "signal": "",
        "canary": False,
        "every": 60.0,
        "rule": "",
        "deadline": 3.0,
        "ttl": 5.0,
    }
    config = {"secrets": {"ttl": 300.0, "max_stale": 3600.0}, "secret": {"db/password": table}}

    plan = plan_of(config, state=Path("/state"))

    declared, other = plan.secret("db/password"), plan.secret("other")
    assert (declared.ttl_s, declared.max_stale_s, declared.variable) == (5.0, 3600.0, "DB_PASSWORD")
    assert (other.ttl_s, other.services, other.rotator) == (300.0, (), None)
    assert plan.handed_to("web") == (declared,)
    assert plan.handed_to("job") == ()
