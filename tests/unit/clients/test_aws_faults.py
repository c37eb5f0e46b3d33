"""Each error of AWS is one of ours, with a hint, and says nothing of what was asked."""

from typing import Any

import pytest

from resile.clients.aws.faults import Again, Fault, refused, unanswered
from resile.errors import (
    ProviderDownError,
    SecretConflictError,
    SecretDamagedError,
    SecretDeniedError,
    SecretError,
    SecretRevokedError,
    UnknownSecretError,
)

VALUE = "sentinel-value-5231"


def answer(code: str, text: str = VALUE, status: int = 400) -> dict[str, Any]:
    return {
        "Error": {"Code": code, "Message": text},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }


def told(fault: Fault) -> str:
    return f"{fault.error!r} {fault.error.report()} {fault.error.__dict__}"


@pytest.mark.parametrize(
    ("code", "kind", "again"),
    [
        ("ThrottlingException", ProviderDownError, Again.ALWAYS),
        ("Throttling", ProviderDownError, Again.ALWAYS),
        ("InternalServiceError", ProviderDownError, Again.IF_REPEATABLE),
        ("KMSInternalException", ProviderDownError, Again.IF_REPEATABLE),
        ("ServiceFailure", ProviderDownError, Again.IF_REPEATABLE),
        ("ExpiredTokenException", ProviderDownError, Again.NEVER),
        ("RequestExpired", ProviderDownError, Again.NEVER),
        ("AccessDeniedException", SecretDeniedError, Again.NEVER),
        ("UnrecognizedClientException", SecretDeniedError, Again.NEVER),
        ("InvalidClientTokenId", SecretDeniedError, Again.NEVER),
        ("ResourceNotFoundException", UnknownSecretError, Again.NEVER),
        ("NoSuchEntity", UnknownSecretError, Again.NEVER),
        ("ResourceExistsException", SecretConflictError, Again.NEVER),
        ("ConflictException", SecretConflictError, Again.NEVER),
        ("InvalidCiphertextException", SecretDamagedError, Again.NEVER),
        ("DecryptionFailure", SecretError, Again.NEVER),
        ("DisabledException", SecretError, Again.NEVER),
        ("LimitExceeded", SecretError, Again.NEVER),
    ],
)
def test_a_code_is_the_error_that_it_means(
    code: str, kind: type[SecretError], again: Again
) -> None:
    fault = refused(answer(code), "get_secret_value of secret 'a'", {})

    assert type(fault.error) is kind
    assert fault.again is again
    assert fault.error.hint
    assert code in fault.error.message
    assert "secret 'a'" in fault.error.message
    assert fault.error.is_transient is (kind is ProviderDownError)


@pytest.mark.parametrize("code", ["ValidationException", "InvalidParameterException", "Throttling"])
def test_the_text_of_a_refusal_is_not_repeated_as_it_may_hold_the_request(code: str) -> None:
    assert VALUE not in told(refused(answer(code), "put_secret_value", {}))


def test_a_denial_says_who_may_not_do_what() -> None:
    fault = refused(answer("AccessDenied", "User: arn:x is not authorized"), "get", {})

    assert "arn:x is not authorized" in fault.error.message


def test_a_denial_of_any_length_is_cut() -> None:
    fault = refused(answer("AccessDenied", "x" * 100_000), "get", {})

    assert len(fault.error.message) < 1000


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("... because it was marked for deletion.", SecretRevokedError),
        ("... a secret with this name is already scheduled for deletion.", SecretRevokedError),
        ("A previous rotation isn't complete.", SecretError),
    ],
)
def test_a_secret_that_is_marked_for_deletion_is_revoked(
    text: str, kind: type[SecretError]
) -> None:
    fault = refused(answer("InvalidRequestException", text), "get", {})

    assert type(fault.error) is kind


@pytest.mark.parametrize("code", ["InvalidSignatureException", "SignatureDoesNotMatch"])
@pytest.mark.parametrize(
    ("text", "kind", "word"),
    [
        ("Signature expired: 20260101T000000Z is now earlier than", ProviderDownError, "clock"),
        ("Signature not yet current: 20270101T000000Z", ProviderDownError, "clock"),
        ("The request signature we calculated does not match", SecretDeniedError, "credentials"),
    ],
)
def test_a_clock_that_is_off_is_told_from_wrong_keys(
    code: str, text: str, kind: type[SecretError], word: str
) -> None:
    fault = refused(answer(code, text, 403), "get", {})

    assert type(fault.error) is kind
    assert word in fault.error.hint


def test_a_status_counts_where_no_code_is_known() -> None:
    assert type(refused(answer("Odd", status=503), "get", {}).error) is ProviderDownError
    assert refused(answer("Odd", status=429), "get", {}).again is Again.ALWAYS
    assert type(refused(answer("Odd", status=400), "get", {}).error) is SecretError
    assert type(refused({}, "get", {}).error) is SecretError


def test_a_call_may_know_better_what_a_code_means() -> None:
    meanings = {"InvalidParameterException": SecretConflictError}

    fault = refused(answer("InvalidParameterException"), "move", meanings)

    assert type(fault.error) is SecretConflictError


@pytest.mark.parametrize(
    ("name", "kind", "again", "word"),
    [
        ("NoRegionError", SecretError, Again.NEVER, "region"),
        ("NoCredentialsError", SecretDeniedError, Again.NEVER, "AWS_ACCESS_KEY_ID"),
        ("ProfileNotFound", SecretError, Again.NEVER, "AWS_PROFILE"),
        ("UnauthorizedSSOTokenError", ProviderDownError, Again.NEVER, "log in"),
        ("CredentialRetrievalError", ProviderDownError, Again.NEVER, "log in"),
        ("EndpointConnectionError", ProviderDownError, Again.ALWAYS, "network"),
        ("ConnectTimeoutError", ProviderDownError, Again.ALWAYS, "network"),
        ("ReadTimeoutError", ProviderDownError, Again.IF_REPEATABLE, "network"),
        ("ConnectionClosedError", ProviderDownError, Again.IF_REPEATABLE, "network"),
        ("SSLError", ProviderDownError, Again.IF_REPEATABLE, "network"),
        ("ParamValidationError", SecretError, Again.NEVER, "size"),
    ],
)
def test_what_was_never_answered_is_told_by_its_kind(
    name: str, kind: type[SecretError], again: Again, word: str
) -> None:
    exceptions = pytest.importorskip("botocore.exceptions")
    error = getattr(exceptions, name)(
        **dict.fromkeys(
            ("endpoint_url", "error", "provider", "error_msg", "profile", "report"), VALUE
        )
    )

    fault = unanswered(error, "get_secret_value")

    assert type(fault.error) is kind
    assert fault.again is again
    assert word in fault.error.hint
    assert name in fault.error.message
    assert VALUE not in told(fault)


def test_an_endpoint_that_is_no_url_is_told() -> None:
    assert "endpoint" in unanswered(ValueError("Invalid endpoint"), "get").error.hint
