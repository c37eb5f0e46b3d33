import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resile.core.codec import decode, encode
from resile.core.vocabulary import CheckState, Priority


@dataclass(frozen=True, kw_only=True)
class Inner:
    name: str
    at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Outer:
    count: int
    share: float
    is_on: bool
    state: CheckState
    inner: Inner
    others: tuple[Inner, ...] = ()
    words: frozenset[str] = frozenset()
    by_priority: Mapping[Priority, int] = field(default_factory=dict)
    anything: Mapping[str, Any] = field(default_factory=dict)
    nothing: str | None = None


TEXT = st.text(max_size=8)
INNERS = st.builds(Inner, name=TEXT, at=st.none() | st.datetimes(timezones=st.just(UTC)))
OUTERS = st.builds(
    Outer,
    count=st.integers(),
    share=st.floats(allow_nan=False, allow_infinity=False),
    is_on=st.booleans(),
    state=st.sampled_from(CheckState),
    inner=INNERS,
    others=st.lists(INNERS, max_size=3).map(tuple),
    words=st.frozensets(TEXT, max_size=3),
    by_priority=st.dictionaries(st.sampled_from(Priority), st.integers()),
    anything=st.dictionaries(TEXT, st.integers() | TEXT | st.none() | st.lists(TEXT)),
    nothing=st.none() | TEXT,
)
PLAIN: dict[str, Any] = {
    "count": 1,
    "share": 0.5,
    "is_on": True,
    "state": "UP",
    "inner": {"name": "x"},
}


@given(OUTERS)
def test_what_was_encoded_is_decoded_as_it_was(value: Outer) -> None:
    assert decode(Outer, json.loads(json.dumps(encode(value)))) == value


def test_a_time_keeps_its_moment_in_any_zone() -> None:
    at = datetime(2030, 1, 1, tzinfo=timezone(timedelta(hours=5)))

    assert decode(Inner, encode(Inner(name="x", at=at))).at == at


def test_a_missing_field_takes_its_default_and_an_unknown_one_is_ignored() -> None:
    assert decode(Outer, {**PLAIN, "of_a_newer_version": 1}).words == frozenset()


def test_a_whole_number_is_good_for_a_float() -> None:
    share = decode(Outer, {**PLAIN, "share": 1}).share

    assert isinstance(share, float)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", "1"),
        ("state", "SIDEWAYS"),
        ("inner", None),
        ("inner", 7),
        ("inner", {}),
        ("others", 5),
        ("by_priority", 5),
        ("inner", {"name": "x", "at": "yesterday"}),
        ("share", "much"),
        ("share", None),
        ("inner", {"name": "x", "at": 5}),
    ],
)
def test_data_that_does_not_fit_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError):
        decode(Outer, {**PLAIN, name: value})


def test_a_missing_field_without_a_default_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit Outer"):
        decode(Outer, {})


def test_a_set_is_written_in_order() -> None:
    assert encode(frozenset({"b", "a", "c"})) == ["a", "b", "c"]
