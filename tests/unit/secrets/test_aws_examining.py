"""Credentials for AWS that end are told of before they do."""

from datetime import timedelta

import pytest

from resile.clients.aws import AwsLogin
from resile.secrets.advice import AdviceLevel
from resile.secrets.providers.aws_examining import examined_login
from resile.testing import FakeClock

NOW = FakeClock().now()


def test_missing_credentials_are_an_error() -> None:
    (advice,) = examined_login(None, NOW)

    assert advice.level is AdviceLevel.ERROR
    assert "AWS_ACCESS_KEY_ID" in advice.hint


def test_a_role_that_renews_itself_needs_no_word() -> None:
    login = AwsLogin(method="iam-role", is_temporary=True, is_renewed=True, ends_at=NOW)

    assert examined_login(login, NOW) == ()


def test_a_key_that_never_ends_could_be_better() -> None:
    (advice,) = examined_login(AwsLogin(method="env", is_temporary=False, is_renewed=False), NOW)

    assert advice.level is AdviceLevel.NOTE
    assert "aws-iam" in advice.hint


@pytest.mark.parametrize(
    ("left_s", "level", "message", "hint"),
    [
        (None, AdviceLevel.WARNING, "in hours", "log in again"),
        (-1, AdviceLevel.ERROR, "already", "log in again"),
        (1800, AdviceLevel.WARNING, "in 30 minutes", "log in again"),
        (36_000, AdviceLevel.WARNING, "in 600 minutes", "role"),
    ],
)
def test_a_session_that_nothing_renews_is_told_of(
    left_s: float | None, level: AdviceLevel, message: str, hint: str
) -> None:
    ends_at = None if left_s is None else NOW + timedelta(seconds=left_s)
    login = AwsLogin(method="env", is_temporary=True, is_renewed=False, ends_at=ends_at)

    (advice,) = examined_login(login, NOW)

    assert advice.level is level
    assert message in advice.message
    assert hint in advice.hint
