"""In a service of a system guards follow the system's file by themselves."""

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.reloads import without_guards, writer

import resile
from resile.clients.starting import connect_in_system
from resile.core.vocabulary import CONFIG_VARIABLE, STATE_VARIABLE
from resile.policies import reloading
from resile.policies.registry import REGISTRY
from resile.policies.reloading import Loaded, load


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    return writer(tmp_path)


@pytest.fixture(autouse=True)
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Let this process be a service whose daemon does not listen."""
    without_guards(monkeypatch)
    monkeypatch.setattr(reloading, "_SYSTEM_EVERY_S", 3600.0)  # The tests look themselves.
    monkeypatch.delenv(STATE_VARIABLE, raising=False)
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "resile.toml"))
    yield
    if isinstance(REGISTRY.follows, Loaded):
        REGISTRY.follows.close()
    for thread in threading.enumerate():
        if thread.name == "resile-load":
            thread.join(20)


def system() -> Loaded:
    connect_in_system()
    assert isinstance(REGISTRY.follows, Loaded)
    return REGISTRY.follows


def is_watched(loaded: Loaded) -> bool:
    return bool(loaded._every_s) and not loaded._end.is_set()


def attempts_of(name: str) -> int:
    part = resile.guard(name).policy.parts()[0]
    assert isinstance(part, resile.Retry)
    return part.attempts


def test_guards_follow_the_file_of_the_system(write: Callable[[str], Path]) -> None:
    write("[policy.db]\nretry = 4\n[service.web]\ncommand = ['x']")
    loaded = system()
    resile.guard("db", retry=2)
    assert attempts_of("db") == 4

    write("[policy.db]\nretry = 5")
    assert (loaded.look(), loaded.look()) == (False, True)
    assert attempts_of("db") == 5
    assert is_watched(loaded)


def test_it_is_watched_once(write: Callable[[str], Path]) -> None:
    write("")
    loaded = system()

    assert system() is loaded


@pytest.mark.parametrize("is_first", [True, False])
def test_a_file_that_the_program_loads_takes_its_place(
    write: Callable[[str], Path], tmp_path: Path, *, is_first: bool
) -> None:
    write("[policy.db]\nretry = 4")
    other = tmp_path / "own.toml"
    other.write_text("[policy.db]\nretry = 7")
    before = None if is_first else system()

    with load(other, watch=True) as own:
        connect_in_system()
        resile.guard("db", retry=2)

        assert REGISTRY.follows is own
        assert attempts_of("db") == 7
        assert before is None or not is_watched(before)
        with load(tmp_path / "resile.toml", watch=True):
            assert not is_watched(own)


@pytest.mark.parametrize("text", ["[policy.db", "[policy.db]\nretry = 0", None])
def test_a_file_that_is_broken_at_the_start_is_logged_and_mended_later(
    text: str | None, write: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    if text is not None:
        write(text)
    loaded = system()
    resile.guard("db", retry=2)

    assert attempts_of("db") == 2
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.message.startswith(f"policies.reload_refused path={loaded.path} problems=")

    write("[policy.db]\nretry = 5")
    assert (loaded.look(), loaded.look()) == (False, True)
    assert attempts_of("db") == 5


def test_what_does_not_fit_to_the_code_is_logged_once_and_the_code_holds(
    write: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    write("[policy.db]\nbreaker = true\n[policy.mail]\nretry = 5")
    system()
    stack = resile.stack(resile.Retry(attempts=2))

    for _ in range(3):
        resile.guard("db", stack)
    resile.guard("mail", retry=3)

    assert (attempts_of("db"), attempts_of("mail")) == (2, 5)
    (record,) = caplog.records
    assert "policy.db.breaker" in record.message


def test_without_a_system_nothing_is_loaded() -> None:
    code = (
        "import sys, resile; resile.guard;"
        "print([m for m in sys.modules if m in ('resile.policies.reloading', 'tomllib', 'logging')])"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={}
    )

    assert done.stdout == "[]\n"
