"""Questions to a name server: what is read of them, and how they are answered wrongly."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resile.chaos.proxy.names import is_about, read_question, spoilt

A, AAAA = 1, 28


def asked(name="shop.example", kind=A, number=7):
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part)
    head = struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0)
    return head + labels + b"\0" + struct.pack("!HH", kind, 1)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        asked()[:11],
        asked()[:-1],
        asked()[:20],
        asked()[:12],
        asked()[:12] + b"\xc0\x0c" + asked()[-4:],
        struct.pack("!HHHHHH", 7, 0x8180, 1, 0, 0, 0) + asked()[12:],
        struct.pack("!HHHHHH", 7, 0x0100, 2, 0, 0, 0) + asked()[12:],
    ],
    ids=["empty", "head", "class", "label", "name", "pointer", "answer", "two"],
)
def test_what_is_no_question_is_wrong(message):
    with pytest.raises(ValueError, match="it"):
        read_question(message)


@given(st.binary(max_size=200))
def test_nothing_else_comes_of_what_is_no_question(message):
    with contextlib.suppress(ValueError):
        read_question(message)


def test_a_question_is_read():
    question = read_question(asked("Shop.Example") + b"more")

    assert (question.name, question.kind, question.number) == ("shop.example", A, 7)


@pytest.mark.parametrize(
    ("name", "is_meant"),
    [
        ("", True),
        ("example", True),
        ("shop.example", True),
        ("SHOP.example.", True),
        ("op.example", False),
        ("www.shop.example", False),
    ],
)
def test_a_name_is_meant_with_those_below_it(name, is_meant):
    assert is_about(read_question(asked()), name) == is_meant


@pytest.mark.parametrize(("how", "code"), [("failure", 2), ("unknown", 3)])
def test_a_name_is_not_found(how, code):
    answer = spoilt("dns.fail", {"how": how}, read_question(asked()))

    assert struct.unpack("!HHHHHH", answer[:12]) == (7, 0x8180 | code, 1, 0, 0, 0)
    assert answer[12:] == asked()[12:]


def test_silence_is_no_answer():
    assert spoilt("dns.fail", {"how": "silence"}, read_question(asked())) is None


def test_a_name_leads_to_another_address_that_nobody_may_keep():
    answer = spoilt("dns.redirect", {"address": "192.0.2.7"}, read_question(asked()))

    assert answer.endswith(struct.pack("!HHHIH", 0xC00C, A, 1, 0, 4) + bytes((192, 0, 2, 7)))


def test_a_name_that_leads_elsewhere_has_no_other_records():
    answer = spoilt("dns.redirect", {"address": "192.0.2.7"}, read_question(asked(kind=AAAA)))

    assert struct.unpack("!HHHHHH", answer[:12]) == (7, 0x8180, 1, 0, 0, 0)
