"""What one access shows, and what bursts of them do."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from resile.core.vocabulary import AccessOutcome
from resile.secrets.anomaly.model import Access, Settings, Signal
from resile.secrets.anomaly.signals import (
    FAILING_MAX,
    NAMES_MAX,
    Conduct,
    Trait,
    first_seen,
    of_access,
    of_traits,
    traits_of,
)

AT = datetime(2030, 1, 7, tzinfo=UTC)
SETTINGS = Settings(canaries=frozenset({"root/key"}))
GIVEN = Access(
    client="service/a",
    name="db/password",
    version_number="3",
    outcome=AccessOutcome.GIVEN,
    at=AT,
    pid=7,
    uid=0,
    program="/usr/bin/a",
)
DENIED = replace(GIVEN, outcome=AccessOutcome.DENIED, version_number="")


def signals(access: Access, settings: Settings = SETTINGS) -> list[Signal]:
    return [sign.signal for sign in of_access(access, settings)]


@pytest.mark.parametrize("outcome", AccessOutcome)
def test_a_canary_is_one_whatever_came_of_the_question(outcome: AccessOutcome) -> None:
    (sign, *_) = of_access(replace(GIVEN, name="root/key", outcome=outcome), SETTINGS)

    assert sign.signal is Signal.CANARY
    assert sign.names == ("root/key",)
    assert "root/key" in sign.why


def test_a_retired_version_that_was_asked_for_by_number_shows_an_old_copy() -> None:
    (sign,) = of_access(replace(GIVEN, outcome=AccessOutcome.REVOKED), SETTINGS)

    assert sign.signal is Signal.RETIRED_VERSION
    assert "version 3 of db/password" in sign.why


def test_an_operator_who_asks_for_a_retired_version_is_no_proof_of_anything() -> None:
    access = replace(GIVEN, client="user/0/resile", outcome=AccessOutcome.REVOKED)

    assert signals(access) == [Signal.RETIRED_ASKED]


@pytest.mark.parametrize("number", ["", "current", "previous", "pending", "retired"])
def test_who_asks_for_the_current_version_of_a_revoked_secret_has_no_old_copy(number: str) -> None:
    access = replace(GIVEN, outcome=AccessOutcome.REVOKED, version_number=number)

    assert signals(access) == []


@pytest.mark.parametrize(
    "outcome", [one for one in AccessOutcome if one is not AccessOutcome.REVOKED]
)
def test_an_ordinary_access_shows_nothing(outcome: AccessOutcome) -> None:
    assert signals(replace(GIVEN, outcome=outcome)) == []


@pytest.mark.parametrize(
    ("change", "signal"),
    [
        ({"uid": 1000}, Signal.UNKNOWN_UID),
        ({"program": "/tmp/a"}, Signal.UNKNOWN_PROGRAM),
        ({"home": "host-b"}, Signal.UNKNOWN_HOME),
    ],
)
def test_a_known_client_that_is_another_than_ever_is_told(
    change: dict[str, object], signal: Signal
) -> None:
    known = {Trait.UID: {"0"}, Trait.PROGRAM: {"/usr/bin/a"}, Trait.HOME: {"host-a"}}
    access = replace(GIVEN, **({"home": "host-a"} | change))  # type: ignore[arg-type]

    (sign,) = of_traits(access, known)

    assert sign.signal is signal
    assert str(*change.values()) in sign.why


def test_what_nobody_could_tell_of_a_client_is_no_sign() -> None:
    access = replace(GIVEN, program="", home="")

    assert traits_of(access) == {Trait.UID: "0"}
    assert list(of_traits(access, {Trait.UID: {"0"}, Trait.PROGRAM: {"/usr/bin/a"}})) == []
    assert list(of_traits(GIVEN, {})) == []


def test_a_first_reader_is_told_by_its_secret() -> None:
    assert first_seen(GIVEN, is_first_client=False).names == ("db/password",)
    assert "is new" in first_seen(GIVEN, is_first_client=True).why


def test_denials_are_a_burst_when_enough_of_them_come_close_together() -> None:
    conduct = Conduct(SETTINGS)

    found = [list(conduct.asked(DENIED, second)) for second in range(SETTINGS.denials)]

    assert [bool(one) for one in found] == [False] * 9 + [True]
    assert found[-1][0].signal is Signal.DENIALS


def test_denials_far_apart_are_none() -> None:
    conduct = Conduct(SETTINGS)
    apart_s = SETTINGS.denials_within_s / (SETTINGS.denials - 1) + 1

    assert not any(list(conduct.asked(DENIED, n * apart_s)) for n in range(100))


def test_questions_for_names_that_do_not_exist_are_denials_and_others_are_not() -> None:
    for outcome in AccessOutcome:
        conduct = Conduct(SETTINGS)
        access = replace(GIVEN, outcome=outcome, count=1_000_000)

        is_refused = outcome in (AccessOutcome.DENIED, AccessOutcome.UNKNOWN)
        assert bool(list(conduct.asked(access, 0.0))) == is_refused


def test_a_clock_that_is_set_back_makes_no_burst() -> None:
    conduct = Conduct(SETTINGS)

    assert not any(list(conduct.asked(DENIED, 1e6 - n * 3600)) for n in range(20))


def test_logins_that_fail_again_and_again_are_told_for_one_secret() -> None:
    conduct = Conduct(SETTINGS)

    others = [list(conduct.failed(f"secret-{n}", n)) for n in range(FAILING_MAX * 2)]
    found = [list(conduct.failed("db/password", second)) for second in range(SETTINGS.failures)]

    assert not any(others)
    assert [bool(one) for one in found] == [False] * 4 + [True]
    assert found[-1][0].signal is Signal.AUTH_FAILURES
    assert len(conduct._failures) == FAILING_MAX


def ask_for(conduct: Conduct, count: int, at_s: float = 0.0) -> list[Signal]:
    found = []
    for number in range(count):
        found += conduct.asked(replace(GIVEN, name=f"secret-{number}"), at_s)
    return [sign.signal for sign in found]


def test_three_times_as_many_secrets_as_ever_are_too_broad() -> None:
    assert ask_for(Conduct(SETTINGS, breadth=4.0), 12) == []
    assert ask_for(Conduct(SETTINGS, breadth=4.0), 13) == [Signal.BREADTH]


def test_few_secrets_are_never_too_broad() -> None:
    assert ask_for(Conduct(SETTINGS, breadth=1.0), SETTINGS.breadth_min - 1) == []


def test_secrets_of_an_hour_ago_do_not_count() -> None:
    conduct = Conduct(SETTINGS, breadth=4.0)

    assert ask_for(conduct, 12) == []
    assert list(conduct.asked(replace(GIVEN, name="one-more"), 3600.0)) == []
    assert conduct.latest() == ("one-more",)


def test_so_many_names_are_told_apart_and_no_more() -> None:
    conduct = Conduct(SETTINGS)

    ask_for(conduct, NAMES_MAX + 100)

    assert len(conduct._asked) == NAMES_MAX


def test_a_usual_hour_teaches_its_breadth_and_time_forgets_it() -> None:
    conduct = Conduct(SETTINGS)
    ask_for(conduct, 5)

    conduct.end_hour(is_learning=False)
    after = conduct.breadth
    for _ in range(24 * 30):
        conduct.end_hour(is_learning=False)

    assert after == 5
    assert 2 < conduct.breadth < 3


def test_a_hoard_in_one_hour_does_not_become_usual() -> None:
    conduct = Conduct(SETTINGS, breadth=4.0)
    assert Signal.BREADTH in ask_for(conduct, 500)

    conduct.end_hour(is_learning=False)

    assert conduct.breadth == 5.0


def test_while_all_is_learnt_a_broad_hour_is_usual_afterwards() -> None:
    conduct = Conduct(SETTINGS)
    assert Signal.BREADTH in ask_for(conduct, 40)

    conduct.end_hour(is_learning=True)

    assert conduct.breadth == 40


def test_settings_out_of_range_are_a_mistake_of_the_programmer() -> None:
    for wrong in ({"denials": 0}, {"failures_within_s": 0.0}, {"learn_s": -1.0}):
        with pytest.raises(AssertionError, match="out of range"):
            replace(SETTINGS, **wrong)  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="out of range"):
        Settings(breadth_factor=0.5)
