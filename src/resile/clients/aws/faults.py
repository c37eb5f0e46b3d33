"""What an error of botocore means: one of ours, and whether another try may help. Pure.

AWS's sentences are told only where access was denied: they name who may not do what. Those about a wrong
request may repeat it, and a request holds values.

Source: the lists of errors in the API references of Secrets Manager, KMS, IAM and STS; "Common errors".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from resile.errors import (
    ProviderDownError,
    SecretConflictError,
    SecretDamagedError,
    SecretDeniedError,
    SecretError,
    SecretRevokedError,
    UnknownSecretError,
)

Meanings = Mapping[str, type[SecretError]]
"""What a code means for one call, where that is more than it means in general."""
_TOLD_CHARACTERS_MAX = 500


class Again(Enum):
    """Whether the same call may be made again at once."""

    NEVER = "never"
    IF_REPEATABLE = "if_repeatable"
    """It may have been carried out, and its answer lost."""
    ALWAYS = "always"
    """It was certainly not carried out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A failed call.

    Args:
        error: What to raise.
        again: Whether to try again first.
    """

    error: SecretError
    again: Again = Again.NEVER


_THROTTLED = frozenset(
    {
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_FAILED = frozenset(
    {
        "DependencyTimeoutException",
        "InternalError",
        "InternalFailure",
        "InternalServiceError",
        "KMSInternalException",
        "KeyUnavailableException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceFailure",
        "ServiceUnavailable",
    }
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException"})
_CLOCK = frozenset({"RequestExpired", "RequestTimeTooSkewed"})
_SIGNATURE = frozenset({"InvalidSignatureException", "SignatureDoesNotMatch"})
_BAD_KEYS = _SIGNATURE | {
    "AuthFailure",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "MissingAuthenticationToken",
    "UnrecognizedClientException",
}
_HINT_OF_KMS_KEY = "is the KMS key of the secret enabled, and may these credentials use it?"
_HINT_OF_IN_PROGRESS = "somebody else changes it at this moment: try again when that is done"
_TOLD: Mapping[str, tuple[type[SecretError], str]] = {
    "ConcurrentModification": (SecretConflictError, _HINT_OF_IN_PROGRESS),
    "ConflictException": (SecretConflictError, _HINT_OF_IN_PROGRESS),
    "DecryptionFailure": (SecretError, _HINT_OF_KMS_KEY),
    "DisabledException": (SecretError, "enable the key: aws kms enable-key --key-id KEY"),
    "EncryptionFailure": (SecretError, _HINT_OF_KMS_KEY),
    "EntityTemporarilyUnmodifiable": (SecretConflictError, _HINT_OF_IN_PROGRESS),
    "IncorrectKeyException": (SecretDamagedError, "another key sealed it"),
    "InvalidCiphertextException": (SecretDamagedError, "it is not what was sealed"),
    "KMSInvalidStateException": (SecretError, "see its state: aws kms describe-key --key-id KEY"),
    "LimitExceeded": (
        SecretError,
        "an IAM user has two access keys at most: delete the one that nobody uses",
    ),
    "LimitExceededException": (SecretError, "a quota of the service is used up"),
    "NoSuchEntity": (UnknownSecretError, "check its name, and whose account this is"),
    "NotFoundException": (UnknownSecretError, "check its id and the region"),
    "ResourceExistsException": (
        SecretConflictError,
        "there is one of this name, or this write was made before with another value",
    ),
    "ResourceNotFoundException": (
        UnknownSecretError,
        "check its name, the region, and the prefix in [secrets.aws]",
    ),
    "UnsupportedOperationException": (
        SecretError,
        "only symmetric keys for encryption that you manage can do that",
    ),
}
"""What a code means that is about what was asked for, and what to do about it."""
_HINT_OF_EXPIRED = (
    "the credentials of this machine have expired: log in again, or give it a role that renews them"
)
_HINT_OF_CLOCK = "set this machine's clock: AWS takes no request that is 5 minutes off"
_HINT_OF_BAD_KEYS = (
    "AWS does not know these credentials: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
    "or the profile"
)
_HINT_OF_DELETED = "it is marked for deletion: aws secretsmanager restore-secret --secret-id NAME"
_HINT_OF_NONE = "give credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role of the machine"
_HINT_OF_PROFILE = "check AWS_PROFILE and ~/.aws/config; log in again if it is a session's"
_HINT_OF_REGION = "set region in [secrets.aws], or AWS_DEFAULT_REGION"
_HINT_OF_ODD = "see what this code means in the API reference of the service"
_HINT_OF_NO_ANSWER = "is the network up, and are the region and the endpoint right?"


_UNANSWERED = (
    (
        {"NoRegionError", "InvalidRegionError"},
        "no region is known",
        SecretError,
        Again.NEVER,
        _HINT_OF_REGION,
    ),
    (
        {"NoCredentialsError", "PartialCredentialsError"},
        "no credentials were found",
        SecretDeniedError,
        Again.NEVER,
        _HINT_OF_NONE,
    ),
    (
        {"ProfileNotFound", "ConfigParseError", "ConfigNotFound", "InvalidConfigError"},
        "boto3's configuration is wrong",
        SecretError,
        Again.NEVER,
        _HINT_OF_PROFILE,
    ),
    (
        {"CredentialRetrievalError", "TokenRetrievalError", "SSOError", "LoginError"},
        "the credentials could not be renewed",
        ProviderDownError,
        Again.NEVER,
        _HINT_OF_EXPIRED,
    ),
    (
        {"ConnectTimeoutError", "EndpointConnectionError", "ProxyConnectionError"},
        "AWS is not reached",
        ProviderDownError,
        Again.ALWAYS,
        _HINT_OF_NO_ANSWER,
    ),
    (
        {"HTTPClientError", "ConnectionError", "IncompleteReadError", "ResponseParserError"},
        "AWS does not answer",
        ProviderDownError,
        Again.IF_REPEATABLE,
        _HINT_OF_NO_ANSWER,
    ),
)
"""Families of botocore's errors, what each says, and what it means; the first that fits counts."""


