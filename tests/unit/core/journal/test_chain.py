import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.journals import an_event

from resile.core.journal import Head, format_head, parse_head
from resile.core.journal.chain import canonical_bytes, prepare
from resile.testing import MemoryJournal

FIELDS = st.tuples(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    st.integers(-(2**63), 2**63 - 1),
    *[st.text(st.characters(exclude_categories=["Cs"]), max_size=6)] * 4,
    st.integers(-(2**63), 2**63 - 1),
    st.binary(max_size=6),
)


@given(one=FIELDS, other=FIELDS)
def test_different_fields_have_different_bytes(
    one: tuple[str, int, str, str, str, str, int, bytes],
    other: tuple[str, int, str, str, str, str, int, bytes],
) -> None:
    assert (canonical_bytes(*one) == canonical_bytes(*other)) == (one == other)


def test_no_field_runs_into_the_next() -> None:
    one = canonical_bytes("a", 0, "b\0", "c", "", "", 1, b"")

    assert one != canonical_bytes("a", 0, "b", "\0c", "", "", 1, b"")
    assert one != canonical_bytes("a\0", 0, "b", "c", "", "", 1, b"")


@given(seq=st.integers(0, 2**60), digest=st.binary(min_size=32, max_size=32))
def test_a_written_head_is_read_back(seq: int, digest: bytes) -> None:
    head = Head(seq=seq, hash=digest)

    assert parse_head(f" {format_head(head)}\n") == head


@pytest.mark.parametrize(
    "text", ["", "1", "1:", ":" + "0" * 64, "x:" + "0" * 64, "1:" + "0" * 63, "1:" + "g" * 64]
)
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"SEQ:HASH|hexadecimal"):
        parse_head(text)


def test_only_the_journal_speaks_for_the_journal() -> None:
    """Segments are removed on the word of `journal.pruned`."""
    with pytest.raises(AssertionError, match="only the journal itself"):
        MemoryJournal().append(an_event(kind="journal.pruned"))

    assert prepare(an_event(kind="journal.pruned"), is_own=True)
