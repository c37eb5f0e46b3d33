"""Two access keys in turn: what is made, kept and removed, wherever a rotation is cut."""

from datetime import datetime, timedelta

import pytest

from resile.clients.aws import AccessKey, AwsKeys, LastUse
from resile.core.ids import new_id
from resile.core.vocabulary import RotationReason
from resile.errors import (
    OperationError,
    SecretConflictError,
    SecretDeniedError,
    UnknownSecretError,
)
from resile.secrets import Secret, Turn
from resile.secrets.rotators.aws_iam import AwsIamRotator
from resile.secrets.rotators.aws_values import value_of
from resile.testing import FakeClock

USER = "uploader"
CURRENT = "AKIACURRENT"


class FakeIam:
    """The keys of one user, in memory."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._made = 0
        self.found: dict[str, AccessKey] = {}
        self.used: dict[str, datetime] = {}

    def add(self, key_id: str, *, is_active: bool = True, age: timedelta = timedelta()) -> None:
        made_at = self._clock.now() - age
        self.found[key_id] = AccessKey(key_id=key_id, is_active=is_active, created_at=made_at)

    def keys(self, user: str) -> tuple[AccessKey, ...]:
        assert user == USER
        return tuple(self.found.values())

    def create(self, user: str) -> AwsKeys:
        assert len(self.found) < 2, "LimitExceeded"
        self._made += 1
        key_id = f"AKIANEW{self._made}"
        self.add(key_id)
        return AwsKeys(key_id=key_id, secret=f"secret of {key_id}")

    def set_active(self, user: str, key_id: str, *, is_active: bool) -> None:
        if key_id not in self.found:
            raise UnknownSecretError("no such key")
        self.add(key_id, is_active=is_active)

    def last_use(self, key_id: str) -> LastUse:
        return LastUse(at=self.used.get(key_id), service="s3")

    def delete(self, user: str, key_id: str) -> None:
        self.found.pop(key_id, None)

    @property
    def state(self) -> dict[str, bool]:
        return {key.key_id: key.is_active for key in self.found.values()}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def iam(clock: FakeClock) -> FakeIam:
    made = FakeIam(clock)
    made.add(CURRENT, age=timedelta(days=30))
    made.used[CURRENT] = clock.now() - timedelta(days=1)
    return made


class Login:
    """Knows a key after some tries."""

    def __init__(self, unknown: int = 0, arn: str = f"arn:aws:iam::123456789012:user/x/{USER}"):
        self.unknown = unknown
        self.arn = arn
        self.keys: list[AwsKeys] = []

    def __call__(self, keys: AwsKeys) -> str:
        self.keys.append(keys)
        if len(self.keys) <= self.unknown:
            raise SecretDeniedError("InvalidClientTokenId")
        return self.arn


@pytest.fixture
def login() -> Login:
    return Login()


@pytest.fixture
def rotator(iam: FakeIam, login: Login, clock: FakeClock) -> AwsIamRotator:
    return AwsIamRotator(USER, iam=iam, login=login, clock=clock)


def secret(value: bytes, at: datetime) -> Secret:
    return Secret("s3/key", "v", value, created_at=at)


def turn(
    clock: FakeClock,
    *,
    after: bytes = b"",
    reason: RotationReason = RotationReason.SCHEDULED,
    before: bytes = value_of({"access_key_id": CURRENT, "region": "eu-central-1"}),
) -> Turn:
    return Turn(
        rotation_id=new_id("rotation", at=clock.now()),
        name="s3/key",
        reason=reason,
        before=secret(before, clock.now()) if before else None,
        after=secret(after, clock.now()) if after else None,
    )


def test_a_second_key_is_made_and_the_first_one_stays(
    rotator: AwsIamRotator, iam: FakeIam, clock: FakeClock
) -> None:
    made = Secret("s3/key", "v", rotator.prepare(turn(clock)))

    assert made.fields() == {
        "user": USER,
        "access_key_id": "AKIANEW1",
        "secret_access_key": "secret of AKIANEW1",
        "replaces_access_key_id": CURRENT,
        "region": "eu-central-1",
    }
    assert iam.state == {CURRENT: True, "AKIANEW1": True}


def test_a_key_that_a_cut_attempt_made_is_replaced(
    rotator: AwsIamRotator, iam: FakeIam, clock: FakeClock
) -> None:
    cut = turn(clock)
    rotator.prepare(cut)
    clock.advance(20)

    value = rotator.prepare(cut)

    assert b"AKIANEW2" in value
    assert iam.state == {CURRENT: True, "AKIANEW2": True}


def test_a_key_is_no_leftover_for_its_age_alone_if_it_is_used(
    rotator: AwsIamRotator, iam: FakeIam, clock: FakeClock
) -> None:
    now = turn(clock)
    clock.advance(1)
    iam.add("AKIAOTHER")
    iam.used["AKIAOTHER"] = clock.now()

    with pytest.raises(SecretConflictError, match="AKIAOTHER") as caught:
        rotator.prepare(now)

    assert "last-used" in caught.value.hint
    assert iam.state == {CURRENT: True, "AKIAOTHER": True}


def test_an_older_key_that_opens_something_is_left_to_people(
    rotator: AwsIamRotator, iam: FakeIam, clock: FakeClock
) -> None:
    iam.add("AKIAOTHER", age=timedelta(days=2))

    with pytest.raises(SecretConflictError, match="AKIAOTHER"):
        rotator.prepare(turn(clock))

    assert iam.state == {CURRENT: True, "AKIAOTHER": True}


def test_a_closed_key_makes_room(rotator: AwsIamRotator, iam: FakeIam, clock: FakeClock) -> None:
    iam.add("AKIAOLD", is_active=False, age=timedelta(days=60))

    rotator.prepare(turn(clock))

    assert iam.state == {CURRENT: True, "AKIANEW1": True}


def test_a_closed_current_key_is_not_what_makes_room(
    rotator: AwsIamRotator, iam: FakeIam, clock: FakeClock
) -> None:
    iam.add(CURRENT, is_active=False, age=timedelta(days=60))
    iam.add("AKIAOTHER", age=timedelta(days=2))

    with pytest.raises(SecretConflictError):
        rotator.prepare(turn(clock))

    assert CURRENT in iam.state


@pytest.mark.parametrize("before", [b"", b"not JSON", b"[]", b'{"access_key_id": 5}'])
def test_a_secret_that_names_no_key_gets_one_where_there_is_room(
    rotator: AwsIamRotator, iam: FakeIam, clock: FakeClock, before: bytes
) -> None:
    rotator.prepare(turn(clock, before=before))

    assert iam.state == {CURRENT: True, "AKIANEW1": True}


def test_the_new_key_opens_something_even_if_somebody_closed_it(
    rotator: AwsIamRotator, iam: FakeIam, clock: FakeClock
) -> None:
    value = rotator.prepare(turn(clock))
    iam.set_active(USER, "AKIANEW1", is_active=False)

    rotator.set(turn(clock, after=value))

    assert iam.state["AKIANEW1"]


def test_the_new_key_is_tried_until_aws_knows_it(iam: FakeIam, clock: FakeClock) -> None:
    login = Login(unknown=4)
    rotator = AwsIamRotator(USER, iam=iam, login=login, clock=clock)
    value = rotator.prepare(turn(clock))
    before_s = clock.monotonic()

    rotator.verify(turn(clock, after=value))

    assert [keys.key_id for keys in login.keys] == ["AKIANEW1"] * 5
    assert clock.monotonic() - before_s == pytest.approx(7.5)


def test_a_key_that_stays_unknown_is_given_up(iam: FakeIam, clock: FakeClock) -> None:
    login = Login(unknown=100)
    rotator = AwsIamRotator(USER, iam=iam, login=login, clock=clock)
    value = rotator.prepare(turn(clock))

    with pytest.raises(SecretDeniedError):
        rotator.verify(turn(clock, after=value))

    assert len(login.keys) == 6


def test_a_key_of_another_user_does_not_pass(iam: FakeIam, clock: FakeClock) -> None:
    login = Login(arn="arn:aws:iam::123456789012:user/somebody")
    rotator = AwsIamRotator(USER, iam=iam, login=login, clock=clock)
    value = rotator.prepare(turn(clock))

    with pytest.raises(OperationError, match="somebody"):
        rotator.verify(turn(clock, after=value))


def test_an_old_key_that_nobody_used_since_is_deleted(
    rotator: AwsIamRotator, iam: FakeIam, clock: FakeClock
) -> None:
    value = rotator.prepare(turn(clock))

    for _ in range(2):
        rotator.retire(turn(clock, after=value))

    assert iam.state == {"AKIANEW1": True}


def test_an_old_key_that_was_used_since_stays_closed_until_the_next_rotation(
    rotator: AwsIamRotator, iam: FakeIam, clock: FakeClock
) -> None:
    value = rotator.prepare(turn(clock))
    done = turn(clock, after=value)
    clock.advance(5)
    iam.used[CURRENT] = clock.now()

    rotator.retire(done)
    assert iam.state == {CURRENT: False, "AKIANEW1": True}

    clock.advance(timedelta(days=30).total_seconds())
    rotator.prepare(turn(clock, before=value))
    assert iam.state == {"AKIANEW1": True, "AKIANEW2": True}


def test_on_a_compromise_the_old_key_is_deleted_whoever_uses_it(
    rotator: AwsIamRotator, iam: FakeIam, clock: FakeClock
) -> None:
    value = rotator.prepare(turn(clock))
    done = turn(clock, after=value, reason=RotationReason.COMPROMISE)
    iam.used[CURRENT] = clock.now() + timedelta(seconds=5)

    rotator.retire(done)

    assert iam.state == {"AKIANEW1": True}


def test_an_old_key_that_is_gone_is_retired(
    rotator: AwsIamRotator, iam: FakeIam, clock: FakeClock
) -> None:
    value = rotator.prepare(turn(clock))
    iam.delete(USER, CURRENT)

    rotator.retire(turn(clock, after=value))
    rotator.retire(turn(clock, after=value, before=b""))

    assert iam.state == {"AKIANEW1": True}


def test_an_old_key_is_closed_though_its_secret_is_gone(
    rotator: AwsIamRotator, iam: FakeIam, clock: FakeClock
) -> None:
    value = rotator.prepare(turn(clock))

    rotator.retire(turn(clock, after=value, before=b""))

    assert iam.state == {"AKIANEW1": True}


def test_a_key_that_was_never_kept_here_is_not_closed(
    rotator: AwsIamRotator, iam: FakeIam, clock: FakeClock
) -> None:
    value = rotator.prepare(turn(clock, before=b""))

    rotator.retire(turn(clock, after=value, before=b""))

    assert iam.state == {CURRENT: True, "AKIANEW1": True}


def test_a_key_is_never_retired_that_is_the_new_one_too(
    rotator: AwsIamRotator, iam: FakeIam, clock: FakeClock
) -> None:
    same = value_of({"access_key_id": CURRENT})

    rotator.retire(turn(clock, after=same, reason=RotationReason.COMPROMISE))
    rotator.abort(turn(clock, after=same))

    assert iam.state == {CURRENT: True}


@pytest.mark.parametrize("was_kept", [True, False], ids=["kept", "cut"])
def test_an_aborted_rotation_leaves_nothing(
    rotator: AwsIamRotator, iam: FakeIam, clock: FakeClock, was_kept: bool
) -> None:
    began = turn(clock)
    value = rotator.prepare(began)

    for _ in range(2):
        rotator.abort(turn(clock, after=value) if was_kept else began)

    assert iam.state == {CURRENT: True}


def test_steps_without_a_candidate_are_a_mistake(rotator: AwsIamRotator, clock: FakeClock) -> None:
    for step in (rotator.set, rotator.verify):
        with pytest.raises(AssertionError):
            step(turn(clock))


def test_rotations_of_one_user_have_one_target(rotator: AwsIamRotator) -> None:
    assert rotator.target == "iam-user/uploader"
    assert rotator.has_overlap
