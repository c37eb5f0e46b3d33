"""Watches a boxed command to its end: output, counters, limits, violations; then leaves nothing of it.

One loop over a few descriptors. Whatever ends the run, the end is the same: the control group is
killed until the kernel says that it is empty, or, where there is none, the pid namespace is. Where
the command has ended and left nobody, that is only about the box, and it need not be waited for at
once: the kernel takes a millisecond to unmount what the box had.
"""

import contextlib
import os
import select
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from resile.contain.cgroups import Cgroup, empty
from resile.contain.decide import Alert, Breach, Sample, alerts_of, breach_of
from resile.contain.meter import Meter
from resile.contain.model import Limits, Violation
from resile.contain.output import Capture
from resile.contain.sandboxes import Boxed, LaunchFailed, MainEnded, Observer, Started, Warned
from resile.core.clock import Clock
from resile.core.vocabulary import RunReason, ViolationKind
from resile.errors import CgroupError

KILL_TIMEOUT_S = 10.0
"""A process that takes longer to die hangs in the kernel."""
_WAIT_S_MAX = 1.0
_LAST_WORDS_S = 0.05
"""What the launcher still has to say of a command that was killed comes within milliseconds."""
VIOLATIONS_MAX = 1000
"""More are counted by the kernel's refusals alone; a command cannot fill our memory."""

Judge = Callable[[Violation], Breach | None]
"""Tells whether a violation ends the run."""


