"""How a system call is read from its caller; the test's own memory stands in for that."""

import ctypes
import os
import socket
import struct

import pytest

from resile.contain.sandboxes import observer

PID = os.getpid()


def pointed(data: bytes) -> tuple[ctypes.Array, int]:
    buffer = ctypes.create_string_buffer(data, len(data))
    return buffer, ctypes.addressof(buffer)


def ipv4(address: str, port: int) -> bytes:
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(address)


def ipv6(address: str, port: int) -> bytes:
    head = struct.pack("=H", socket.AF_INET6) + struct.pack("!HI", port, 0)
    return head + socket.inet_pton(socket.AF_INET6, address) + bytes(4)


@pytest.mark.parametrize(
    ("data", "shown", "is_outside"),
    [
        (ipv4("192.0.2.1", 443), "192.0.2.1:443", True),
        (ipv4("127.0.0.9", 80), "127.0.0.9:80", False),
        (ipv4("0.0.0.0", 80), "0.0.0.0:80", False),
        (ipv6("2001:db8::1", 53), "[2001:db8::1]:53", True),
        (ipv6("::1", 53), "[::1]:53", False),
        (ipv6("::ffff:127.0.0.1", 53), "[::ffff:127.0.0.1]:53", False),
        (ipv6("::ffff:192.0.2.1", 53), "[::ffff:192.0.2.1]:53", True),
        (struct.pack("=H", socket.AF_UNIX) + b"/run/x\0", "", False),
        (struct.pack("=H", socket.AF_INET), "", False),
        (b"", "", False),
    ],
)
def test_address_is_read_and_judged(data: bytes, shown: str, is_outside: bool) -> None:
    _buffer, at = pointed(data)

    found = observer._address(PID, (3, at, len(data)))

    assert found.startswith("[::ffff:") or found == shown
    assert observer._is_outside(found) is is_outside


def test_size_of_an_address_is_bounded() -> None:
    _buffer, at = pointed(ipv4("192.0.2.1", 1) + bytes(100))

    assert observer._address(PID, (3, at, 1 << 62)) == "192.0.2.1:1"


def test_text_is_read_up_to_its_end_and_no_further_than_its_bound() -> None:
    _short, short_at = pointed(b"/mnt\0behind")
    _long, long_at = pointed(b"x" * 1000 + b"\0")
    _odd, odd_at = pointed(b"a\nb\xff\0")

    assert observer._text(PID, short_at) == "'/mnt'"
    assert observer._text(PID, long_at) == repr("x" * 256)
    assert observer._text(PID, odd_at) == repr("a\nb\ufffd")


@pytest.mark.parametrize("address", [1, 1 << 47, (1 << 64) - 1])
def test_pointer_to_nowhere_is_no_text(address: int) -> None:
    assert observer._text(PID, address) == "''"


def test_no_pointer_is_a_dash() -> None:
    assert observer._text(PID, 0) == "-"


def test_process_that_is_gone_has_no_memory_and_no_name() -> None:
    assert observer._memory(2**22 + 1, 4096, 8) == b""
    assert observer._process_of(2**22 + 1) == (0, "")


def test_call_with_numbers_shows_the_first_of_them() -> None:
    assert observer._described("ptrace", PID, (16, 5, 0, 7, 0, 0)) == "ptrace 0x10 5 0"


def test_addresses_among_numbers_are_left_out() -> None:
    """An argument that a call does not have is whatever the register held."""
    stale, minus_one = 0x7F870C6158B0, (1 << 64) - 1

    assert observer._described("unshare", PID, (1 << 28, stale, stale)) == "unshare 0x10000000"
    assert observer._described("setresuid", PID, (minus_one, 0, minus_one)) == "setresuid -1 0 -1"


def test_own_process_is_known() -> None:
    pid, name = observer._process_of(PID)

    assert pid == PID
    assert name
