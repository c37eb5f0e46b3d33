"""A bucket whose service fails, refuses, or is not there: each wait ends, no secret is told."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.support import buckets

from resile.clients.s3 import Bucket, Patience
from resile.errors import OperationError
from resile.testing import FakeClock

if reason := buckets.why_not():
    pytest.skip(reason, allow_module_level=True)

QUICK = Patience(
    connect_timeout_s=1.0,
    read_timeout_s=0.3,
    request_timeout_s=0.5,
    retries_max=2,
    retry_timeout_s=2.0,
    pause_s_max=0.01,
)


@dataclass
class Service:
    """Answers each request with the next status; the last one stays."""

    statuses: list[int] = field(default_factory=lambda: [200])
    code: str = "SomeCode"
    requests: list[str] = field(default_factory=list)
    endpoint: str = ""
    hangs: threading.Event | None = None

    def next_status(self) -> int:
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    for name, value in buckets.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    made = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            made.requests.append(f"{self.command} {self.path}")
            if made.hangs:
                made.hangs.wait(10)
            status = made.next_status()
            told = (
                f"<Error><Code>{made.code}</Code><A>{buckets.KEY_ID} {buckets.SECRET}</A></Error>"
            )
            body = b"content" if status == 200 else told.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", '"e"')
            self.send_header("Last-Modified", "Wed, 25 Nov 2026 14:00:00 GMT")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = answer  # noqa: N815

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


def bucket(endpoint: str) -> Bucket:
    return Bucket("some-bucket", prefix="p", endpoint=endpoint, patience=QUICK, clock=FakeClock())


USES = {
    "get": lambda b: b.get("packs/a"),
    "get_range": lambda b: b.get("packs/a", 3, 4),
    "get_nothing": lambda b: b.get("packs/a", 3, 0),
    "put": lambda b: b.put_new("packs/a", b"x"),
    "list": lambda b: list(b.list("packs")),
    "list_top": lambda b: list(b.list("")),
    "copy": lambda b: b.copy("packs/a", "packs/b"),
    "delete": lambda b: b.delete("packs/a"),
}


@pytest.mark.parametrize("use", USES)
def test_a_service_that_goes_on_failing_is_given_up(service: Service, use: str) -> None:
    service.statuses = [503]

    with pytest.raises(OperationError, match="503") as caught:
        USES[use](bucket(service.endpoint))

    assert caught.value.is_transient
    assert caught.value.hint
    assert 1 <= len(service.requests) <= 3


def test_a_service_that_fails_twice_is_asked_again(service: Service) -> None:
    service.statuses = [503, 500, 200]

    assert bucket(service.endpoint).get("packs/a") == b"content"
    assert len(service.requests) == 3


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(("status", "word"), [(403, "credentials"), (301, "region")])
def test_a_refusal_is_told_with_what_to_do_and_no_secret(
    service: Service, use: str, status: int, word: str
) -> None:
    service.statuses = [status]

    with pytest.raises(OperationError) as caught:
        USES[use](bucket(service.endpoint))

    told = f"{caught.value!r} {caught.value.hint} {caught.value.__cause__!r}"
    assert not caught.value.is_transient
    assert word in caught.value.hint
    assert buckets.KEY_ID not in told
    assert buckets.SECRET not in told


@pytest.mark.parametrize("use", set(USES) - {"get_nothing"})
def test_a_missing_bucket_is_no_missing_file(service: Service, use: str) -> None:
    service.statuses = [404]
    service.code = "NoSuchBucket"

    with pytest.raises(OperationError, match="there is no bucket some-bucket"):
        USES[use](bucket(service.endpoint))


def test_a_name_that_is_taken_is_no_failure(service: Service) -> None:
    service.statuses = [412]
    service.code = "PreconditionFailed"

    assert not bucket(service.endpoint).put_new("packs/a", b"x")


def test_while_another_puts_the_name_it_is_not_taken_yet(service: Service) -> None:
    service.statuses = [409, 409, 200]
    service.code = "ConditionalRequestConflict"

    assert bucket(service.endpoint).put_new("packs/a", b"x")
    assert len(service.requests) == 3


def test_a_conflict_that_does_not_end_is_given_up(service: Service) -> None:
    service.statuses = [409]
    service.code = "ConditionalRequestConflict"

    with pytest.raises(OperationError, match="409 ConditionalRequestConflict") as caught:
        bucket(service.endpoint).put_new("packs/a", b"x")

    assert caught.value.is_transient
    assert len(service.requests) == 6


def test_a_service_that_does_not_answer_is_given_up(service: Service) -> None:
    service.hangs = threading.Event()

    with pytest.raises(OperationError, match="no answer") as caught:
        bucket(service.endpoint).get("packs/a")

    assert caught.value.is_transient


@pytest.mark.parametrize("use", USES)
def test_a_place_where_nobody_listens_is_told(
    use: str, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OperationError, match="no answer") as caught:
        USES[use](bucket("http://127.0.0.1:1"))

    assert caught.value.is_transient
    assert "endpoint" in caught.value.hint


def test_no_secret_is_in_the_repr(service: Service) -> None:
    made = bucket(service.endpoint)

    assert buckets.SECRET not in repr(made)
    assert buckets.KEY_ID not in repr(made)
