"""Call AWS: explicit time-outs, few tries, and errors of ours.

boto3 blocks; whoever runs an event loop calls from a thread. Its own retries are off: how often and how
long is decided here, once.
"""

import logging
import random
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from resile.clients._extras import require
from resile.clients.aws.faults import Again, Fault, Meanings, refused, unanswered
from resile.clients.aws.model import AWS_PATIENCE, AwsKeys, AwsLogin, AwsPatience, AwsPlace
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.policies.backoff import Backoff, Jitter, Schedule
from resile.policies.bound import CHANCE

EXTRA = "aws"
_CONNECTIONS_MAX = 10
"""To each service; botocore's own default."""
_GIVING_AWAY = ("boto3", "botocore", "urllib3")
"""Loggers that write requests and answers, values included, at DEBUG."""
_NO_MEANINGS: Meanings = {}
_FROM_ENVIRONMENT = "env"


class Aws:
    """AWS, as one set of credentials sees it. Safe to share between threads. Opens nothing until it is used.

    Args:
        place: Region and endpoint.
        keys: Credentials; None: where boto3 finds them (environment, profile, the machine's role), which
            also renews them.
        patience: How long to wait.
        clock: Measures the pauses.
        chance: Spreads the pauses.

    Raises:
        MissingExtraError: If boto3 is not installed.
    """

    def __init__(
        self,
        place: AwsPlace | None = None,
        *,
        keys: AwsKeys | None = None,
        patience: AwsPatience = AWS_PATIENCE,
        clock: Clock = SYSTEM_CLOCK,
        chance: random.Random = CHANCE,
    ) -> None:
        self.place = place or AwsPlace()
        self.clock = clock
        self._keys = keys
        self._patience = patience
        self._chance = chance
        self._pauses = Schedule(
            kind=Backoff.EXPONENTIAL,
            initial_s=patience.pause_s,
            max_s=patience.retry_timeout_s,
            multiplier=2.0,
            jitter=Jitter.EQUAL,
        )
        self._boto3 = require("boto3", extra=EXTRA)
        self._errors = require("botocore.exceptions", extra=EXTRA)
        self._lock = threading.Lock()
        self._session: Any = None
        self._clients: dict[str, Any] = {}
        self._skew_s: float | None = None

    def __repr__(self) -> str:
        return f"Aws({self.place!r})"

    def of(self, keys: AwsKeys) -> "Aws":
        """Give the same place, as other credentials see it."""
        return Aws(
            self.place, keys=keys, patience=self._patience, clock=self.clock, chance=self._chance
        )

    def call(
        self,
        service: str,
        operation: str,
        about: str,
        *,
        is_repeatable: bool = True,
        meanings: Meanings = _NO_MEANINGS,
        **request: Any,
    ) -> dict[str, Any]:
        """Make one call, and again if AWS is too busy or away, up to the patience's tries.

        Args:
            service: As boto3 calls it: `secretsmanager`.
            operation: The method of its client.
            about: What it is about, for errors: `secret 'db/password'`. Never a value.
            is_repeatable: Twice is as good as once. If not, it is made again only when it surely was not
                carried out.
            meanings: What codes mean here.
            request: The call's arguments. None of them appears in an error.

        Raises:
            SecretError: The kind that it is, without a value.
        """
        what = f"{operation} of {about}"
        began_s = self.clock.monotonic()
        tried, pause_s = 0, 0.0
        while True:
            tried += 1
            outcome = self._try(service, operation, what, meanings, request)
            if not isinstance(outcome, Fault):
                return outcome
            pause_s = self._pauses.wait_s(tried, pause_s, self._chance)
            is_late = self.clock.monotonic() + pause_s - began_s > self._patience.retry_timeout_s
            is_allowed = outcome.again is Again.ALWAYS or (
                is_repeatable and outcome.again is Again.IF_REPEATABLE
            )
            if not is_allowed or is_late or tried >= self._patience.tries:
                # Neither a context nor this frame leads back to what was asked.
                request.clear()
                raise outcome.error
            self.clock.sleep(pause_s)

    def pages(
        self,
        service: str,
        operation: str,
        about: str,
        *,
        marker: tuple[str, str],
        pages_max: int,
        **request: Any,
    ) -> Iterator[dict[str, Any]]:
        """Make a call again and again for the pages of its answer, up to a number of them.

        Args:
            service: As in `call`.
            operation: As in `call`.
            about: As in `call`.
            marker: How the place to go on is called in the answer, and in the request.
            pages_max: The limit; what is beyond is left out.
            request: As in `call`.
        """
        told, asked = marker
        for _ in range(pages_max):
            page = self.call(service, operation, about, **request)
            yield page
            if not page.get(told):
                return
            request[asked] = page[told]

    def client(self, service: str) -> Any:
        """Give boto3's client for a service, made on its first use. Safe to share between threads."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._made(service)
            return self._clients[service]

    def login(self) -> AwsLogin | None:
        """Tell where the credentials come from; None if there are none.

        Raises:
            SecretError: If boto3's configuration is wrong.
        """
        try:
            with self._lock:
                found = self._open().get_credentials()
        except self._errors.BotoCoreError as exc:
            fault = unanswered(exc, "the search for credentials")
        else:
            return _login(found) if found else None
        raise fault.error

    def clock_skew_s(self) -> float | None:
        """Tell how many seconds AWS's clock is ahead of ours, to a second; None if it has not said yet."""
        return self._skew_s

    def close(self) -> None:
        """Close all connections. Idempotent; a later call opens new ones."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()
            self._session = None

    def _try(
        self, service: str, operation: str, what: str, meanings: Meanings, request: dict[str, Any]
    ) -> dict[str, Any] | Fault:
        try:
            answer: dict[str, Any] = getattr(self.client(service), operation)(**request)
        except self._errors.ClientError as exc:
            self._hear(exc.response)
            return refused(exc.response, what, meanings)
        except (self._errors.BotoCoreError, ValueError) as exc:
            # boto3 tells of an endpoint that is no URL by a bare ValueError.
            return unanswered(exc, what)
        self._hear(answer)
        return answer

    def _hear(self, answer: Mapping[str, Any]) -> None:
        """Note what the time is at AWS, which a refusal tells, too."""
        told = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
        try:
            at = parsedate_to_datetime(told)
        except ValueError:
            return
        self._skew_s = (at.astimezone(UTC) - self.clock.now()).total_seconds()

    def _made(self, service: str) -> Any:
        config = require("botocore.config", extra=EXTRA).Config(
            connect_timeout=self._patience.connect_timeout_s,
            read_timeout=self._patience.read_timeout_s,
            retries={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=_CONNECTIONS_MAX,
            user_agent_extra="resile",
        )
        return self._open().client(service, endpoint_url=self.place.endpoint or None, config=config)

    def _open(self) -> Any:
        """Make the session, which threads must not share, under the lock."""
        if self._session is None:
            _hush()
            keys = self._keys
            self._session = self._boto3.session.Session(
                region_name=self.place.region or None,
                aws_access_key_id=keys.key_id if keys else None,
                aws_secret_access_key=keys.secret if keys else None,
            )
        return self._session


def _login(found: Any) -> AwsLogin:
    """Read botocore's credentials. Which end, and when, it keeps to itself; the names are old and stable."""
    ends_at = getattr(found, "_expiry_time", None)
    method, is_refreshable = str(found.method), hasattr(found, "refresh_needed")
    return AwsLogin(
        method=method,
        # To ask such ones for their token would renew them.
        is_temporary=is_refreshable or bool(found.token),
        # From the environment botocore reads what it has read before.
        is_renewed=is_refreshable and method != _FROM_ENVIRONMENT,
        ends_at=ends_at.astimezone(UTC) if ends_at else None,
    )


def _hush() -> None:
    """Keep values out of logs where somebody turns everything to DEBUG; who names these loggers gets them."""
    for name in _GIVING_AWAY:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)
