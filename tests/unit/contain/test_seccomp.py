"""The seccomp filter, run in a small interpreter of its machine, for each architecture."""

import errno
import struct

import pytest

from resile.contain.model import Network
from resile.contain.sandboxes.seccomp import DENIED, GUARDED, MACHINES, QUIET, filter_for
from resile.errors import OperationError

ALLOW, KILL, TELL, ERRNO = 0x7FFF0000, 0x80000000, 0x7FC00000, 0x00050000
REFUSED = ERRNO | errno.EPERM
UID, GID = 1000, 1001
CLONE_NEWUSER, CLONE_VM, CLONE_NEWTIME = 0x10000000, 0x100, 0x80


def decide(machine: str, call: str | int, *args: int, is_observed: bool = False, audit: int = 0):
    """Run the filter for one call, as the kernel would."""
    known_audit, numbers = MACHINES[machine]
    number = numbers[call] if isinstance(call, str) else call
    words = [value & (2**64 - 1) for value in (*args, *[0] * (6 - len(args)))]
    data = struct.pack("=IIQ6Q", number, audit or known_audit, 0, *words)
    code = filter_for(
        uid=UID, gid=GID, network=Network.NONE, is_observed=is_observed, machine=machine
    )
    instructions = list(struct.iter_unpack("=HBBI", code))
    at = register = 0
    while True:
        operation, if_true, if_false, value = instructions[at]
        at += 1
        if operation == 0x20:
            register = struct.unpack_from("=I", data, value)[0]
        elif operation == 0x06:
            return value
        else:
            holds = {
                0x15: register == value,
                0x35: register >= value,
                0x45: bool(register & value),
            }[operation]
            at += if_true if holds else if_false


@pytest.fixture(params=sorted(MACHINES))
def machine(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("call", DENIED)
def test_denied_call_is_refused_or_told(machine: str, call: str) -> None:
    assert decide(machine, call) == REFUSED
    assert decide(machine, call, is_observed=True) == TELL


@pytest.mark.parametrize("call", QUIET)
def test_call_that_ordinary_programs_try_looks_unknown_and_is_never_told(
    machine: str, call: str
) -> None:
    assert decide(machine, call, is_observed=True) == ERRNO | errno.ENOSYS


@pytest.mark.parametrize(
    ("call", "args"),
    [
        ("clone", (CLONE_VM,)),
        ("clone", (CLONE_NEWTIME,)),  # A signal's number there.
        ("unshare", (0x400,)),
        ("personality", (0xFFFFFFFF,)),
        ("personality", (0,)),
        ("ioctl", (0, 0x5401)),
        ("socket", (1,)),
        ("setuid", (UID,)),
        ("setgid", (GID,)),
        ("setresuid", (-1, UID, -1)),
        ("setregid", (GID, -1)),
        ("setfsuid", (-1,)),
    ],
)
def test_harmless_use_is_allowed(machine: str, call: str, args: tuple[int, ...]) -> None:
    assert decide(machine, call, *args) == ALLOW


@pytest.mark.parametrize(
    ("call", "args"),
    [
        ("clone", (CLONE_NEWUSER | CLONE_VM,)),
        ("unshare", (CLONE_NEWUSER,)),
        ("unshare", (CLONE_NEWTIME,)),
        ("personality", (0x0040000,)),
        ("ioctl", (0, 0x5412)),
        ("ioctl", (0, 0x541C)),
        ("ioctl", (0, 0x5412 | 1 << 32)),  # The kernel looks at the low half only.
        ("socket", (40,)),
        ("setuid", (0,)),
        ("setuid", (GID,)),
        ("setgid", (UID,)),
        ("setresuid", (-1, -1, 0)),
        ("setregid", (0, -1)),
        ("setfsgid", (0,)),
    ],
)
def test_harmful_use_is_refused(machine: str, call: str, args: tuple[int, ...]) -> None:
    assert decide(machine, call, *args) == REFUSED


def test_connect_is_only_told_where_somebody_observes(machine: str) -> None:
    assert decide(machine, "connect") == ALLOW
    assert decide(machine, "connect", is_observed=True) == TELL


def test_every_other_call_is_allowed(machine: str) -> None:
    special = {MACHINES[machine][1][name] for name in (*DENIED, *QUIET, *GUARDED)}

    verdicts = {decide(machine, number) for number in range(500) if number not in special}

    assert verdicts == {ALLOW}


def test_wrong_architecture_is_killed(machine: str) -> None:
    assert decide(machine, 0, audit=0x40000003) == KILL


def test_x32_is_killed() -> None:
    assert decide("x86_64", 0x40000000 | 165) == KILL


def test_unknown_architecture_is_an_error() -> None:
    with pytest.raises(OperationError, match="riscv64"):
        filter_for(uid=0, gid=0, network=Network.NONE, is_observed=False, machine="riscv64")
