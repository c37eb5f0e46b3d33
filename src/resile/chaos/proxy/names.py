"""Questions for names, and the answers that a spoilt name server gives. Pure.

Source: RFC 1035, section 4.
"""

import ipaddress
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

_HEAD: Final = struct.Struct("!HHHHHH")
_WANTS_RECURSION: Final = 0x0100
_IS_ANSWER: Final = 0x8000
_HAS_ANSWERS: Final = _IS_ANSWER | 0x0080
"""It is an answer, and of a server that asks others."""
_RECORD: Final = struct.Struct("!HHHIH")
_ADDRESS, _INTERNET = 1, 1
_NAME_ABOVE: Final = 0xC00C
"""The name is that of the question, which begins behind the head."""
_LABEL_MAX: Final = 63


class Code(IntEnum):
    """What is wrong."""

    NOTHING = 0
    SERVER_FAILED = 2
    NO_SUCH_NAME = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked.

    Args:
        number: Of the question; its answer has the same.
        flags: As they came.
        name: In small letters, without the last dot.
        kind: Which record: 1 is an IPv4 address.
        text: The question as it came, for the answer.
    """

    number: int
    flags: int
    name: str
    kind: int
    text: bytes


def read_question(message: bytes) -> Question:
    """Read a question.

    Raises:
        ValueError: If it is none.
    """
    if len(message) < _HEAD.size:
        raise ValueError("it is too short")
    number, flags, count, *_ = _HEAD.unpack_from(message)
    if count != 1 or flags & _IS_ANSWER:
        raise ValueError("it asks nothing")
    labels, at = [], _HEAD.size
    while length := message[at : at + 1]:
        size = length[0]
        at += 1 + size
        if size == 0 or size > _LABEL_MAX:
            break
        labels.append(message[at - size : at])
    if length != b"\0" or len(message) < at + 4:
        raise ValueError("its name has no end")
    (kind,) = struct.unpack_from("!H", message, at)
    return Question(
        number=number,
        flags=flags,
        name=b".".join(labels).decode("ascii", "replace").lower(),
        kind=kind,
        text=message[_HEAD.size : at + 4],
    )


def is_about(question: Question, name: str) -> bool:
    """Tell whether a name is asked for, or one below it; the empty one is above all."""
    wanted = name.lower().rstrip(".")
    return not wanted or question.name == wanted or question.name.endswith(f".{wanted}")


def spoilt(fault: str, arguments: Mapping[str, Any], question: Question) -> bytes | None:
    """Give the answer instead of the true one; None for no answer at all."""
    if fault == "dns.redirect":
        address = ipaddress.IPv4Address(arguments["address"]).packed
        return _answer(question, Code.NOTHING, address if question.kind == _ADDRESS else b"")
    if arguments["how"] == "silence":
        return None
    is_unknown = arguments["how"] == "unknown"
    return _answer(question, Code.NO_SUCH_NAME if is_unknown else Code.SERVER_FAILED)


def _answer(question: Question, code: Code, address: bytes = b"") -> bytes:
    """Write an answer, which nobody may keep: the fault ends."""
    flags = question.flags & _WANTS_RECURSION | _HAS_ANSWERS | code
    head = _HEAD.pack(question.number, flags, 1, bool(address), 0, 0)
    record = _RECORD.pack(_NAME_ABOVE, _ADDRESS, _INTERNET, 0, len(address)) if address else b""
    return head + question.text + record + address
