"""Calls to an AWS that fails, is slow or away: each wait ends, and no value is told."""

import json
import logging
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.support import moto_server

from resile.clients.aws import (
    Aws,
    AwsKeys,
    AwsLogin,
    AwsPatience,
    AwsPlace,
    Iam,
    Kms,
    SecretsManager,
    whose,
)
from resile.errors import ProviderDownError, SecretError
from resile.testing import FakeClock

if reason := moto_server.why_not():
    pytest.skip(reason, allow_module_level=True)

VALUE = "sentinel-value-5231"
KEYS = AwsKeys(key_id=moto_server.KEY_ID, secret=moto_server.SECRET)
QUICK = AwsPatience(connect_timeout_s=1.0, read_timeout_s=0.3)
NUMBER = "n" * 32
GIVEN = {
    "ARN": "arn",
    "Name": "a",
    "VersionId": NUMBER,
    "VersionStages": ["AWSCURRENT"],
    "SecretString": VALUE,
}


@dataclass
class Service:
    """Answers each request with the next (status, body); the last one stays."""

    answers: list[tuple[int, Any]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    endpoint: str = ""
    hangs: threading.Event | None = None

    def next_answer(self) -> tuple[int, Any]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            made.requests.append(self.headers.get("X-Amz-Target", ""))
            if made.hangs:
                made.hangs.wait(10)
            status, answer = made.next_answer()
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    made.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    yield made
    if made.hangs:
        made.hangs.set()
    server.shutdown()
    thread.join()
    server.server_close()


def aws(endpoint: str, clock: FakeClock | None = None) -> Aws:
    return Aws(
        AwsPlace(region="us-east-1", endpoint=endpoint),
        keys=KEYS,
        patience=QUICK,
        clock=clock or FakeClock(),
        chance=random.Random(0),
    )


def refusal(code: str) -> dict[str, str]:
    return {"__type": code, "message": VALUE}


def test_a_service_that_goes_on_failing_is_given_up(service: Service) -> None:
    service.answers = [(500, refusal("InternalServiceError"))]

    with pytest.raises(ProviderDownError, match="InternalServiceError"):
        SecretsManager(aws(service.endpoint)).get("a", stage="AWSCURRENT")

    assert len(service.requests) == 3


def test_a_service_that_is_too_busy_is_asked_again_with_growing_pauses(service: Service) -> None:
    service.answers = [(400, refusal("ThrottlingException"))] * 2 + [(200, GIVEN)]
    clock = FakeClock()

    found = SecretsManager(aws(service.endpoint, clock)).get("a", stage="AWSCURRENT")

    assert found.value == VALUE.encode()
    assert len(service.requests) == 3
    assert 0.1 + 0.2 <= clock.monotonic() <= 0.2 + 0.4


def test_a_refusal_is_not_asked_again(service: Service) -> None:
    service.answers = [(400, refusal("ValidationException"))]

    with pytest.raises(SecretError) as caught:
        SecretsManager(aws(service.endpoint)).put("a", VALUE.encode(), number=NUMBER, stages=("x",))

    assert len(service.requests) == 1
    assert VALUE not in f"{caught.value!r} {caught.value.hint}"
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("code", "status", "requests"),
    [("KMSInternalException", 500, 1), ("ThrottlingException", 400, 3)],
)
def test_what_counts_each_time_is_made_again_only_if_it_was_surely_not_done(
    service: Service, code: str, status: int, requests: int
) -> None:
    service.answers = [(status, refusal(code))]

    with pytest.raises(ProviderDownError):
        Kms(aws(service.endpoint)).rotate("key")

    assert len(service.requests) == requests


def test_an_answer_that_is_none_of_aws_is_an_absence(service: Service) -> None:
    service.answers = [(502, b"<html>proxy</html>")]

    with pytest.raises(ProviderDownError):
        SecretsManager(aws(service.endpoint)).get("a")


def test_a_service_that_does_not_answer_is_given_up(service: Service) -> None:
    service.hangs = threading.Event()

    with pytest.raises(ProviderDownError, match="ReadTimeoutError"):
        SecretsManager(aws(service.endpoint)).get("a")


