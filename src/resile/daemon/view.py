"""What the brain shows: the web part's `SystemView`, answered from memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from resile.core.clock import Clock
from resile.core.events import (
    HeartbeatReceived,
    IncidentAcknowledged,
    MaintenanceChanged,
    OperatorRequested,
)
from resile.core.journal import Query, Record, SqliteJournal
from resile.core.vocabulary import CheckState, Phase, Verb
from resile.daemon.broadcast import Broadcast
from resile.daemon.foresight import SYSTEM, Foresight
from resile.daemon.loop import Loop
from resile.daemon.measures import Measures
from resile.daemon.stories import Stories
from resile.daemon.switch_desk import SwitchDesk
from resile.errors import RejectedError
from resile.health import CheckKind, CheckResult, CheckSpec, ProcessSample, Scheduler
from resile.incidents import IncidentBook, UptimeBook
from resile.recover import World, check_state_of, service_target, state_of

if TYPE_CHECKING:
    from resile.daemon.desks import Desks
    from resile.web import (
        DegradationView,
        DrillView,
        PlaybooksView,
        PoliciesView,
        RecoveryView,
        RunsView,
        SecretsView,
        StoreView,
        SwitchesView,
    )  # loaded later, in a thread: it takes a second

WORST_FIRST = (
    CheckState.DOWN,
    CheckState.SUPPRESSED,
    CheckState.DEGRADED,
    CheckState.UNKNOWN,
    CheckState.MAINTENANCE,
    CheckState.UP,
)


class BrainView:
    """Answers from the brain's state. Lives on the brain's event loop.

    Args:
        name: Of the system.
        world: What recovery knows.
        book: The incidents.
        uptime: The history of the services' states.
        stories: The records that incidents are told from.
        journal: Read in threads only.
        scheduler: For the latest results.
        checks: Every declared check.
        broadcast: Live records.
        loop: Takes requests.
        clock: Where time comes from.
        measures: The metrics.
        switches: What is switched off.
        desks: The contained runs, the store, the guards, degraded mode and the secrets.
        samples: Gives what the main process of each service uses.
        foresight: The scores, and what is expected to run out.
        address: Tells the dashboard's host and port; None while the port is taken.
        pids: Of this brain and of its guard.
    """

    def __init__(
        self,
        *,
        name: str,
        world: World,
        book: IncidentBook,
        uptime: UptimeBook,
        stories: Stories,
        journal: SqliteJournal,
        scheduler: Scheduler,
        checks: Sequence[CheckSpec],
        broadcast: Broadcast,
        loop: Loop,
        clock: Clock,
        measures: Measures,
        desks: "Desks",
        switches: SwitchDesk,
        samples: Callable[[], Mapping[str, ProcessSample]],
        foresight: Foresight,
        address: Callable[[], tuple[str, int] | None],
        pids: tuple[int, int],
    ) -> None:
        self._name = name
        self._world = world
        self._book = book
        self._uptime = uptime
        self._stories = stories
        self._journal = journal
        self._scheduler = scheduler
        self._checks = checks
        self._broadcast = broadcast
        self._loop = loop
        self._clock = clock
        self._measures = measures
        self._desks = desks
        self._switches = switches
        self._samples = samples
        self._foresight = foresight
        self._address = address
        self._brain_pid, self._guard_pid = pids
        self._started_at = clock.now()
        self.journal_trouble = ""

    @property
    def contained(self) -> "RunsView":
        """The contained runs."""
        return self._desks.runs

    @property
    def store(self) -> "StoreView":
        """The store."""
        return self._desks.store

    @property
    def policies(self) -> "PoliciesView":
        """The guards of user's processes."""
        return self._desks.lanes

    @property
    def degradation(self) -> "DegradationView":
        """Degraded operation in user's processes."""
        return self._desks.degradation

    @property
    def secrets(self) -> "SecretsView":
        """The secrets, without their values."""
        return self._desks.secrets

    @property
    def playbooks(self) -> "PlaybooksView":
        """The playbooks."""
        return self._desks.playbooks

    @property
    def drill(self) -> "DrillView":
        """The drills."""
        return self._desks.drill

    @property
    def recovery(self) -> "RecoveryView":
        """The coordinated plan."""
        return self._desks.recovery

    @property
    def switches(self) -> "SwitchesView":
        """What is switched off."""
        return self._switches

    def status(self) -> Mapping[str, Any]:
        """Give the whole state in one answer."""
        now = self._clock.now()
        samples = self._samples()
        services = [self._service(name, samples.get(name), now) for name in self._world.services]
        results = self._scheduler.results()
        head = self._journal.head()
        address = self._address()
        return {
            "name": self._name,
            "state": self._worst(services),
            "brain": {"pid": self._brain_pid, "started_at": self._started_at.isoformat()},
            "guard": {"pid": self._guard_pid},
            "journal": {
                "seq": head.seq,
                "hash": head.hash.hex(),
                "trouble": self.journal_trouble,
            },
            "services": services,
            "checks": [self._check(spec, results.get(spec.id)) for spec in self._checks],
            "incidents_open": len(self._book.active()),
            **self._switches.overview(),
            "health": self._foresight.health(SYSTEM),
            "predictions": self._foresight.predictions(),
            "http": dict(zip(("host", "port"), address, strict=True)) if address else None,
        }

    def incidents(self) -> Sequence[Mapping[str, Any]]:
        """Give every incident that is remembered, newest first, with its timeline."""
        return self._stories.views(self._book, now=self._clock.now())

    async def events(self, query: Query) -> Sequence[Record]:
        """Read the journal in a thread."""
        return await asyncio.to_thread(self._journal.read, query)

    def follow(self, *, after_seq: int) -> AsyncIterator[Record]:
        """Yield records as they are appended."""
        return self._broadcast.follow(after_seq=after_seq)

    def metrics(self) -> str:
        """Give the Prometheus text."""
        self._desks.lanes.measure()
        self._measures.secrets.take(self._desks.secrets.overview())
        self._measures.foresight.take(self._foresight)
        return self._measures.text(
            self._world,
            self._book,
            self._samples(),
            dropped_count=self._loop.dropped,
            now=self._clock.now(),
        )

    async def request(self, verb: Verb, services: tuple[str, ...], who: str) -> None:
        """Journal what an operator wants."""
        for name in services:
            if name not in self._world.services:
                raise RejectedError(
                    f"there is no service {name!r}",
                    hint="`resile status` lists the services",
                )
        actor = f"operator:{who}" if who else "operator"
        await self._loop.record(
            OperatorRequested(verb=verb, services=services, who=who), actor=actor
        )

    async def maintain(
        self, target: str, *, is_on: bool, for_s: float | None, why: str, who: str
    ) -> None:
        """Journal the beginning or the end of work on a target."""
        kind, _, name = target.partition("/")
        is_service = kind == "service" and name in self._world.services
        if not is_service and not (kind == "check" and name in self._world.checks):
            raise RejectedError(
                f"there is no {target!r}", hint="`resile status` lists services and checks"
            )
        until = self._clock.now() + timedelta(seconds=for_s) if is_on and for_s else None
        await self._loop.record(
            MaintenanceChanged(target=target, is_on=is_on, until=until, why=why, who=who),
            actor=f"operator:{who}" if who else "operator",
        )

    async def beat(self, check: str) -> None:
        """Journal a heartbeat; it is looked at in the check's rhythm."""
        waiting = [s.id for s in self._checks if s.kind is CheckKind.HEARTBEAT and not s.service]
        if check not in waiting:
            raise RejectedError(
                f"no check {check!r} waits for heartbeats",
                hint=f"those that do: {', '.join(waiting) or 'none'}; "
                f'add [check.{check}] heartbeat = "1d"',
            )
        await self._loop.record(HeartbeatReceived(check=check), actor="operator")

    async def acknowledge(self, incident_id: str, who: str) -> None:
        """Journal that a person takes an incident on."""
        if incident_id not in self._book.incidents:
            raise RejectedError(
                f"there is no incident {incident_id!r}", hint="`resile incidents` lists them"
            )
        actor = f"operator:{who}" if who else "operator"
        await self._loop.record(IncidentAcknowledged(incident_id=incident_id, who=who), actor=actor)

    def _service(self, name: str, sample: ProcessSample | None, now: datetime) -> dict[str, Any]:
        status = self._world.service(name)
        since = status.state_since or self._started_at
        _, reason = state_of(self._world, name)
        bars = self._uptime.bars(name, now)
        return {
            "name": name,
            "pid": status.pid,
            "state": status.state,
            "phase": self._world.phase(name),
            "restarts": status.restarts,
            "since": since.isoformat(),
            "generation": status.generation,
            "reason": reason,
            "depends_on": list(self._world.service_spec(name).depends_on),
            "memory_bytes": sample.rss_bytes if sample else None,
            "cpu_share": round(sample.cpu_share, 4) if sample else None,
            "health": self._foresight.health(service_target(name)),
            "uptime_s": (now - status.started_at).total_seconds() if status.started_at else 0.0,
            "uptime": {
                "availability": self._uptime.availability(name, now),
                "bars": [{"from": b.began_at.isoformat(), "state": b.state} for b in bars],
            },
        }

    def _check(self, spec: CheckSpec, result: CheckResult | None) -> dict[str, Any]:
        status = self._world.check(spec.id)
        state, reason = check_state_of(self._world, spec.id)
        if result is not None and state is status.state:
            reason = result.reason
        return {
            "id": spec.id,
            "service": spec.service,
            "group": spec.group,
            "state": state,
            "since": status.since.isoformat() if status.since else None,
            "reason": reason,
            "checked_at": result.at.isoformat() if result else None,
            "latency_s": round(result.latency_s if result else status.latency_s, 6),
        }

    def _worst(self, services: Sequence[Mapping[str, Any]]) -> CheckState:
        states = {s["state"] for s in services if s["phase"] is not Phase.STOPPED}
        states |= {
            check_state_of(self._world, spec.id)[0] for spec in self._checks if not spec.service
        }
        if self.journal_trouble:
            states.add(CheckState.DEGRADED)
        return next((state for state in WORST_FIRST if state in states), CheckState.UNKNOWN)
