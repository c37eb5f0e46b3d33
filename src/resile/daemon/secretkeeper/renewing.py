"""Has secrets rotated that somebody else may have, or that an odd client has read; nothing of it is forgotten."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from resile.core.clock import Clock
from resile.core.events import RotationBegun, RotationEnded
from resile.core.ids import new_id
from resile.core.vocabulary import RotationOutcome, RotationReason
from resile.daemon.secretkeeper.recording import Tell
from resile.errors import OperationError, RejectedError, ResileError
from resile.secrets.rotation import Rotations

logger = logging.getLogger(__name__)

WHO = "secretkeeper"
AT_ONCE_MAX = 8
"""Each may wait for its deadline: what a client has read is renewed side by side."""
TRIES_MAX = 10
AGAIN_S_MIN, AGAIN_S_MAX = 1.0, 60.0
"""Between two attempts to begin, twice as long each time: some minutes in all, a provider's restart."""


class Renewing:
    """Safe to share between threads.

    Args:
        rotations: Gives what rotates; raises a ResileError where there is none yet.
        rotated: Called with the name of what was compromised and is rotated.
        is_off: Tells whether a person switched rotation off.
        tell: Journals.
        clock: Stamps, and waits between attempts.
    """

    def __init__(
        self,
        rotations: Callable[[], Rotations],
        *,
        rotated: Callable[[str], None],
        is_off: Callable[[], bool] = lambda: False,
        tell: Tell,
        clock: Clock,
    ) -> None:
        self._rotations = rotations
        self._rotated = rotated
        self._is_off = is_off
        self._tell = tell
        self._clock = clock
        self._pool = ThreadPoolExecutor(AT_ONCE_MAX, thread_name_prefix="renewing")
        self._lock = threading.Lock()
        self._pending: set[tuple[str, RotationReason]] = set()

    def renew(self, name: str, reason: RotationReason, why: str) -> None:
        """Have a secret rotated. Does not wait. What is pending already is not begun twice.

        While rotation is off nothing is begun; of what is compromised a person is told, and the next
        life of the keeper owes it still.
        """
        if self._is_off():
            if reason is RotationReason.COMPROMISE:
                self._tell_undone(name, why, RejectedError("rotation is switched off"))
            return
        with self._lock:
            if (name, reason) in self._pending:
                return
            self._pending.add((name, reason))
        self._pool.submit(self._run, name, reason, why)

    def _run(self, name: str, reason: RotationReason, why: str) -> None:
        try:
            self._try(name, reason, why)
        except Exception:
            logger.exception("secretkeeper.not_rotated secret=%s", name)
        finally:
            with self._lock:
                self._pending.discard((name, reason))

    def _try(self, name: str, reason: RotationReason, why: str) -> None:
        again_s = AGAIN_S_MIN
        for attempt in range(1, TRIES_MAX + 1):
            try:
                report = self._rotations().rotate(name, reason=reason, who=WHO, why=why)
            except ResileError as exc:
                is_over = attempt == TRIES_MAX or not _is_transient(exc)
                logger.warning("secretkeeper.not_rotated secret=%s reason=%s", name, exc.message)
                if is_over and reason is RotationReason.COMPROMISE:
                    self._tell_undone(name, why, exc)
                if is_over:
                    return
                self._clock.sleep(again_s)
                again_s = min(2 * again_s, AGAIN_S_MAX)
            else:
                is_lost = report.outcome is RotationOutcome.ABORTED
                if reason is RotationReason.COMPROMISE and not is_lost:
                    self._rotated(name)
                return

    def _tell_undone(self, name: str, why: str, error: ResileError) -> None:
        """Tell that somebody has to do it by hand, as of any rotation that could not be begun."""
        rotation_id = new_id("rotation", at=self._clock.now())
        begun = RotationBegun(
            rotation_id=rotation_id,
            name=name,
            rotator="",
            reason=RotationReason.COMPROMISE,
            who=WHO,
            why=why,
        )
        ended = RotationEnded(
            rotation_id=rotation_id,
            name=name,
            outcome=RotationOutcome.ABORTED,
            number="",
            duration_s=0.0,
            why=f"{error.message}: change it by hand",
        )
        self._tell(begun, ended)


def _is_transient(error: ResileError) -> bool:
    return isinstance(error, OperationError) and error.is_transient