@pytest.mark.parametrize(
    "use",
    [
        lambda aws: SecretsManager(aws).names("p/"),
        lambda aws: SecretsManager(aws).put("a", b"\xff", number=NUMBER, stages=("x",)),
        lambda aws: Kms(aws).describe("alias/a"),
        lambda aws: Iam(aws).create("user"),
        whose,
    ],
    ids=["names", "put", "describe", "create", "whose"],
)
def test_a_place_where_nobody_listens_is_told(use: Any) -> None:
    with pytest.raises(ProviderDownError, match="EndpointConnectionError") as caught:
        use(aws("http://127.0.0.1:1"))

    assert "endpoint" in caught.value.hint


@pytest.mark.parametrize("endpoint", ["nowhere", "http://"])
def test_an_endpoint_that_is_none_is_told(endpoint: str) -> None:
    with pytest.raises(SecretError) as caught:
        SecretsManager(aws(endpoint)).get("a")

    assert "endpoint" in caught.value.hint


def test_a_missing_region_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")

    with pytest.raises(SecretError) as caught:
        SecretsManager(Aws(keys=KEYS)).get("a")

    assert "AWS_DEFAULT_REGION" in caught.value.hint


def test_missing_credentials_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    without_credentials(monkeypatch)

    with pytest.raises(SecretError) as caught:
        SecretsManager(Aws(AwsPlace(region="us-east-1"))).get("a")

    assert "AWS_ACCESS_KEY_ID" in caught.value.hint


def test_no_value_is_logged_where_everything_is_logged(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.answers = [(200, GIVEN)]
    caplog.set_level(logging.DEBUG)
    secrets = SecretsManager(aws(service.endpoint))

    found = secrets.get("a")
    secrets.put("a", VALUE.encode(), number=NUMBER, stages=("x",))

    assert VALUE not in caplog.text
    assert moto_server.SECRET not in caplog.text
    assert VALUE not in repr(found)


def test_no_key_is_in_a_repr() -> None:
    made = aws("http://127.0.0.1:1")

    assert moto_server.SECRET not in f"{made!r} {KEYS!r} {made.of(KEYS)!r}"


def test_many_threads_share_one_client(service: Service) -> None:
    service.answers = [(200, GIVEN)]
    secrets = SecretsManager(aws(service.endpoint))
    found = []

    def read() -> None:
        found.append(secrets.get("a").value)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [VALUE.encode()] * 8


def test_a_closed_one_opens_again(service: Service) -> None:
    service.answers = [(200, GIVEN)]
    made = aws(service.endpoint)
    secrets = SecretsManager(made)
    secrets.get("a")

    made.close()
    made.close()

    assert secrets.get("a").value == VALUE.encode()


def test_the_clock_of_aws_is_heard_of_in_answers_and_refusals(service: Service) -> None:
    service.answers = [(400, refusal("RequestExpired"))]
    clock = FakeClock(datetime.now(UTC) - timedelta(minutes=10))
    made = aws(service.endpoint, clock)
    assert made.clock_skew_s() is None

    with pytest.raises(ProviderDownError, match="RequestExpired"):
        SecretsManager(made).get("a")

    assert made.clock_skew_s() == pytest.approx(600, abs=30)


def without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")


def test_it_tells_where_credentials_come_from_and_whether_they_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without_credentials(monkeypatch)
    assert Aws().login() is None
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    assert Aws().login() == AwsLogin(method="env", is_temporary=False, is_renewed=False)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "t")
    assert Aws().login() == AwsLogin(method="env", is_temporary=True, is_renewed=False)

    ends_at = datetime(2100, 1, 1, tzinfo=UTC)
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", ends_at.isoformat())

    assert Aws().login() == AwsLogin(
        method="env", is_temporary=True, is_renewed=False, ends_at=ends_at
    )


def test_a_profile_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    without_credentials(monkeypatch)
    monkeypatch.setenv("AWS_PROFILE", "nobody")

    with pytest.raises(SecretError) as caught:
        Aws().login()

    assert "AWS_PROFILE" in caught.value.hint
