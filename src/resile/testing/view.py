"""A system that only pretends: what the web part shows, without a daemon behind it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from resile.core.events import Event, Payload, announce
from resile.core.journal.port import Query, Record
from resile.core.vocabulary import CheckGroup, CheckState, Phase, Verb
from resile.errors import RejectedError
from resile.testing.degraded import FakeDegradation
from resile.testing.drills_view import FakeDrills
from resile.testing.playbooks_view import FakePlaybooks
from resile.testing.recovery_view import FakeRecovery
from resile.testing.runs import FakeRuns
from resile.testing.secrets_view import FakeSecrets
from resile.testing.steered import FakePolicies
from resile.testing.stored import FakeStore
from resile.testing.switched import FakeSwitches

BARS_COUNT = 60
_EPOCH = datetime(2025, 1, 1, 12, tzinfo=UTC)
_SEVERITY = (
    CheckState.DOWN,
    CheckState.SUPPRESSED,
    CheckState.DEGRADED,
    CheckState.UNKNOWN,
    CheckState.MAINTENANCE,
)


class FakeSystemView:
    """Implements `resile.web.SystemView` in memory; tests change its data and append events.

    Not thread-safe: use it from the event loop that serves it.

    Args:
        name: Of the system.
        now: The time that everything is stamped with; change it as the test needs.
    """

    def __init__(self, *, name: str = "fake", now: datetime = _EPOCH) -> None:
        self.name = name
        self.now = now
        self.started_at = now - timedelta(hours=1)
        self.services: dict[str, dict[str, Any]] = {}
        self.checks: dict[str, dict[str, Any]] = {}
        self.incident_list: list[dict[str, Any]] = []
        self.health: dict[str, Any] | None = {
            "score": 100,
            "grade": "HEALTHY",
            "change": None,
            "dimensions": {"availability": 100},
            "deductions": [],
        }
        self.predictions: list[dict[str, Any]] = []
        self.records: list[Record] = []
        self.requests: list[tuple[Verb, tuple[str, ...], str]] = []
        self.acknowledged: list[tuple[str, str]] = []
        self.beats: list[str] = []
        self.maintained: list[tuple[str, bool, float | None, str, str]] = []
        self.contained = FakeRuns()
        self.store = FakeStore()
        self.policies = FakePolicies()
        self.degradation = FakeDegradation()
        self.secrets = FakeSecrets()
        self.playbooks = FakePlaybooks()
        self.switches = FakeSwitches()
        self.drill = FakeDrills()
        self.recovery = FakeRecovery()
        self.metrics_text = "# TYPE resile_up gauge\nresile_up 1\n"
        self.failure: Exception | None = None
        """What the next question raises; for tests of error paths."""
        self._wakers: set[asyncio.Event] = set()
        self._is_stopped = False

    def put_service(
        self, name: str, state: CheckState = CheckState.UP, **facts: Any
    ) -> dict[str, Any]:
        """Add or replace a service; facts override the defaults of a healthy one."""
        service = {
            "name": name,
            "state": state,
            "phase": Phase.RUNNING,
            "pid": 4000 + len(self.services),
            "restarts": 0,
            "since": self.started_at.isoformat(),
            "generation": 1,
            "reason": "",
            "depends_on": [],
            "memory_bytes": 48 << 20,
            "cpu_share": 0.012,
            "health": self.health,
            "uptime_s": (self.now - self.started_at).total_seconds(),
            "uptime": {"availability": 1.0, "bars": self.bars({})},
        } | facts
        self.services[name] = service
        return service

    def put_check(
        self, check_id: str, state: CheckState = CheckState.UP, **facts: Any
    ) -> dict[str, Any]:
        """Add or replace a check."""
        check = {
            "id": check_id,
            "service": "",
            "group": CheckGroup.SYSTEM,
            "state": state,
            "since": self.started_at.isoformat(),
            "checked_at": self.now.isoformat(),
            "reason": "",
            "latency_s": 0.002,
        } | facts
        self.checks[check_id] = check
        return check

    def bars(self, states: Mapping[int, CheckState | None]) -> list[dict[str, Any]]:
        """Give 60 bars of a minute each, all UP but those that `states` names by index."""
        start = self.now - timedelta(minutes=BARS_COUNT)
        return [
            {
                "from": (start + timedelta(minutes=index)).isoformat(),
                "state": states.get(index, CheckState.UP),
            }
            for index in range(BARS_COUNT)
        ]

    def append(self, payload: Payload, *, at: datetime | None = None) -> Record:
        """Append an event and wake every follower."""
        return self.append_event(announce(payload, at=at or self.now, actor="brain"))

    def append_event(self, event: Event) -> Record:
        """Append an event as it is."""
        previous = self.records[-1].hash if self.records else bytes(32)
        digest = hashlib.sha256(previous + repr(event).encode()).digest()
        record = Record(seq=len(self.records) + 1, event=event, previous_hash=previous, hash=digest)
        self.records.append(record)
        self._wake()
        return record

    def stop(self) -> None:
        """End every following, as a brain that stops does."""
        self._is_stopped = True
        self._wake()

    def status(self) -> Mapping[str, Any]:
        """Give the data that the test put in."""
        self._fail_if_told()
        items = [*self.services.values(), *self.checks.values()]
        states = {item["state"] for item in items}
        worst = next((state for state in _SEVERITY if state in states), CheckState.UP)
        head = self.records[-1] if self.records else None
        return {
            "name": self.name,
            "state": worst if items else CheckState.UNKNOWN,
            "brain": {"pid": 1001, "started_at": self.started_at.isoformat()},
            "guard": {"pid": 1000},
            "journal": {"seq": len(self.records), "hash": head.hash.hex() if head else ""},
            "services": list(self.services.values()),
            "checks": list(self.checks.values()),
            "incidents_open": sum(i["state"] != "resolved" for i in self.incident_list),
            **self.switches.overview(),
            "health": self.health,
            "predictions": self.predictions,
            "http": {"host": "127.0.0.1", "port": 8470},
        }

    def incidents(self) -> Sequence[Mapping[str, Any]]:
        """Give the incidents that the test put in."""
        self._fail_if_told()
        return self.incident_list

    async def events(self, query: Query) -> Sequence[Record]:
        """Read the records that fit, as a journal would."""
        self._fail_if_told()
        found = [record for record in self.records if _fits(record, query)]
        if query.is_newest_first:
            found.reverse()
        return found[: query.limit]

    async def follow(self, *, after_seq: int) -> AsyncIterator[Record]:
        """Yield records as they are appended, until `stop`."""
        waker = asyncio.Event()
        self._wakers.add(waker)
        try:
            seen = after_seq
            while not self._is_stopped:
                waker.clear()
                for record in self.records[seen:]:
                    seen = record.seq
                    yield record
                await waker.wait()
        finally:
            self._wakers.discard(waker)

    def metrics(self) -> str:
        """Give the text that the test put in."""
        self._fail_if_told()
        return self.metrics_text

    async def request(self, verb: Verb, services: tuple[str, ...], who: str) -> None:
        """Remember the request."""
        self._fail_if_told()
        self.requests.append((verb, services, who))

    async def maintain(
        self, target: str, *, is_on: bool, for_s: float | None, why: str, who: str
    ) -> None:
        """Remember who works on what.

        Raises:
            RejectedError: If there is no such target.
        """
        kind, _, name = target.partition("/")
        if name not in {"service": self.services, "check": self.checks}.get(kind, {}):
            raise RejectedError(f"There is no {target!r}.")
        self.maintained.append((target, is_on, for_s, why, who))

    async def beat(self, check: str) -> None:
        """Remember a heartbeat.

        Raises:
            RejectedError: If there is no such check.
        """
        if check not in self.checks:
            raise RejectedError(f"There is no check {check!r}.")
        self.beats.append(check)

    async def acknowledge(self, incident_id: str, who: str) -> None:
        """Remember who took an incident on.

        Raises:
            RejectedError: If there is no such incident.
        """
        if all(incident["id"] != incident_id for incident in self.incident_list):
            raise RejectedError(f"There is no incident {incident_id!r}.")
        self.acknowledged.append((incident_id, who))

    def _wake(self) -> None:
        for waker in self._wakers:
            waker.set()

    def _fail_if_told(self) -> None:
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure


def _fits(record: Record, query: Query) -> bool:
    event = record.event
    return (
        record.seq > query.after_seq
        and (not query.kinds or any(fnmatchcase(event.kind, kind) for kind in query.kinds))
        and query.subject in {"", event.subject}
        and query.correlation_id in {"", event.correlation_id}
        and query.event_id in {"", event.id}
        and (query.since is None or event.at >= query.since)
        and (query.until is None or event.at < query.until)
    )
