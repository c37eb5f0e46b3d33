"""How bad signals are together, what is done, and what excuses; with planted mistakes that must be found."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.policy_mutants import Mutant

from resile.core.vocabulary import SecretResponse
from resile.secrets.anomaly.decide import Standing, counts, decide, is_proof, score
from resile.secrets.anomaly.model import Signal

RESPONSES = list(SecretResponse)
PROOFS = {Signal.CANARY, Signal.RETIRED_VERSION}
STATISTICS = {Signal.RATE, Signal.FLOOD}
SIGNALS = st.sets(st.sampled_from(Signal))


def response(*signals: Signal) -> SecretResponse:
    return decide(signals, counted=signals).response


def check_that_nothing_is_nothing() -> None:
    assert decide((), counted=()).score == 0
    assert response() is SecretResponse.LOG


def check_the_ladder() -> None:
    assert response(Signal.FIRST_SEEN) is SecretResponse.LOG
    assert response(Signal.UNKNOWN_PROGRAM) is SecretResponse.LOG
    assert response(Signal.AUTH_FAILURES) is SecretResponse.ALERT
    assert response(Signal.RETIRED_ASKED) is SecretResponse.ALERT
    assert response(Signal.RATE) is SecretResponse.ALERT
    assert response(Signal.MEMORY_LOST) is SecretResponse.ALERT
    assert response(Signal.UNKNOWN_UID) is SecretResponse.ALERT
    assert response(Signal.RATE, Signal.FIRST_SEEN) is SecretResponse.STEP_UP
    assert response(Signal.RETIRED_LOGIN) is SecretResponse.STEP_UP
    assert response(Signal.FLOOD) is SecretResponse.ROTATE
    assert response(Signal.BREADTH, Signal.DENIALS) is SecretResponse.QUARANTINE


def check_that_proofs_quarantine_alone() -> None:
    for signal in Signal:
        assert (response(signal) is SecretResponse.QUARANTINE) == (signal in PROOFS)
        assert is_proof(signal) == (signal in PROOFS)
        assert response(signal, Signal.CANARY) is SecretResponse.QUARANTINE


def check_that_a_statistic_needs_evidence_for_more_than_a_rotation() -> None:
    assert response(*STATISTICS) is SecretResponse.ROTATE
    assert response(Signal.FLOOD, Signal.FIRST_SEEN) is SecretResponse.ROTATE
    assert response(Signal.FLOOD, Signal.UNKNOWN_PROGRAM) is SecretResponse.ROTATE
    assert response(Signal.FLOOD, Signal.AUTH_FAILURES) is SecretResponse.QUARANTINE
    assert response(Signal.RATE, Signal.UNKNOWN_UID) is SecretResponse.QUARANTINE


def check_that_a_deploy_is_one_novelty() -> None:
    novelties = [Signal.FIRST_SEEN, Signal.UNKNOWN_UID, Signal.UNKNOWN_PROGRAM, Signal.UNKNOWN_HOME]

    assert score(novelties) == score([Signal.UNKNOWN_UID]) == 60
    assert response(*novelties) is SecretResponse.ALERT


def check_that_sorts_add_up_as_chances() -> None:
    assert score([Signal.BREADTH, Signal.DENIALS]) == 84
    assert score([Signal.RATE, Signal.FLOOD]) == 80
    assert score([Signal.CANARY, Signal.RATE]) == 100


def check_what_excuses() -> None:
    always = {*PROOFS, Signal.RETIRED_LOGIN, Signal.MEMORY_LOST}
    of_client = {Signal.UNKNOWN_UID, Signal.UNKNOWN_PROGRAM, Signal.UNKNOWN_HOME, Signal.BREADTH}
    of_client |= STATISTICS
    excuses = (Standing(is_learning=True), Standing(is_maintained=True))

    assert all(counts(signal, Standing()) for signal in Signal)
    assert all({s for s in Signal if counts(s, excuse)} == always for excuse in excuses)
    assert {s for s in Signal if not counts(s, Standing(is_new=True))} == of_client


def check_that_what_does_not_count_is_scored_and_logged() -> None:
    verdict = decide([Signal.FLOOD, Signal.DENIALS], counted=[])

    assert verdict.score == 92
    assert verdict.response is SecretResponse.LOG
    assert decide([Signal.FLOOD, Signal.DENIALS], counted=[Signal.DENIALS]).response is (
        SecretResponse.ALERT
    )


CHECKS = [check for name, check in sorted(globals().items()) if name.startswith("check_")]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_decision(check: Callable[[], None]) -> None:
    check()


@given(SIGNALS, SIGNALS)
def test_more_signals_are_never_less_bad(some: set[Signal], more: set[Signal]) -> None:
    before, after = decide(some, counted=some), decide(some | more, counted=some | more)

    assert 0 <= before.score <= after.score <= 100
    assert RESPONSES.index(before.response) <= RESPONSES.index(after.response)


@given(SIGNALS)
def test_statistics_alone_never_cut_off(signals: set[Signal]) -> None:
    assert response(*(signals & STATISTICS)) is not SecretResponse.QUARANTINE


@given(SIGNALS, st.builds(Standing, is_learning=st.booleans(), is_maintained=st.booleans()))
def test_an_excused_client_is_cut_off_for_proofs_only(
    signals: set[Signal], standing: Standing
) -> None:
    signals = signals - {Signal.MEMORY_LOST}  # Which is of no client.
    counted = [signal for signal in signals if counts(signal, standing)]
    is_excused = standing.is_learning or standing.is_maintained

    if is_excused and not signals & PROOFS:
        assert decide(signals, counted=counted).response is not SecretResponse.QUARANTINE


def test_every_signal_has_a_weight() -> None:
    assert all(0 < score([signal]) <= 100 for signal in Signal)


def mutant(name: str, before: str, after: str) -> Mutant:
    return Mutant(name, "decide", before, after, package="resile.secrets.anomaly")


MUTANTS = (
    mutant("evidence has to be more", "evidence >= ALERT_FROM", "evidence > ALERT_FROM"),
    mutant(
        "a statistic is evidence",
        "score(signals - {Signal.RATE, Signal.FLOOD})",
        "score(signals)",
    ),
    mutant("a lone flood is evidence", "{Signal.RATE, Signal.FLOOD})", "{Signal.RATE})"),
    mutant("all signals of a sort add up", "heaviest[sort] = max(", "heaviest[signal] = max("),
    mutant("the lightest of a sort counts", "= max(weight, heaviest", "= min(weight, heaviest"),
    mutant(
        "maintenance excuses nothing",
        "if standing.is_learning or standing.is_maintained:",
        "if standing.is_learning:",
    ),
    mutant(
        "learning excuses nothing",
        "if standing.is_learning or standing.is_maintained:",
        "if standing.is_maintained:",
    ),
    mutant(
        "learning excuses a canary",
        "    if signal in _ALWAYS:\n        return True\n",
        "",
    ),
    mutant(
        "a new client is excused for all",
        "return not (standing.is_new and signal in _LEARNT_OF_CLIENT)",
        "return not standing.is_new",
    ),
    mutant(
        "what is excused counts", "_response(frozenset(counted))", "_response(frozenset(signals))"
    ),
    mutant("a rotation comes later", "if total >= ROTATE_FROM:", "if total > ROTATE_FROM:"),
    mutant("an alert comes later", "if total >= ALERT_FROM else", "if total > ALERT_FROM else"),
)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_planted_mistake_is_found(mutant: Mutant) -> None:
    with mutant.planted():
        found = [check for check in CHECKS if fails(check)]

    assert found, f"nothing noticed that {mutant.name}"


def fails(check: Callable[[], None]) -> bool:
    try:
        check()
    except Exception:  # noqa: BLE001 - a mistake may show as any error
        return True
    return False
