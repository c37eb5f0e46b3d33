"""Nothing that comes over a lane is taken on trust."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resile.clients import wire

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4))
def test_a_message_comes_back_from_its_line(message: dict[str, object]) -> None:
    line = wire.to_line(message)

    assert wire.from_line(line) == message
    assert line.count(b"\n") == 1


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[1]",
        b'"text"',
        b"\xff\xfe",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b"[" * 200_000,
        b'{"a":' * 100_000,
    ],
)
def test_what_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.from_line(line)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}, "x" * (1 << 20)])
def test_what_no_line_can_hold_is_not_written(value: object) -> None:
    with pytest.raises(wire.WireError):
        wire.to_line({"publish": "policies", "value": value})


def test_what_holds_itself_is_not_written() -> None:
    value: list[object] = []
    value.append(value)

    with pytest.raises(wire.WireError):
        wire.to_line({"value": value})


@given(st.lists(st.integers(1, 7), max_size=20))
def test_lines_come_in_pieces(sizes: list[int]) -> None:
    data, lines = b'{"a": 1}\n{}\n{"b": ', wire.Lines()
    found = []

    for size in [*sizes, len(data)]:
        found += lines.feed(data[:size])
        data = data[size:]
    found += lines.feed(b"2}\n")

    assert found == [{"a": 1}, {}, {"b": 2}]


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory() -> None:
    lines = wire.Lines()
    lines.feed(b"x" * wire.LINE_BYTES_MAX)

    with pytest.raises(wire.WireError, match="more than"):
        lines.feed(b"x")


@pytest.mark.parametrize(
    ("value", "number"),
    [(3, 3.0), (2.5, 2.5), (-1, 0.0), (10**400, 1e15), (True, 0.0), ("7", 0.0), (None, 0.0)],
)
def test_a_number_from_outside_is_in_bounds(value: object, number: float) -> None:
    assert wire.number_of(value) == number


def test_text_from_outside_is_clipped_and_can_be_written() -> None:
    assert wire.text_of("a\ud800b") == "a?b"
    assert len(wire.text_of("x" * 1000)) == wire.TEXT_LENGTH_MAX
    assert wire.text_of(["list"]) == ""
    assert wire.text_of("a\x1b[2J\nb\x9bc") == "a [2J b c"


@pytest.mark.parametrize("name", ["", "Policies", "a-b", "a" * 33, "é", None, 3, "a\n"])
def test_what_is_no_topic(name: object) -> None:
    assert not wire.is_topic(name)
    assert wire.is_topic("degradation")
