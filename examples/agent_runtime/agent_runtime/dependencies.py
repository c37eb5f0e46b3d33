"""What the dispatcher asks, each behind a guard, and what answers in its place.

| asked | while it is away |
|---|---|
| database | the rules that were read last decide, for RULES_AGE_S_MAX |
| scanner | a script runs unscanned, with a warning: it is contained, and undone if it fails |
| reasoner | a script runs without a plan, with a warning |
| outside | reports wait in an outbox, and are sent later |

A connection that is lost is made anew by the retries of the guards. The numbers of the guards are
presets; `[policy.NAME]` of `resile.toml` changes them, also while the dispatcher runs.

The login of the database and the key of the reasoner are read from `resile` at each use, so that a
rotation is seen at once; one that is refused, as it was rotated a moment ago, is read anew.
"""

import http.client
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import resile
from agent_runtime import wire
from agent_runtime.http_service import BEARER
from agent_runtime.policy import DatabaseError, Rules, read_rules
from agent_runtime.settings import HOST, POLICY_LOGIN, REASONER_KEY, Settings
from resile import ResileError, Secret, deadline_after, remaining_s
from resile.degradation import Degradation, Message, Outbox, OutboxLimits, Service, Terminal

ASK_TIMEOUT_S = 6.0
"""For one scan; longer than the scanner's own limit, so that its error arrives."""
ASK_ALL_S = 8.0
"""For all attempts at it."""
PLAN_TIMEOUT_S = 1.5
"""A plan takes some milliseconds; whoever asks for a run does not wait for one that does not come."""
DATABASE_TIMEOUT_S = 2.0
"""Longer than the database waits for a lock, so that its error arrives."""
PING_TIMEOUT_S = 1.5
REPORT_TIMEOUT_S = 1.0
RULES_AGE_S_MAX = 3600.0
"""Older rules decide nothing: somebody may have lost a permission since."""
REPORTS_MAX = 10_000
SAMPLE = "print('a harmless sample')"

Matches = Sequence[Mapping[str, Any]]


