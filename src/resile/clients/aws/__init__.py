"""AWS behind small typed calls: Secrets Manager, KMS, and the access keys of IAM."""

from resile.clients.aws.calling import Aws
from resile.clients.aws.iam import Iam, whose
from resile.clients.aws.kms import Kms
from resile.clients.aws.model import (
    AWS_PATIENCE,
    AccessKey,
    AwsKeys,
    AwsLogin,
    AwsPatience,
    AwsPlace,
    KeyRotation,
    KmsKey,
    LastUse,
    SecretCard,
    StoredValue,
    StoredVersion,
)
from resile.clients.aws.secrets_manager import CURRENT, PENDING, PREVIOUS, SecretsManager

__all__ = [
    "AWS_PATIENCE",
    "CURRENT",
    "PENDING",
    "PREVIOUS",
    "AccessKey",
    "Aws",
    "AwsKeys",
    "AwsLogin",
    "AwsPatience",
    "AwsPlace",
    "Iam",
    "KeyRotation",
    "Kms",
    "KmsKey",
    "LastUse",
    "SecretCard",
    "SecretsManager",
    "StoredValue",
    "StoredVersion",
    "whose",
]
