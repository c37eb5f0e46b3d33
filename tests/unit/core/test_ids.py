import re
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from resile.core.ids import derived_id, made_at, new_id

TIMES = st.timedeltas(timedelta(days=1), timedelta(days=2_000_000)).map(
    lambda age: datetime(1970, 1, 1, tzinfo=UTC) + age
)


def test_an_id_has_its_prefix_and_26_characters_without_look_alikes() -> None:
    assert re.fullmatch(r"evt_[0-9A-HJKMNP-TV-Z]{26}", new_id("evt"))


def test_ids_of_one_moment_differ() -> None:
    at = datetime(2030, 1, 1, tzinfo=UTC)

    assert len({new_id("evt", at=at) for _ in range(1000)}) == 1000


@given(at=TIMES, later_ms=st.integers(1, 10**9))
def test_ids_sort_by_time(at: datetime, later_ms: int) -> None:
    later = at + timedelta(milliseconds=later_ms + 1)

    assert new_id("evt", at=at) < new_id("evt", at=later)


@given(at=TIMES, seed=st.binary(min_size=10, max_size=40))
def test_a_derived_id_is_the_same_again(at: datetime, seed: bytes) -> None:
    assert derived_id("flt", at=at, seed=seed) == derived_id("flt", at=at, seed=seed)


@given(at=TIMES, one=st.binary(min_size=10), other=st.binary(min_size=10))
def test_derived_ids_of_different_seeds_differ(at: datetime, one: bytes, other: bytes) -> None:
    is_same = derived_id("flt", at=at, seed=one) == derived_id("flt", at=at, seed=other)

    assert is_same == (one[:10] == other[:10])


@given(at=TIMES)
def test_an_id_tells_when_it_was_made(at: datetime) -> None:
    told = made_at(new_id("rotation", at=at))

    assert told is not None
    assert timedelta() <= at - told < timedelta(milliseconds=2)


def test_what_is_no_id_was_made_at_no_time() -> None:
    for text in ("", "rotation", "evt_1", f"evt_{'U' * 26}", f"evt_{'Z' * 26}"):
        assert made_at(text) is None
