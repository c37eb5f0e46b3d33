"""Rotations of what is in AWS, by the engine and against AWS's stand-in; killed after each call, too."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support import moto_server
from tests.support.moto_server import CutAws

from resile.clients.aws import Iam, Kms
from resile.core.process import Identity
from resile.core.vocabulary import RotationOutcome, RotationReason
from resile.errors import ConfigError, OperationError, SecretConflictError
from resile.secrets import Rotator, Turn
from resile.secrets.providers.aws import AwsProvider
from resile.secrets.rotation import Book, RotationReport, Rotations
from resile.secrets.rotators.aws_database import AwsDatabaseRotator
from resile.secrets.rotators.aws_iam import AwsIamRotator
from resile.secrets.rotators.aws_kms import AwsKmsRotator
from resile.testing import FakeClock
from resile.testing.rotations import FakeRotator, FakeTarget
from resile.testing.secrets import FakeProvider

pytestmark = pytest.mark.xdist_group("moto")
NAME = "app/key"


class Killed(BaseException):
    """The process ends here."""


class Bench:
    """Processes that rotate one secret in AWS, one after the other."""

    def __init__(self, endpoint: str, folder: Path) -> None:
        # IAM compares with AWS's clock.
        self.clock = FakeClock(datetime.now(UTC))
        self.aws = moto_server.aws(endpoint, self.clock, CutAws)
        self.aws.error = Killed()
        self.provider = AwsProvider(self.aws, prefix=f"{moto_server.own_name('test')}/")
        self._path = folder / "rotations.db"
        self._pid = 0
        self.books: list[Book] = []

    def process(self, rotator: Rotator) -> Rotations:
        """Give the rotations of a new process; those before it have died."""
        self._pid += 1
        me = Identity(boot_id="boot", pid=self._pid, start_ticks=self._pid)
        book = Book(
            self._path, clock=self.clock, me=me, lives=lambda holder: holder.pid == self._pid
        )
        self.books.append(book)
        return Rotations(
            self.provider,
            {NAME: rotator},
            book=book,
            consumers=None,
            tell=lambda _: None,
            clock=self.clock,
            random=random.Random(0),
        )

    def rotate(self, rotator: Rotator, **options: Any) -> RotationReport:
        usual: dict[str, Any] = {"reason": RotationReason.MANUAL, "who": "ann"}
        return self.process(rotator).rotate(NAME, **usual | options)

    def boto(self, service: str) -> Any:
        """Another tool's client."""
        return self.aws.client(service)

    def stages(self) -> list[str]:
        """The labels that another tool sees, by version, the newest first."""
        found = self.boto("secretsmanager").list_secret_version_ids(
            SecretId=self.provider.remote_name(NAME), IncludeDeprecated=True
        )
        return sorted(label for one in found["Versions"] for label in one["VersionStages"])


