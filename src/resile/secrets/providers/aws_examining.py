"""What an operator should know about the credentials for AWS, before they end. Pure."""

from datetime import datetime, timedelta

from resile.clients.aws import AwsLogin
from resile.secrets.advice import Advice, AdviceLevel

_ABOUT = "aws"
_SOON = timedelta(hours=1)
"""The shortest session that AWS gives by default."""


def examined_login(login: AwsLogin | None, now: datetime) -> tuple[Advice, ...]:
    """Tell what is wrong with credentials.

    Args:
        login: As boto3 has found them; None if it has found none.
        now: Aware, UTC.
    """
    if login is None:
        return (
            Advice(
                level=AdviceLevel.ERROR,
                about=_ABOUT,
                message="no credentials were found",
                hint="give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role of the machine",
            ),
        )
    if login.is_renewed:
        return ()
    if not login.is_temporary:
        return (
            Advice(
                level=AdviceLevel.NOTE,
                about=_ABOUT,
                message=f"the credentials ({login.method}) are an access key that never ends",
                hint="a role of the machine renews itself; or rotate the key: rotator aws-iam",
            ),
        )
    return (_ending(login, now),)


def _ending(login: AwsLogin, now: datetime) -> Advice:
    when, is_soon = "in hours", True
    if login.ends_at is not None:
        left_s = (login.ends_at - now).total_seconds()
        when = f"in {left_s / 60:.0f} minutes" if left_s > 0 else "already"
        is_soon = left_s < _SOON.total_seconds()
    has_ended = when == "already"
    return Advice(
        level=AdviceLevel.ERROR if has_ended else AdviceLevel.WARNING,
        about=_ABOUT,
        message=f"the credentials ({login.method}) are a session's: they end {when}, and nothing renews them",
        hint="log in again" if is_soon else "give the machine a role, which renews itself",
    )
