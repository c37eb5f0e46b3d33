"""Who a process is, and signals that cannot hit a stranger."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from resile.core.process import boot_id, identity_of, is_alive, send_signal, signal_name


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def test_own_identity_is_alive() -> None:
    me = identity_of(os.getpid())

    assert me is not None
    assert me.pid == os.getpid()
    assert me.boot_id == boot_id()
    assert is_alive(me)


def test_a_later_owner_of_the_pid_is_somebody_else() -> None:
    me = identity_of(os.getpid())
    assert me is not None

    assert not is_alive(replace(me, start_ticks=me.start_ticks - 1))
    assert not is_alive(replace(me, boot_id="another boot"))


def test_a_zombie_is_nobody(sleeper: subprocess.Popen[bytes]) -> None:
    who = identity_of(sleeper.pid)
    assert who is not None

    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)

    assert identity_of(sleeper.pid) is None
    assert not is_alive(who)


LEADER_ENDS = """
import ctypes, os, pathlib, threading, time

def work():
    while b") Z " not in pathlib.Path(f"/proc/{os.getpid()}/stat").read_bytes():
        time.sleep(0.005)
    print("up", flush=True)
    time.sleep(600)

threading.Thread(target=work).start()
ctypes.CDLL(None).pthread_exit(None)
"""


def test_one_whose_first_thread_has_ended_lives_with_the_others() -> None:
    argv = [sys.executable, "-c", LEADER_ENDS]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"

            assert identity_of(process.pid) is not None
        finally:
            process.kill()


def test_no_process_has_no_identity() -> None:
    assert identity_of(2**22 + 1) is None


def test_a_signal_reaches_this_very_process(sleeper: subprocess.Popen[bytes]) -> None:
    who = identity_of(sleeper.pid)
    assert who is not None

    assert send_signal(who, signal.SIGTERM)

    assert sleeper.wait(30) == -signal.SIGTERM


def test_a_signal_does_not_reach_a_stranger_with_the_same_pid(
    sleeper: subprocess.Popen[bytes],
) -> None:
    who = identity_of(sleeper.pid)
    assert who is not None

    assert not send_signal(replace(who, start_ticks=who.start_ticks - 1), signal.SIGKILL)

    assert sleeper.poll() is None


def test_a_signal_to_the_dead_says_so(sleeper: subprocess.Popen[bytes]) -> None:
    who = identity_of(sleeper.pid)
    assert who is not None
    sleeper.kill()
    sleeper.wait(30)

    assert not send_signal(who, signal.SIGTERM)


@pytest.mark.parametrize(("number", "name"), [(15, "SIGTERM"), (9, "SIGKILL"), (63, "SIG63")])
def test_signals_have_names(number: int, name: str) -> None:
    assert signal_name(number) == name