@pytest.fixture
def bench(aws_endpoint: str, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(aws_endpoint, tmp_path)
    yield made
    for book in made.books:
        book.close()
    made.provider.close()


def database(bench: Bench) -> tuple[FakeTarget, AwsDatabaseRotator]:
    target = FakeTarget()
    first = {**json.loads(target.first()), "host": "db.example", "port": 5432}
    bench.provider.write(NAME, json.dumps(first).encode(), token="first")
    return target, AwsDatabaseRotator(FakeRotator(target), provider=bench.provider)


@pytest.fixture
def user(bench: Bench) -> str:
    name = moto_server.own_name("user")
    bench.boto("iam").create_user(UserName=name)
    return name


def iam_rotator(bench: Bench, user: str) -> AwsIamRotator:
    return AwsIamRotator.open({"user": user}, provider=bench.provider, clock=bench.clock)


def keys(bench: Bench, user: str) -> dict[str, str]:
    found = bench.boto("iam").list_access_keys(UserName=user)["AccessKeyMetadata"]
    return {key["AccessKeyId"]: key["Status"] for key in found}


# Databases ---------------------------------------------------------------------------------------


def test_a_database_user_is_rotated_in_the_four_steps_of_aws(bench: Bench) -> None:
    target, rotator = database(bench)

    reports = [bench.rotate(rotator) for _ in range(3)]

    assert {one.outcome for one in reports} == {RotationOutcome.ROTATED}
    now = bench.provider.read(NAME)
    assert target.opens(now)
    assert now.version == reports[-1].number
    assert now.fields()["engine"] == "postgres"
    assert (now.fields()["host"], now.fields()["port"]) == ("db.example", "5432")
    assert bench.stages() == ["AWSCURRENT"]


def test_a_candidate_that_opens_nothing_leaves_the_current_one_as_it_was(bench: Bench) -> None:
    target, rotator = database(bench)
    before = bench.provider.read(NAME)
    rotator._inner.fail("verify", SecretConflictError("no"))

    report = bench.rotate(rotator)

    assert report.outcome is RotationOutcome.ABORTED
    assert bench.provider.read(NAME).version == before.version
    assert target.opens(before)
    assert bench.stages() == ["AWSCURRENT"]


@pytest.mark.parametrize("is_answer_lost", [False, True], ids=["not done", "done, answer lost"])
def test_a_rotation_that_is_killed_after_any_call_is_finished_by_the_next_process(
    bench: Bench, is_answer_lost: bool
) -> None:
    target, rotator = database(bench)
    for calls in range(40):
        bench.aws.left, bench.aws.is_answer_lost = calls, is_answer_lost
        try:
            bench.rotate(rotator)
        except Killed:
            is_whole = False
        else:
            is_whole = True
        bench.aws.left = float("inf")
        assert target.opens(bench.provider.read(NAME)), f"killed after {calls} calls"

        bench.process(rotator).resume()

        assert target.opens(bench.provider.read(NAME)), f"killed after {calls} calls"
        assert bench.stages() in (["AWSCURRENT"], ["AWSCURRENT", "AWSPREVIOUS"])
        if is_whole:
            break
    else:
        raise AssertionError("it makes more calls than it should")
    assert calls > 10


def test_what_aws_rotates_itself_is_left_to_it(bench: Bench) -> None:
    """moto's `rotate_secret` makes an empty version current, so this is the answer that AWS documents."""
    from botocore.stub import Stubber

    _, rotator = database(bench)
    remote = bench.provider.remote_name(NAME)
    rotated_by_aws = {
        "ARN": f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{remote}-AbCdEf",
        "Name": remote,
        "RotationEnabled": True,
    }
    turn = Turn(rotation_id="rotation_1", name=NAME, reason=RotationReason.MANUAL, before=None)
    with Stubber(bench.boto("secretsmanager")) as stubber:
        stubber.add_response("describe_secret", rotated_by_aws, {"SecretId": remote})
        with pytest.raises(SecretConflictError) as caught:
            rotator.prepare(turn)

    assert f"cancel-rotate-secret --secret-id {remote}" in caught.value.hint


def test_the_steps_of_aws_need_aws_as_the_provider() -> None:
    with pytest.raises(ConfigError, match="fake") as caught:
        AwsDatabaseRotator(FakeRotator(FakeTarget()), provider=FakeProvider())

    assert "postgres" in caught.value.hint


def test_what_has_no_fields_is_no_credential_of_aws(bench: Bench) -> None:
    class Plain(FakeRotator):
        def prepare(self, turn: Turn) -> bytes:
            return b"just text"

    turn = Turn(rotation_id="rotation_1", name=NAME, reason=RotationReason.MANUAL, before=None)

    with pytest.raises(OperationError, match="no credential with fields"):
        AwsDatabaseRotator(Plain(FakeTarget()), provider=bench.provider).prepare(turn)


# Access keys -------------------------------------------------------------------------------------


def test_access_keys_take_turns(bench: Bench, user: str) -> None:
    rotator = iam_rotator(bench, user)

    reports = [bench.rotate(rotator) for _ in range(3)]

    assert {one.outcome for one in reports} == {RotationOutcome.ROTATED}
    now = bench.provider.read(NAME)
    assert now.field("user") == user
    # The one before was used after it was made, by the rotation itself: it stays closed until the next.
    left = keys(bench, user)
    assert left.pop(now.field("access_key_id")) == "Active"
    assert set(left.values()) <= {"Inactive"}


def test_a_rotation_of_keys_that_is_killed_after_any_call_leaves_one_that_works(
    bench: Bench, user: str
) -> None:
    """The key of a call to make one whose answer was lost is found, too."""
    rotator = iam_rotator(bench, user)
    bench.rotate(rotator)
    for calls in range(60):
        bench.aws.left, bench.aws.is_answer_lost = calls, True
        try:
            bench.rotate(rotator, reason=RotationReason.COMPROMISE)
        except Killed:
            is_whole = False
        else:
            is_whole = True
        bench.aws.left = float("inf")

        bench.process(rotator).resume()

        current = bench.provider.read(NAME).field("access_key_id")
        assert keys(bench, user) == {current: "Active"}, f"killed after {calls} calls"
        if is_whole:
            break
    else:
        raise AssertionError("it makes more calls than it should")
    assert calls > 10


def test_a_key_of_nobody_that_is_in_use_stops_the_rotation(bench: Bench, user: str) -> None:
    rotator = iam_rotator(bench, user)
    bench.rotate(rotator)
    current = bench.provider.read(NAME).version
    closed = [key for key, status in keys(bench, user).items() if status == "Inactive"]
    for key in closed:
        bench.boto("iam").delete_access_key(UserName=user, AccessKeyId=key)
    other = Iam(bench.aws).create(user)
    bench.aws.of(other).call("sts", "get_caller_identity", "itself")

    report = bench.rotate(rotator)

    assert report.outcome is RotationOutcome.ABORTED
    assert other.key_id in report.why
    assert keys(bench, user)[other.key_id] == "Active"
    assert bench.provider.read(NAME).version == current


# Keys of KMS -------------------------------------------------------------------------------------


def test_a_key_of_kms_gets_new_material_and_opens_what_the_old_one_sealed(bench: Bench) -> None:
    key_id = bench.boto("kms").create_key()["KeyMetadata"]["KeyId"]
    bench.boto("kms").create_alias(AliasName=f"alias/{key_id}", TargetKeyId=key_id)
    kms = Kms(bench.aws)
    sealed = kms.encrypt(key_id, b"data")
    rotator = AwsKmsRotator.open(
        {"key": f"alias/{key_id}"}, provider=bench.provider, clock=bench.clock
    )

    reports = [bench.rotate(rotator) for _ in range(2)]

    assert {one.outcome for one in reports} == {RotationOutcome.ROTATED}
    assert len(kms.rotations(key_id)) == 2
    assert kms.decrypt(key_id, sealed) == b"data"


def test_a_disabled_key_of_kms_is_not_rotated(bench: Bench) -> None:
    key_id = bench.boto("kms").create_key()["KeyMetadata"]["KeyId"]
    kms = Kms(bench.aws)
    kms.disable(key_id)
    rotator = AwsKmsRotator(key_id, kms=kms, clock=bench.clock)

    report = bench.rotate(rotator)

    assert report.outcome is RotationOutcome.ABORTED
    assert kms.rotations(key_id) == ()
    kms.enable(key_id)
    assert bench.rotate(rotator).outcome is RotationOutcome.ROTATED
