"""What the provider does where AWS behaves as its stand-in does not: answers in the shapes that AWS documents.

A contract with the documentation, not with AWS: nothing here has seen the real one.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support import moto_server

from resile.core.vocabulary import SecretStage
from resile.errors import (
    ProviderDownError,
    SecretConflictError,
    SecretRevokedError,
    UnknownSecretError,
)
from resile.secrets.providers.aws import AwsProvider
from resile.secrets.providers.aws_versions import WRITING, number_of

if reason := moto_server.why_not():
    pytest.skip(reason, allow_module_level=True)

TOKEN = "rotation_01JD8Q2V8T3GZ0Y5S6M7N8P9QR"
FIRST, SECOND = number_of(TOKEN, 0), number_of(TOKEN, 1)
BEFORE = "EXAMPLE1-90ab-cdef-fedc-ba987SECRET1"
AT = datetime(2026, 1, 1, tzinfo=UTC)
ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:app/a-AbCdEf"
CURRENT, PENDING, PREVIOUS = ["AWSCURRENT"], ["AWSPENDING"], ["AWSPREVIOUS"]


class Script:
    """Says what is asked next and what is answered."""

    def __init__(self, provider: AwsProvider) -> None:
        from botocore.stub import Stubber

        self._stubber = Stubber(provider.aws.client("secretsmanager"))
        self._stubber.activate()
        self._shape = {"ARN": ARN, "Name": "app/a"}

    def listed(self, found: dict[str, list[str]]) -> None:
        entries = [
            {"VersionId": number, "CreatedDate": AT} | ({"VersionStages": stages} if stages else {})
            for number, stages in found.items()
        ]
        asked = {"SecretId": "app/a", "IncludeDeprecated": True, "MaxResults": 100}
        self._stubber.add_response(
            "list_secret_version_ids", {**self._shape, "Versions": entries}, asked
        )

    def put(self, number: str, label: str, value: str) -> None:
        self._stubber.add_response(
            "put_secret_value",
            {**self._shape, "VersionId": number, "VersionStages": [label]},
            self._put_asked(number, label, value),
        )

    def put_refused(self, number: str, label: str, value: str, code: str, text: str = "") -> None:
        self._refused("put_secret_value", self._put_asked(number, label, value), code, text)

    def moved(self, label: str, source: str, target: str = "") -> None:
        self._stubber.add_response(
            "update_secret_version_stage", self._shape, self._move_asked(label, source, target)
        )

    def move_refused(self, label: str, source: str, target: str = "") -> None:
        asked = self._move_asked(label, source, target)
        self._refused("update_secret_version_stage", asked, "InvalidParameterException", "")

    def read(self, label: str, number: str, value: str) -> None:
        self._stubber.add_response(
            "get_secret_value",
            {
                **self._shape,
                "VersionId": number,
                "VersionStages": [label],
                "SecretString": value,
                "CreatedDate": AT,
            },
            {"SecretId": "app/a", "VersionStage": label},
        )

    def read_refused(self, label: str, code: str, text: str = "") -> None:
        asked = {"SecretId": "app/a", "VersionStage": label}
        self._refused("get_secret_value", asked, code, text)

    def is_over(self) -> None:
        self._stubber.assert_no_pending_responses()

    def _refused(self, operation: str, asked: dict[str, Any], code: str, text: str) -> None:
        self._stubber.add_client_error(
            operation,
            service_error_code=code,
            service_message=text,
            http_status_code=400,
            expected_params=asked,
        )

    def _put_asked(self, number: str, label: str, value: str) -> dict[str, Any]:
        return {
            "SecretId": "app/a",
            "ClientRequestToken": number,
            "VersionStages": [label],
            "SecretString": value,
        }

    def _move_asked(self, label: str, source: str, target: str) -> dict[str, Any]:
        asked = {"RemoveFromVersionId": source, "MoveToVersionId": target}
        given = {key: number for key, number in asked.items() if number}
        return {"SecretId": "app/a", "VersionStage": label, **given}


@pytest.fixture
def provider() -> AwsProvider:
    return AwsProvider(moto_server.aws(""), prefix="app/")


@pytest.fixture
def script(provider: AwsProvider) -> Iterator[Script]:
    made = Script(provider)
    yield made
    made.is_over()


def test_another_value_of_one_token_is_a_version_of_its_own(
    provider: AwsProvider, script: Script
) -> None:
    """AWS never changes a version; moto overwrites one that has AWSPENDING."""
    script.listed({BEFORE: CURRENT, FIRST: PENDING})
    script.put_refused(FIRST, "AWSPENDING", "two", "ResourceExistsException")
    script.put(SECOND, "AWSPENDING", "two")

    written = provider.write("a", b"two", stage=SecretStage.PENDING, token=TOKEN)

    assert (written.number, written.stage, written.token) == (SECOND, SecretStage.PENDING, TOKEN)


def test_a_candidate_that_was_discarded_is_not_written_again_as_aws_would_ignore_it(
    provider: AwsProvider, script: Script
) -> None:
    """AWS answers the same token and value with success and leaves the labels as they are."""
    script.listed({BEFORE: CURRENT, FIRST: []})
    script.put(SECOND, "AWSPENDING", "one")

    assert provider.write("a", b"one", stage=SecretStage.PENDING, token=TOKEN).number == SECOND


def test_a_label_that_was_already_removed_is_a_success(
    provider: AwsProvider, script: Script
) -> None:
    """Whether AWS takes AWSPENDING away at the end of a rotation differs; moto never does."""
    script.listed({BEFORE: CURRENT, FIRST: PENDING})
    script.listed({BEFORE: CURRENT, FIRST: PENDING})
    script.moved("AWSCURRENT", BEFORE, FIRST)
    script.move_refused("AWSPENDING", FIRST)

    promoted = provider.promote("a", token=TOKEN, expect=BEFORE)

    assert (promoted.number, promoted.stage) == (FIRST, SecretStage.CURRENT)


def test_a_candidate_that_aws_does_not_show_yet_is_looked_for_again(
    provider: AwsProvider, script: Script
) -> None:
    """AWS is eventually consistent; moto is not (aws-sdk-js-v3#7701)."""
    script.listed({BEFORE: CURRENT})
    script.listed({BEFORE: CURRENT})
    script.listed({BEFORE: CURRENT, FIRST: PENDING})
    script.listed({BEFORE: CURRENT, FIRST: PENDING})
    script.moved("AWSCURRENT", BEFORE, FIRST)
    script.moved("AWSPENDING", FIRST)

    assert provider.promote("a", token=TOKEN, expect=BEFORE).number == FIRST
    assert provider.aws.clock.monotonic() == pytest.approx(0.4)


def test_a_candidate_that_was_just_put_is_read_though_aws_lags(
    provider: AwsProvider, script: Script
) -> None:
    """As above, for reading it."""
    script.read_refused("AWSPENDING", "ResourceNotFoundException")
    script.read("AWSPENDING", FIRST, "one")

    assert provider.read("a", version="pending").reveal() == "one"


def test_what_is_never_shown_is_unknown_after_a_moment(
    provider: AwsProvider, script: Script
) -> None:
    for _ in range(4):
        script.listed({BEFORE: CURRENT})

    with pytest.raises(UnknownSecretError):
        provider.promote("a", token=TOKEN, expect=BEFORE)

    assert provider.aws.clock.monotonic() == pytest.approx(1.0)


def test_a_version_that_aws_still_shows_as_current_is_not_believed_at_once(
    provider: AwsProvider, script: Script
) -> None:
    script.listed({BEFORE: CURRENT})
    script.listed({BEFORE: PREVIOUS, SECOND: CURRENT})
    script.put(number_of("other", 0), WRITING, "three")
    script.listed({BEFORE: PREVIOUS, SECOND: CURRENT})
    script.moved("AWSCURRENT", SECOND, number_of("other", 0))
    script.moved(WRITING, number_of("other", 0))

    written = provider.write("a", b"three", expect=SECOND, token="other")

    assert written.stage is SecretStage.CURRENT


def test_a_move_whose_answer_was_lost_is_found_done(provider: AwsProvider, script: Script) -> None:
    """The second try of a compare-and-set fails, because the first one has changed what it compares."""
    script.listed({BEFORE: CURRENT, FIRST: PENDING})
    script.listed({BEFORE: CURRENT, FIRST: PENDING})
    script.move_refused("AWSCURRENT", BEFORE, FIRST)
    script.listed({BEFORE: PREVIOUS, FIRST: ["AWSCURRENT", "AWSPENDING"]})
    script.moved("AWSPENDING", FIRST)

    assert provider.promote("a", token=TOKEN, expect=BEFORE).stage is SecretStage.CURRENT


def test_a_race_that_was_lost_leaves_no_label(provider: AwsProvider, script: Script) -> None:
    number = number_of("other", 0)
    script.listed({BEFORE: CURRENT})
    script.put(number, WRITING, "three")
    script.listed({BEFORE: CURRENT})
    script.move_refused("AWSCURRENT", BEFORE, number)
    for _ in range(4):
        script.listed({BEFORE: PREVIOUS, SECOND: CURRENT, number: [WRITING]})
    script.moved(WRITING, number)

    with pytest.raises(SecretConflictError, match=SECOND):
        provider.write("a", b"three", expect=BEFORE, token="other")


def test_a_secret_that_others_change_all_the_time_is_given_up(
    provider: AwsProvider, script: Script
) -> None:
    number = number_of("other", 0)
    script.listed({BEFORE: CURRENT})
    script.put(number, WRITING, "three")
    for _ in range(4):
        script.listed({BEFORE: CURRENT})
        script.move_refused("AWSCURRENT", BEFORE, number)
    script.moved(WRITING, number)

    with pytest.raises(SecretConflictError, match="all the time"):
        provider.write("a", b"three", token="other")


def test_nothing_is_put_to_a_secret_that_is_marked_for_deletion(
    provider: AwsProvider, script: Script
) -> None:
    """moto takes the value."""
    script.listed({BEFORE: CURRENT})
    text = "You can't perform this operation on the secret because it was marked for deletion."
    script.put_refused(FIRST, "AWSPENDING", "one", "InvalidRequestException", text)

    with pytest.raises(SecretRevokedError) as caught:
        provider.write("a", b"one", stage=SecretStage.PENDING, token=TOKEN)

    assert "restore-secret" in caught.value.hint


def test_a_throttled_read_is_made_again(provider: AwsProvider, script: Script) -> None:
    """Nothing throttles at moto."""
    script.read_refused("AWSCURRENT", "ThrottlingException")
    script.read("AWSCURRENT", BEFORE, "one")

    assert provider.read("a").reveal() == "one"


def test_expired_credentials_are_an_absence_that_says_so(
    provider: AwsProvider, script: Script
) -> None:
    """moto takes any credentials."""
    script.read_refused("AWSCURRENT", "ExpiredTokenException")

    with pytest.raises(ProviderDownError) as caught:
        provider.read("a")

    assert "log in again" in caught.value.hint
