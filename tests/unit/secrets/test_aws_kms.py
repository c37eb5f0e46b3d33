"""New material for a key: made once, waited for, and the old one still opens."""

from dataclasses import replace
from datetime import timedelta

import pytest

from resile.clients.aws import KeyRotation, KmsKey
from resile.core.vocabulary import RotationReason
from resile.errors import OperationError, SecretConflictError, SecretDamagedError, SecretError
from resile.secrets import Secret, Turn
from resile.secrets.rotators.aws_kms import AwsKmsRotator
from resile.testing import FakeClock

KEY = "1234abcd"


class FakeKms:
    """One key, in memory. A change of its material takes some time."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.key = KmsKey(key_id=KEY, is_enabled=True, is_rotatable=True, state="Enabled")
        self.takes_s = 0.0
        self.begun: list[float] = []
        self.by_schedule = 0
        self.lost: set[int] = set()

    def describe(self, key: str) -> KmsKey:
        return self.key

    def rotate(self, key_id: str) -> None:
        assert key_id == KEY
        if len(self.rotations(KEY)) < len(self.begun) + self.by_schedule:
            raise SecretConflictError("ConflictException")
        self.begun.append(self._clock.monotonic())

    def rotations(self, key_id: str) -> tuple[KeyRotation, ...]:
        now_s = self._clock.monotonic()
        done = [at for at in self.begun if at + self.takes_s <= now_s]
        demanded = [KeyRotation(at=self._clock.now(), is_on_demand=True) for _ in done]
        due = [KeyRotation(at=self._clock.now(), is_on_demand=False)] * self.by_schedule
        return (*demanded, *due)

    def encrypt(self, key_id: str, plaintext: bytes) -> bytes:
        return f"{len(self.rotations(KEY))}:".encode() + plaintext

    def decrypt(self, key_id: str, ciphertext: bytes) -> bytes:
        material, _, plaintext = ciphertext.partition(b":")
        if int(material) in self.lost:
            raise SecretDamagedError("InvalidCiphertextException")
        return plaintext


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def kms(clock: FakeClock) -> FakeKms:
    return FakeKms(clock)


@pytest.fixture
def rotator(kms: FakeKms, clock: FakeClock) -> AwsKmsRotator:
    return AwsKmsRotator("alias/data", kms=kms, clock=clock)


def turn(number: int = 1, *, before: bytes = b"", after: bytes = b"") -> Turn:
    return Turn(
        rotation_id=f"rotation_{number}",
        name="kms/data",
        reason=RotationReason.SCHEDULED,
        before=Secret("kms/data", "1", before) if before else None,
        after=Secret("kms/data", "2", after) if after else None,
    )


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"is_enabled": False, "state": "PendingDeletion"}, "PendingDeletion"),
        ({"is_enabled": False, "state": ""}, "disabled"),
        ({"is_rotatable": False}, "another kind"),
    ],
)
def test_a_key_that_cannot_be_rotated_is_refused_before_anything_is_done(
    rotator: AwsKmsRotator, kms: FakeKms, change: dict[str, object], word: str
) -> None:
    kms.key = replace(kms.key, **change)

    with pytest.raises(SecretError, match=word):
        rotator.prepare(turn())


def test_material_is_changed_once_however_often_it_is_asked_for(
    rotator: AwsKmsRotator, kms: FakeKms, clock: FakeClock
) -> None:
    kms.takes_s = 3
    value = rotator.prepare(turn())

    for _ in range(3):
        rotator.set(turn(after=value))
    rotator.verify(turn(after=value))
    rotator.set(turn(after=value))

    assert len(kms.begun) == 1
    assert clock.monotonic() >= 3


def test_what_the_material_before_sealed_has_to_open(rotator: AwsKmsRotator, kms: FakeKms) -> None:
    first = rotator.prepare(turn(1))
    rotator.set(turn(1, after=first))
    rotator.verify(turn(1, after=first))
    second = rotator.prepare(turn(2, before=first))
    rotator.set(turn(2, after=second))
    rotator.verify(turn(2, before=first, after=second))

    for material in (0, 1, 2):
        kms.lost = {material}
        with pytest.raises(SecretError if material == 2 else OperationError):
            rotator.verify(turn(2, before=first, after=second))


def test_a_probe_that_opens_to_something_else_does_not_pass(rotator: AwsKmsRotator) -> None:
    value = rotator.prepare(turn())
    rotator.set(turn(after=value))

    with pytest.raises(OperationError, match="old material"):
        rotator.verify(turn(after=value.replace(b'"probe": "rotation_1"', b'"probe": "other"')))


def test_new_material_that_opens_something_else_does_not_pass(
    rotator: AwsKmsRotator, kms: FakeKms, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = rotator.prepare(turn())
    rotator.set(turn(after=value))
    monkeypatch.setattr(kms, "encrypt", lambda *_: b"1:something else")

    with pytest.raises(OperationError, match="new material"):
        rotator.verify(turn(after=value))


def test_a_change_that_takes_long_may_be_tried_again(rotator: AwsKmsRotator, kms: FakeKms) -> None:
    kms.takes_s = timedelta(hours=1).total_seconds()
    value = rotator.prepare(turn())
    rotator.set(turn(after=value))

    with pytest.raises(OperationError, match="in progress") as caught:
        rotator.verify(turn(after=value))

    assert caught.value.is_transient


def test_a_change_that_was_due_is_not_taken_for_the_one_on_demand(
    rotator: AwsKmsRotator, kms: FakeKms
) -> None:
    value = rotator.prepare(turn())
    kms.by_schedule = 1

    rotator.set(turn(after=value))

    assert len(kms.begun) == 1


def test_a_probe_of_another_key_is_not_asked_for(rotator: AwsKmsRotator, kms: FakeKms) -> None:
    before = b'{"key_id": "another", "probe": "p", "sealed": "???"}'
    value = rotator.prepare(turn(before=before))
    rotator.set(turn(after=value))

    rotator.verify(turn(before=before, after=value))


def test_nothing_is_taken_back_and_nothing_else_is_changed(
    rotator: AwsKmsRotator, kms: FakeKms
) -> None:
    value = rotator.prepare(turn())

    rotator.abort(turn(after=value))
    rotator.retire(turn(after=value))

    assert kms.begun == []
    assert rotator.target == "kms-key/alias/data"
    with pytest.raises(AssertionError):
        rotator.set(turn())
