"""Secrets Manager: versions of secrets and the staging labels that move between them.

Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/
"""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from resile.clients.aws.calling import Aws
from resile.clients.aws.model import SecretCard, StoredValue, StoredVersion
from resile.errors import SecretConflictError, SecretDamagedError

CURRENT = "AWSCURRENT"
PREVIOUS = "AWSPREVIOUS"
PENDING = "AWSPENDING"
_SERVICE = "secretsmanager"
_PAGE = 100
_NAME_PAGES_MAX = 100
"""10,000 names."""
_VERSION_PAGES_MAX = 10
"""AWS keeps 100 versions, and those of the last day."""


class SecretsManager:
    """The calls of Secrets Manager that are needed here. Safe to share between threads.

    Every call raises SecretError as `Aws.call` does. Reads may lag behind writes for a moment.

    Args:
        aws: What to call through.
    """

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    def get(self, name: str, *, stage: str = "", number: str = "") -> StoredValue:
        """Read a version, by its label or by its id.

        Raises:
            UnknownSecretError: If there is no such secret or version.
            SecretRevokedError: If the secret is marked for deletion.
        """
        asked = {"VersionStage": stage, "VersionId": number}
        answer = self._call("get_secret_value", name, **{k: v for k, v in asked.items() if v})
        value = answer.get("SecretBinary")
        if value is None:
            text = answer.get("SecretString")
            if text is None:
                raise SecretDamagedError(f"{_about(name)} has neither text nor bytes at AWS")
            value = text.encode()
        return StoredValue(version=_version(answer), value=bytes(value))

    def put(
        self, name: str, value: bytes, *, number: str, stages: Collection[str]
    ) -> StoredVersion:
        """Write a version. Done before with the same value, nothing happens, not even to the labels.

        Args:
            name: The secret, which exists.
            value: Kept as text if it is UTF-8, else as bytes.
            number: What its version is to be called, 32 to 64 characters: the ClientRequestToken.
            stages: Its labels; they are taken from other versions. The first version of a secret gets
                AWSCURRENT, too, whatever is asked for.

        Raises:
            SecretConflictError: If a version of this id has another value.
        """
        answer = self._call(
            "put_secret_value",
            name,
            ClientRequestToken=number,
            VersionStages=sorted(stages),
            **_kept(value),
        )
        return _version(answer)

    def create(self, name: str, value: bytes, *, number: str) -> None:
        """Make a secret with its first version, which is current. Idempotent for one id and value.

        Raises:
            SecretConflictError: If there is one of this name.
        """
        self._aws.call(
            _SERVICE,
            "create_secret",
            _about(name),
            Name=name,
            ClientRequestToken=number,
            **_kept(value),
        )

    def move(self, name: str, stage: str, *, source: str = "", target: str = "") -> None:
        """Move a label between versions, by compare-and-set; with no target it is taken away.

        AWSPREVIOUS follows by itself when AWSCURRENT moves. AWSCURRENT cannot be taken away.

        Args:
            name: The secret.
            stage: The label.
            source: The version that must have it now; empty if none has it.
            target: The version that gets it.

        Raises:
            SecretConflictError: If another version than `source` has it. So it is, too, when the call is
                made again after its answer was lost.
        """
        asked = {"RemoveFromVersionId": source, "MoveToVersionId": target}
        self._call(
            "update_secret_version_stage",
            name,
            meanings={"InvalidParameterException": SecretConflictError},
            VersionStage=stage,
            **{key: number for key, number in asked.items() if number},
        )

    def versions(self, name: str) -> tuple[StoredVersion, ...]:
        """List all versions, those without a label included, the newest first as far as AWS tells."""
        pages = self._aws.pages(
            _SERVICE,
            "list_secret_version_ids",
            _about(name),
            marker=("NextToken", "NextToken"),
            pages_max=_VERSION_PAGES_MAX,
            SecretId=name,
            IncludeDeprecated=True,
            MaxResults=_PAGE,
        )
        found = [_version(entry) for page in pages for entry in page.get("Versions", ())]
        found.reverse()
        found.sort(key=_made_at, reverse=True)  # Of one instant, the last one listed comes first.
        return tuple(found)

    def names(self, prefix: str) -> list[str]:
        """List the names that begin with a prefix, at most 10,000; not those marked for deletion."""
        filters = [{"Key": "name", "Values": [prefix]}] if prefix else []
        pages = self._aws.pages(
            _SERVICE,
            "list_secrets",
            f"secrets that begin with {prefix!r}",
            marker=("NextToken", "NextToken"),
            pages_max=_NAME_PAGES_MAX,
            MaxResults=_PAGE,
            Filters=filters,
        )
        names = [entry["Name"] for page in pages for entry in page.get("SecretList", ())]
        # AWS's filter does not tell upper from lower case.
        return [name for name in names if name.startswith(prefix)]

    def describe(self, name: str) -> SecretCard:
        """Tell what is known about a secret as a whole."""
        answer = self._call("describe_secret", name)
        deleted_at = answer.get("DeletedDate")
        return SecretCard(
            is_rotated_by_aws=bool(answer.get("RotationEnabled")),
            deleted_at=deleted_at.astimezone(UTC) if deleted_at else None,
            kms_key=answer.get("KmsKeyId") or "",
        )

    def _call(self, operation: str, name: str, **request: Any) -> dict[str, Any]:
        return self._aws.call(_SERVICE, operation, _about(name), SecretId=name, **request)


def _about(name: str) -> str:
    return f"secret {name!r}"


def _kept(value: bytes) -> dict[str, Any]:
    try:
        return {"SecretString": value.decode()}
    except UnicodeDecodeError:
        return {"SecretBinary": value}


def _version(entry: dict[str, Any]) -> StoredVersion:
    created_at = entry.get("CreatedDate")
    return StoredVersion(
        number=entry["VersionId"],
        stages=frozenset(entry.get("VersionStages") or ()),
        created_at=created_at.astimezone(UTC) if created_at else None,
    )


def _made_at(version: StoredVersion) -> datetime:
    return version.created_at or datetime.min.replace(tzinfo=UTC)
