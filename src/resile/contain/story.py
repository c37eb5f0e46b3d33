"""What is told of one run while it goes on: to the journal, and to whoever looks on."""

import contextlib
from dataclasses import asdict
from typing import TYPE_CHECKING

from resile.contain.decide import Alert, Breach, Sample
from resile.contain.host import Host
from resile.contain.model import Violation
from resile.core.events import Payload, RunAlerted, RunBreached, RunViolated, announce
from resile.errors import ResileError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from resile.core.journal import Record

_LIVE_EVERY_S = 0.5


class Story:
    """Tells of one run. Not thread-safe.

    Args:
        host: Whose journal.
        run_id: Of which run.
    """

    def __init__(self, host: Host, run_id: str) -> None:
        self._host = host
        self._run_id = run_id
        self._live_at_s = 0.0

    def tell(self, *payloads: Payload) -> None:
        """Tell as one unit; durable when it returns.

        Raises:
            JournalError: If that failed; nothing of it is told then.
        """
        self.told(*payloads).result()

    def told(self, *payloads: Payload) -> "Future[tuple[Record, ...]]":
        """Begin to tell; the future is done when it is durable."""
        now = self._host.clock.now()
        events = (announce(payload, at=now, actor="run") for payload in payloads)
        return self._host.journal.append_soon(*events)

    def on_alert(self, alert: Alert) -> None:
        """Tell that a limit is close."""
        self._tell_soon(RunAlerted(run_id=self._run_id, **asdict(alert)))

    def on_breach(self, breach: Breach) -> None:
        """Tell that it is ended by force, and why."""
        self._tell_soon(
            RunBreached(
                run_id=self._run_id,
                label=breach.label,
                reason=breach.reason,
                detail=breach.message,
            )
        )

    def on_violation(self, violation: Violation) -> None:
        """Tell what it tried or made."""
        self._tell_soon(
            RunViolated(
                run_id=self._run_id,
                violation=violation.kind,
                detail=violation.detail,
                pid=violation.pid,
                command=violation.command,
                decision=violation.decision,
                source=violation.source,
                seen_at=violation.at,
            )
        )

    def on_sample(self, sample: Sample) -> None:
        """Show what it uses, twice a second."""
        now_s = self._host.clock.monotonic()
        if now_s < self._live_at_s:
            return
        self._live_at_s = now_s + _LIVE_EVERY_S
        figures = {
            **asdict(sample.usage),
            "memory_bytes": sample.memory_bytes,
            "cpu_share": sample.cpu_share,
        }
        with contextlib.suppress(ResileError):  # Figures for whoever looks on; a full disk shows.
            self._host.runs.note_live(self._run_id, figures)

    def _tell_soon(self, payload: Payload) -> None:
        """Tell what nobody waits for; what is appended later makes it durable too."""
        with contextlib.suppress(ResileError):  # The end, which must be told, raises then.
            now = self._host.clock.now()
            self._host.journal.append_soon(announce(payload, at=now, actor="run"))
