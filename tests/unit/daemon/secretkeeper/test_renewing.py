"""What somebody else may have is rotated, however often that has to be tried; or a person is told."""

import threading
from collections.abc import Callable
from typing import Any, cast

import pytest

from resile.core.events import Payload, RotationBegun, RotationEnded
from resile.core.vocabulary import RotationOutcome, RotationReason
from resile.daemon.secretkeeper.renewing import TRIES_MAX, Renewing
from resile.errors import ConfigError, ProviderDownError, RateLimitedError, ResileError
from resile.secrets.rotation import RotationReport, Rotations
from resile.testing import FakeClock

LIMITED = RateLimitedError("too many", retry_after_s=9.0)


class Fakes:
    """Rotations that fail as they are told to, and a journal."""

    def __init__(self) -> None:
        self.failures: list[ResileError] = []
        self.rotated: list[tuple[str, RotationReason]] = []
        self.tries = 0
        self.done: list[str] = []
        self.outcome: RotationOutcome | None = RotationOutcome.ROTATED
        self.told: list[Payload] = []
        self.may_end = threading.Event()
        self.may_end.set()
        self.renewing = Renewing(
            cast("Callable[[], Rotations]", lambda: self),
            rotated=self.done.append,
            tell=self.tell,
            clock=FakeClock(),
        )

    def rotate(self, name: str, *, reason: RotationReason, **_: Any) -> RotationReport:
        assert self.may_end.wait(10)
        self.tries += 1
        if self.failures:
            raise self.failures.pop(0)
        self.rotated.append((name, reason))
        return RotationReport(rotation_id="r", name=name, outcome=self.outcome, number="2")

    def tell(self, *payloads: Payload) -> None:
        self.told.extend(payloads)

    def renew(self, name: str = "db", reason: RotationReason = RotationReason.COMPROMISE) -> None:
        self.renewing.renew(name, reason, "a test")

    def settle(self) -> None:
        self.may_end.set()
        self.renewing._pool.shutdown(wait=True)


@pytest.fixture
def fakes() -> Fakes:
    return Fakes()


def test_secret_without_a_rotator_is_told_as_a_rotation_that_failed(fakes: Fakes) -> None:
    fakes.failures = [ConfigError("secret 'db' has no rotator")]

    fakes.renew()
    fakes.settle()

    begun, ended = fakes.told
    assert isinstance(begun, RotationBegun)
    assert isinstance(ended, RotationEnded)
    assert begun.rotation_id == ended.rotation_id
    assert (begun.reason, ended.outcome) == (RotationReason.COMPROMISE, RotationOutcome.ABORTED)
    assert "change it by hand" in ended.why


def test_provider_that_is_away_is_tried_again_until_a_bound(fakes: Fakes) -> None:
    fakes.failures = [ProviderDownError("it is away")] * (TRIES_MAX - 1)
    fakes.renew()
    fakes.settle()
    assert (fakes.rotated, fakes.told) == ([("db", RotationReason.COMPROMISE)], [])
    assert fakes.done == ["db"]

    others = Fakes()
    others.failures = [ProviderDownError("it is away")] * (2 * TRIES_MAX)
    others.renew()
    others.settle()
    assert (others.tries, len(others.told)) == (TRIES_MAX, 2)


def test_what_only_looks_odd_and_may_not_be_rotated_now_is_left(fakes: Fakes) -> None:
    fakes.failures = [LIMITED]

    fakes.renew(reason=RotationReason.ANOMALY)
    fakes.settle()

    assert (fakes.tries, fakes.told) == (1, [])


@pytest.mark.parametrize(
    ("outcome", "is_done"),
    [(RotationOutcome.ROTATED, True), (None, True), (RotationOutcome.ABORTED, False)],
)
def test_what_was_given_up_is_owed_still(
    fakes: Fakes, outcome: RotationOutcome | None, is_done: bool
) -> None:
    fakes.outcome = outcome

    fakes.renew()
    fakes.settle()

    assert fakes.done == (["db"] if is_done else [])


def test_what_is_pending_is_not_begun_twice(fakes: Fakes) -> None:
    fakes.may_end.clear()
    for _ in range(3):
        fakes.renew()
    fakes.renew("other")
    fakes.settle()

    assert sorted(name for name, _ in fakes.rotated) == ["db", "other"]