def refused(response: Mapping[str, Any], what: str, meanings: Meanings) -> Fault:
    """Tell what an answer of AWS means that is an error.

    Args:
        response: As botocore's ClientError has it.
        what: What was asked, for the sentence: `GetSecretValue of secret 'a'`.
        meanings: What codes mean for this call.
    """
    error = response.get("Error", {})
    code, text = str(error.get("Code", "")), str(error.get("Message", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = f"AWS refused {what}: {code or status}"
    kind, hint = _TOLD.get(code, (SecretError, _HINT_OF_ODD))
    if code in meanings:
        return Fault(error=meanings[code](said, hint=hint))
    if code in _THROTTLED or status == 429:
        return _down(said, "too many requests for this account", Again.ALWAYS)
    if code in _FAILED or status >= 500:
        return _down(said, "AWS has a failure; see health.aws.amazon.com", Again.IF_REPEATABLE)
    if fault := _credentials(code, text, said):
        return fault
    if code == "InvalidRequestException" and "delet" in text.lower():
        return Fault(error=SecretRevokedError(said, hint=_HINT_OF_DELETED))
    return Fault(error=kind(said, hint=hint))


def unanswered(error: Exception, what: str) -> Fault:
    """Tell what an error of botocore's own means: nothing was sent, or nothing came back.

    Args:
        error: A BotoCoreError, or a ValueError of it.
        what: What was asked.
    """
    kinds = {kind.__name__ for kind in type(error).__mro__}
    for names, sentence, kind, again, hint in _UNANSWERED:
        if kinds & names:
            said = f"{what}: {sentence}: {type(error).__name__}"
            return Fault(error=kind(said, hint=hint), again=again)
    said = f"{what}: it cannot be asked of AWS: {type(error).__name__}"
    return Fault(error=SecretError(said, hint="check the name, the size and the endpoint"))


def _credentials(code: str, text: str, said: str) -> Fault | None:
    if code in _DENIED:
        told = f"{said}: {text[:_TOLD_CHARACTERS_MAX]}" if text else said
        return Fault(
            error=SecretDeniedError(
                told, hint="give the credentials the permission that is missing"
            )
        )
    if code in _EXPIRED:
        return _down(said, _HINT_OF_EXPIRED, Again.NEVER)
    # A signature that is too old or too young is told with the same codes as a wrong one.
    is_skewed = code in _SIGNATURE and ("expired" in text or "not yet current" in text)
    if code in _CLOCK or is_skewed:
        return _down(said, _HINT_OF_CLOCK, Again.NEVER)
    if code in _BAD_KEYS:
        return Fault(error=SecretDeniedError(said, hint=_HINT_OF_BAD_KEYS))
    return None


def _down(message: str, hint: str, again: Again) -> Fault:
    return Fault(error=ProviderDownError(message, hint=hint), again=again)
