"""IAM: the two access keys that a user may have, and whose a key is.

Source: https://docs.aws.amazon.com/IAM/latest/APIReference/ ; STS GetCallerIdentity.
"""

from datetime import UTC
from typing import Any

from resile.clients.aws.calling import Aws
from resile.clients.aws.model import AccessKey, AwsKeys, LastUse
from resile.errors import UnknownSecretError

_SERVICE = "iam"
_PAGES_MAX = 2


class Iam:
    """The calls of IAM that are needed here. Safe to share between threads.

    Every call raises SecretError as `Aws.call` does. Changes reach all of AWS within seconds, not at once.

    Args:
        aws: What to call through.
    """

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    def keys(self, user: str) -> tuple[AccessKey, ...]:
        """List the user's access keys, two at most.

        Raises:
            UnknownSecretError: If there is no such user.
        """
        pages = self._aws.pages(
            _SERVICE,
            "list_access_keys",
            _about(user),
            marker=("Marker", "Marker"),
            pages_max=_PAGES_MAX,
            UserName=user,
        )
        return tuple(
            AccessKey(
                key_id=entry["AccessKeyId"],
                is_active=entry["Status"] == "Active",
                created_at=entry["CreateDate"].astimezone(UTC),
            )
            for page in pages
            for entry in page.get("AccessKeyMetadata", ())
        )

    def create(self, user: str) -> AwsKeys:
        """Make an access key, which works at once or a little later. AWS tells its secret only now.

        A call whose answer was lost is not made again: it may have made a key that nobody knows.
        """
        answer = self._aws.call(
            _SERVICE, "create_access_key", _about(user), is_repeatable=False, UserName=user
        )
        made: dict[str, Any] = answer["AccessKey"]
        return AwsKeys(key_id=made["AccessKeyId"], secret=made["SecretAccessKey"])

    def set_active(self, user: str, key_id: str, *, is_active: bool) -> None:
        """Let a key open something, or nothing. Idempotent.

        Raises:
            UnknownSecretError: If there is no such key.
        """
        self._aws.call(
            _SERVICE,
            "update_access_key",
            _about(user, key_id),
            UserName=user,
            AccessKeyId=key_id,
            Status="Active" if is_active else "Inactive",
        )

    def last_use(self, key_id: str) -> LastUse:
        """Tell when a key was last used."""
        answer = self._aws.call(
            _SERVICE, "get_access_key_last_used", f"access key {key_id}", AccessKeyId=key_id
        )
        told = answer.get("AccessKeyLastUsed", {})
        used_at = told.get("LastUsedDate")
        service = told.get("ServiceName", "")
        return LastUse(
            at=used_at.astimezone(UTC) if used_at else None,
            service="" if service == "N/A" else service,
        )

    def delete(self, user: str, key_id: str) -> None:
        """Delete a key for good. Idempotent."""
        try:
            self._aws.call(
                _SERVICE,
                "delete_access_key",
                _about(user, key_id),
                UserName=user,
                AccessKeyId=key_id,
            )
        except UnknownSecretError:
            return


def whose(aws: Aws) -> str:
    """Tell whose credentials these are, as an ARN. It needs no permission.

    Raises:
        SecretDeniedError: If AWS does not know them, or not yet.
    """
    return str(aws.call("sts", "get_caller_identity", "these credentials")["Arn"])


def _about(user: str, key_id: str = "") -> str:
    return f"access key {key_id} of user {user!r}" if key_id else f"user {user!r}"
