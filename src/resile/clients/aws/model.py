"""What AWS is asked for and what it answers, as frozen data. No value of a secret shows in a repr."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsPlace:
    """Where AWS is.

    Args:
        region: Such as `eu-central-1`; empty: where boto3 finds it.
        endpoint: Another one than AWS's own, for all services; empty: AWS's, or AWS_ENDPOINT_URL.
    """

    region: str = ""
    endpoint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsKeys:
    """Long-lived credentials of an IAM user.

    Args:
        key_id: The public half.
        secret: The other half.
    """

    key_id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsLogin:
    """Where the credentials come from, and how long they last.

    Args:
        method: As boto3 calls it: `env`, `shared-credentials-file`, `iam-role`, `assume-role`...
        is_temporary: They are a session's, and end.
        is_renewed: boto3 gets new ones by itself before they end.
        ends_at: When those at hand end; None if they do not, or nobody says. Aware, UTC.
    """

    method: str
    is_temporary: bool
    is_renewed: bool
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsPatience:
    """How long one call is waited for; all together stay below 20 s with the defaults.

    Args:
        connect_timeout_s: For a connection. A region on another continent takes 0.3 s.
        read_timeout_s: For an answer. Secrets Manager takes milliseconds, IAM up to a second.
        tries: The first one included.
        retry_timeout_s: No further try begins later than this after the first.
        pause_s: The longest wait before the second try; twice that before each further one.
    """

    connect_timeout_s: float = 2.0
    read_timeout_s: float = 6.0
    tries: int = 3
    retry_timeout_s: float = 8.0
    pause_s: float = 0.2


AWS_PATIENCE = AwsPatience()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVersion:
    """A version of a secret in Secrets Manager.

    Args:
        number: Its VersionId.
        stages: Its staging labels.
        created_at: When it was made; None if AWS does not say. Aware, UTC.
    """

    number: str
    stages: frozenset[str]
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredValue:
    """A version with its value.

    Args:
        version: Which one.
        value: Its bytes; what AWS keeps as text is UTF-8.
    """

    version: StoredVersion
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretCard:
    """What Secrets Manager knows about a secret as a whole.

    Args:
        is_rotated_by_aws: A Lambda function rotates it on a schedule.
        deleted_at: When it was marked for deletion; None if it was not.
        kms_key: The key that seals it; empty for the account's own.
    """

    is_rotated_by_aws: bool
    deleted_at: datetime | None
    kms_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    """An access key of an IAM user, without its secret.

    Args:
        key_id: The public half.
        is_active: Whether it opens anything.
        created_at: By AWS's clock; aware, UTC.
    """

    key_id: str
    is_active: bool
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LastUse:
    """When an access key was last used. AWS may learn of a use hours later.

    Args:
        at: None if never.
        service: For what, such as `s3`; empty if unknown.
    """

    at: datetime | None
    service: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsKey:
    """A key of KMS.

    Args:
        key_id: Its id; never an alias.
        is_enabled: Whether it can be used.
        is_rotatable: It is a symmetric key for encryption that the customer manages.
        state: As KMS calls it, such as `PendingDeletion`.
    """

    key_id: str
    is_enabled: bool
    is_rotatable: bool
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRotation:
    """One finished change of a key's material.

    Args:
        at: When. Aware, UTC.
        is_on_demand: Somebody asked for it; else it was due.
    """

    at: datetime
    is_on_demand: bool