class UnavailableError(Exception):
    """A dependency did not do its part, and nothing does in its place.

    Args:
        message: What, in one sentence.
        code: The HTTP status that it answered; 0: none. `resile.attempt` knows 401 by it.
    """

    def __init__(self, message: str, *, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Found:
    """What the scanner or the reasoner gave, and a warning if it could not be asked."""

    items: Sequence[Any] = ()
    warning: str = ""


class Dependencies:
    """Asks them. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rules: Rules | None = None
        self._outbox = Outbox(settings.outbox, OutboxLimits(count_max=REPORTS_MAX, max=10))
        self.services = Degradation(
            Service(
                "database",
                guard="database",
                fallbacks=(self._kept_rules,),
                probe=self._read_rules,
                notice="The policy database is away. Scripts run by the policies read last.",
            ),
            Service(
                "scanner",
                guard="scanner",
                fallbacks=(Found(warning="not scanned: the scanner is away"),),
                probe=lambda: self._scan(SAMPLE),
                notice="The scanner is away. Scripts run unscanned, contained as ever.",
            ),
            Service(
                "reasoner",
                guard="reasoner",
                fallbacks=(Found(warning="no plan: the reasoner is away"),),
                probe=lambda: self._plan({"script": SAMPLE}),
                criticality="medium",
                notice="The reasoner is away. Scripts run without a plan.",
            ),
            Service(
                "outside",
                guard="outside",
                fallbacks=(self._queue,),
                probe=lambda: self._request(settings.outside_port, "GET", "/ready"),
                criticality="low",
                notice="The outside is away. Reports wait, and are sent when it is back.",
            ),
            program="dispatcher",
            journal=settings.degradation,
            notify=(Terminal(title="The agent runtime"),),
        )
        self._delivery = self._outbox.deliver(
            self._deliver, services=self.services, service="outside"
        )

    def close(self) -> None:
        """Let go of what is kept for later."""
        self._delivery.close()
        self._outbox.close()
        self.services.close()

    # What the dispatcher asks -------------------------------------------------------------------

    def rules(self) -> tuple[Rules, str]:
        """Give the rules of now, or those that were read last and a warning.

        Raises:
            UnavailableError: If they never were read, or too long ago.
        """
        try:
            answer = self.services.answer("database", self._read_rules)
        except (DatabaseError, OSError, ValueError, ResileError) as error:
            raise UnavailableError(f"the policy database cannot be read: {error}") from error
        rules = answer.value
        if not answer.is_fallback:
            return rules, ""
        return rules, f"policies of {rules.read_at:%H:%M:%S} UTC: the database is away"

    def scan(self, script: str) -> Found:
        """Look for malicious patterns."""
        with deadline_after(ASK_ALL_S):
            return self.services.call("scanner", self._scan, script)

    def ping_database(self) -> None:
        """Ask it, past guard and fallback: what it is itself, is asked."""
        resile.attempt(POLICY_LOGIN, self._ask_database)

    def ping_scanner(self, sample: bytes) -> None:
        """Have a sample scanned, past guard and fallback: what it is itself, is asked."""
        message = {"script": sample.decode()}
        wire.ask(self._settings.scanner_socket, message, timeout_s=PING_TIMEOUT_S)

    def plan(self, request: Mapping[str, Any]) -> Found:
        """Have a plan made."""
        with deadline_after(PLAN_TIMEOUT_S):
            return self.services.call("reasoner", self._plan, request)

    def report(self, report: Mapping[str, Any]) -> str:
        """Tell the outside what was decided: `sent`, `queued`, or why neither."""
        try:
            answer = self.services.answer("outside", self._send, report)
        except (OSError, UnavailableError, ResileError) as error:
            return f"lost: {error}"
        return "queued" if answer.is_fallback else "sent"

    # How each is asked, and what answers in its place -------------------------------------------

    @resile.guard("database", preset="database")
    def _read_rules(self) -> Rules:
        self._rules = rules = resile.attempt(POLICY_LOGIN, self._ask_database)
        return rules

    def _ask_database(self, login: Secret) -> Rules:
        return read_rules(
            self._settings.database_socket,
            user=login.field("username"),
            password=login.field("password"),
            timeout_s=_time_left(DATABASE_TIMEOUT_S),
        )

    def _kept_rules(self, *, error: Exception) -> Rules:
        rules = self._rules
        if rules is None or (datetime.now(UTC) - rules.read_at).total_seconds() > RULES_AGE_S_MAX:
            raise error
        return rules

    @resile.guard("scanner-link", preset="ipc")
    @resile.guard("scanner", preset="scan")
    def _scan(self, script: str) -> Found:
        answer = wire.ask(
            self._settings.scanner_socket, {"script": script}, timeout_s=_time_left(ASK_TIMEOUT_S)
        )
        if "error" in answer:
            raise UnavailableError(f"the scanner cannot say: {answer['error']}")
        return Found(answer["matches"])

    @resile.guard("reasoner", preset="external_api")
    def _plan(self, request: Mapping[str, Any]) -> Found:
        def ask(key: Secret) -> Found:
            headers = {"Authorization": BEARER + key.reveal()}
            port = self._settings.reasoner_port
            return Found(self._request(port, "POST", "/plan", request, headers)["plan"])

        return resile.attempt(REASONER_KEY, ask)

    @resile.guard("outside", preset="external_api")
    def _send(self, report: Mapping[str, Any]) -> None:
        with deadline_after(REPORT_TIMEOUT_S):
            self._request(self._settings.outside_port, "POST", "/reports", report)

    def _queue(self, report: Mapping[str, Any]) -> None:
        self._outbox.put(report, id=report["run_id"], key=report["run_id"])

    def _deliver(self, message: Message) -> None:
        self._send(message.value)

    def _request(
        self,
        port: int,
        method: str,
        path: str,
        message: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Mapping[str, Any]:
        connection = http.client.HTTPConnection(HOST, port, timeout=_time_left(ASK_TIMEOUT_S))
        try:
            body = None if message is None else json.dumps(message)
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            answer: Mapping[str, Any] = json.loads(response.read())
        except http.client.HTTPException as error:
            raise ConnectionError(f"no HTTP answer: {error!r}") from error
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise UnavailableError(f"port {port} answered {response.status}", code=response.status)
        return answer


def _time_left(most_s: float) -> float:
    """Give what a request may take; 10 ms at least, as 0 would mean not to wait at all."""
    return max(0.01, min(most_s, remaining_s()))