class StopRequest:
    """Asks a run to end, from any thread or signal handler. Safe to share between threads."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lock = threading.Lock()
        self.breach: Breach | None = None
        self.count = 0

    def ask(self, why: str) -> None:
        """Ask for the end; the second time there is no grace."""
        self.breach = self.breach or Breach(reason=RunReason.KILLED, message=why, is_graceful=True)
        self.count += 1
        with contextlib.suppress(OSError, ValueError):  # It is closed: the run is over.
            os.eventfd_write(self._fd, 1)

    def fileno(self) -> int:
        """The descriptor that becomes readable; -1 once it is closed."""
        return self._fd

    def taken(self) -> None:
        """Note that the request was seen."""
        with contextlib.suppress(OSError, ValueError):
            os.eventfd_read(self._fd)

    def close(self) -> None:
        """Close it. Idempotent."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What was seen of a run.

    Args:
        sample: The last counters.
        breach: Why we ended it; None if we did not.
        ended: How its main process ended; None if that was not told.
        failed: Why it could not be launched; None if it was.
        violations: In the order in which they were seen.
        warnings: What the sandbox lacks on this machine.
    """

    sample: Sample
    breach: Breach | None
    ended: MainEnded | None
    failed: LaunchFailed | None
    violations: tuple[Violation, ...]
    warnings: tuple[str, ...] = ()


class Watch:
    """One run, from its launch until nothing of it lives. Not thread-safe; `stop` is.

    Args:
        boxed: The command.
        group: Its control group; None where there are none.
        limits: With the memory as bytes.
        captures: Its standard output and error.
        meter: Its counters.
        stop: Who may ask for its end.
        judge: Tells whether a violation ends it.
        on_alert: Told of a limit that is close, once each.
        on_breach: Told before it is ended by force.
        on_violation: Told of each.
        on_sample: Told of each sample, for whoever looks on.
        clock: Measures the time.
    """

    def __init__(
        self,
        boxed: Boxed,
        group: Cgroup | None,
        *,
        limits: Limits,
        captures: Sequence[Capture],
        meter: Meter,
        stop: StopRequest,
        judge: Judge,
        on_alert: Callable[[Alert], None],
        on_breach: Callable[[Breach], None],
        on_violation: Callable[[Violation], None],
        on_sample: Callable[[Sample], None],
        clock: Clock,
    ) -> None:
        self._boxed = boxed
        self._group = group
        self._limits = limits
        self._captures = captures
        self._meter = meter
        self._stop = stop
        self._judge = judge
        self._on_alert = on_alert
        self._on_breach = on_breach
        self._on_violation = on_violation
        self._on_sample = on_sample
        self._clock = clock
        self._observer: Observer | None = None
        self._breach: Breach | None = None
        self._kill_at_s = float("inf")
        self._is_gone = False
        self._ended: MainEnded | None = None
        self._failed: LaunchFailed | None = None
        self._violations: list[Violation] = []
        self._warnings: list[str] = []
        self._told: frozenset[str] = frozenset()
        self._poll = select.poll()
        self._calls: dict[int, Callable[[], None]] = {}

    def run(self) -> Watched:
        """Watch until the command has ended or must end; then kill what is left of it.

        Nothing of the command lives when this returns. Its box may still be taken down, if the
        command left nobody in it: `wait_gone` waits for that.

        Raises:
            CgroupError: If a process does not die.
        """
        try:
            self._watch(self._boxed.fd, self._listen)
            self._watch(self._stop.fileno(), self._asked)
            while not self._is_over():
                self._turn()
            self._note_survivors()
        finally:
            self._kill()
            if self._ended is None or self._ended.has_survivors:
                self.wait_gone()
        for capture in self._captures:
            capture.drain()
        return Watched(
            sample=self._meter.measure(self._output_bytes()),
            breach=self._breach,
            ended=self._ended,
            failed=self._failed,
            violations=tuple(self._violations),
            warnings=tuple(self._warnings),
        )

    # One turn -----------------------------------------------------------------------------------

    def _turn(self) -> None:
        self._watch_captures()
        for fd, _ in self._poll.poll(1000 * self._wait_s()):
            if fd in self._calls:
                self._calls[fd]()
        before = self._meter.sample
        sample = self._meter.tick(self._output_bytes())
        if sample.memory_bytes != before.memory_bytes or sample.cpu_share != before.cpu_share:
            self._on_sample(sample)
        for alert in alerts_of(self._limits, sample, told=self._told):
            self._told |= {alert.limit}
            self._on_alert(alert)
        if self._breach is None and (breach := breach_of(self._limits, sample)) is not None:
            self._ask_to_end(breach)

    def _watch_captures(self) -> None:
        """Look only at output that can be taken: a slow reader slows the command, not us."""
        for capture in self._captures:
            if capture.fd >= 0 and not capture.has_room():
                self._unwatch(capture.fd)
            elif capture.fd >= 0 and capture.fd not in self._calls:
                self._watch(capture.fd, lambda capture=capture: self._take(capture))  # type: ignore[misc]

    def _wait_s(self) -> float:
        """Wait until something is due: a sample, the end of the time, the end of the grace."""
        wait_s = min(_WAIT_S_MAX, self._meter.due_in_s())
        if self._limits.time_s and self._breach is None:
            wait_s = min(wait_s, self._limits.time_s - self._meter.sample.usage.time_s)
        return max(0.0, min(wait_s, self._kill_at_s - self._clock.monotonic()))

    def _is_over(self) -> bool:
        if self._ended is not None or self._failed is not None or self._boxed.has_ended:
            return True
        return self._clock.monotonic() >= self._kill_at_s

    def _listen(self) -> None:
        for message in self._boxed.read():
            if isinstance(message, Started):
                self._observe()
            elif isinstance(message, MainEnded):
                self._ended = message
            elif isinstance(message, Warned):
                self._warnings.append(_warning(message))
            else:
                self._failed = message

    def _observe(self) -> None:
        if self._boxed.notify_fd >= 0:
            self._observer = Observer(self._boxed.notify_fd, clock=self._clock)
            self._watch(self._boxed.notify_fd, self._look)

    def _look(self) -> None:
        """Take what the command tried, and answer it."""
        if self._observer is None:
            return
        for violation in self._observer.read():
            self._note(violation)
        if self._observer.has_ended:
            self._unwatch(self._observer.fd)

    def _take(self, capture: Capture) -> None:
        fd = capture.fd
        if not capture.read():
            self._unwatch(fd)

    def _asked(self) -> None:
        self._stop.taken()
        if self._breach is None and self._stop.breach is not None:
            self._ask_to_end(self._stop.breach)
        elif self._stop.count > 1:
            self._kill_at_s = self._clock.monotonic()

    # Its end ------------------------------------------------------------------------------------

    def _ask_to_end(self, breach: Breach) -> None:
        self._breach = breach
        self._on_breach(breach)
        grace_s = self._limits.grace_s if breach.is_graceful else 0.0
        if grace_s:
            self._boxed.signal(signal.SIGTERM)
        self._kill_at_s = self._clock.monotonic() + grace_s

    def wait_gone(self) -> None:
        """Wait until nothing is left of the box either. May be called twice.

        Raises:
            CgroupError: If a process does not die.
        """
        if self._is_gone:
            return
        if self._group is not None and not empty(
            self._group, timeout_s=KILL_TIMEOUT_S, clock=self._clock
        ):
            raise CgroupError(
                "processes of the run do not die",
                hint="they hang in the kernel (state D in ps), mostly on a disk or a network mount",
            )
        if self._ended is None and self._failed is None:
            self._hear_last_words()
        self._boxed.close()
        self._is_gone = True

    def _kill(self) -> None:
        if self._group is not None:
            with contextlib.suppress(CgroupError):  # The launcher's own kill follows.
                self._group.kill()
        self._boxed.kill()

    def _hear_last_words(self) -> None:
        deadline_s = self._clock.monotonic() + _LAST_WORDS_S
        while not self._boxed.has_ended and self._clock.monotonic() < deadline_s:
            poll = select.poll()
            poll.register(self._boxed.fd, select.POLLIN)
            poll.poll(1000 * max(0.0, deadline_s - self._clock.monotonic()))
            self._listen()

    def _note_survivors(self) -> None:
        """Note who still runs although the main process ended by itself."""
        if self._ended is None or self._breach is not None or not self._ended.has_survivors:
            return
        own = {self._boxed.pid, *children_of(self._boxed.pid)}
        pids = () if self._group is None else self._group.pids()
        named = [(pid, name) for pid in pids if pid not in own and (name := name_of(pid))]
        for pid, name in named or [(0, "something")]:
            self._note(
                Violation(
                    kind=ViolationKind.SURVIVOR,
                    detail=f"{name} ran on when the command had ended",
                    pid=pid,
                    command=name if pid else "",
                    decision="killed",
                    source="launcher" if not pid else "cgroup",
                    at=self._clock.now(),
                )
            )

    def _note(self, violation: Violation) -> None:
        if len(self._violations) < VIOLATIONS_MAX:
            self._violations.append(violation)
            self._on_violation(violation)
        breach = self._judge(violation)
        if breach is not None and self._breach is None and self._ended is None:
            self._ask_to_end(breach)

    # Helpers ------------------------------------------------------------------------------------

    def _output_bytes(self) -> int:
        return sum(capture.size for capture in self._captures)

    def _watch(self, fd: int, call: Callable[[], None]) -> None:
        self._calls[fd] = call
        self._poll.register(fd, select.POLLIN)

    def _unwatch(self, fd: int) -> None:
        if self._calls.pop(fd, None) is not None:
            self._poll.unregister(fd)


def _warning(warned: Warned) -> str:
    about = f" {warned.path}" if warned.path else ""
    reason = f": {os.strerror(warned.number)}" if warned.number else ""
    return f"the sandbox does without {warned.stage}{about}{reason}"


def children_of(pid: int) -> frozenset[int]:
    """List the children of a process with one thread; none if it is gone."""
    with contextlib.suppress(OSError, ValueError):
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return frozenset(map(int, text.split()))
    return frozenset()


def name_of(pid: int) -> str:
    """Tell the short name of a living process; empty if it is dead or gone."""
    with contextlib.suppress(OSError):
        head, _, tail = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")
        if tail.split()[0] not in (b"Z", b"X"):
            return head.partition(b"(")[2].decode(errors="replace")
    return ""
