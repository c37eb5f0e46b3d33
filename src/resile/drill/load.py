"""Sends requests at a steady pace from a few threads, and reads back what was acknowledged."""

import http.client
import itertools
import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Final
from urllib.parse import urlsplit

from resile.core.clock import Clock
from resile.drill.declared import ID, LoadSpec
from resile.drill.ledger import Ledger, Sample
from resile.errors import OperationError

WORKERS: Final = 2
"""One may wait for an answer that does not come; the other one goes on to ask."""
READ_TIMEOUT_S: Final = 20.0
ANSWER_BYTES_MAX: Final = 4 << 20
_TRIES: Final = 3
_AGAIN_S: Final = 1.0
_GOOD: Final = 300
_SHOWN_CHARS: Final = 200

Send = Callable[[LoadSpec, str, float], tuple[int, str]]
"""Sends a body, with a time-out in seconds; gives status and text of the answer. Raises OSError if there is none."""


class Load:
    """Sends the requests of a drill until it is stopped. `start` and `stop` are for one thread.

    Args:
        spec: What is sent.
        ledger: Hears of each.
        prefix: What all ids begin with: the drill's own, so that no other drill is read.
        clock: Paces and measures.
        send: Sends one request.
    """

    def __init__(
        self,
        spec: LoadSpec,
        ledger: Ledger,
        *,
        prefix: str,
        clock: Clock,
        send: Send | None = None,
    ) -> None:
        self._post = send or post
        self._spec = spec
        self._ledger = ledger
        self._prefix = prefix
        self._clock = clock
        self._numbers = itertools.count(1)
        self._over = threading.Event()
        self._paused = threading.Event()
        self._busy = threading.Semaphore(WORKERS)
        self._threads: list[threading.Thread] = []

    @property
    def is_read_back(self) -> bool:
        """Somebody said how acknowledged writes are read back."""
        return bool(self._spec.read_back)

    def start(self) -> None:
        """Begin to send."""
        self._threads = [
            threading.Thread(target=self._work, name=f"drill-load-{number}", daemon=True)
            for number in range(WORKERS)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End it; waits for the answers that are still to come, for their time-out at most."""
        self._over.set()
        for thread in self._threads:
            thread.join(self._spec.timeout_s + 1.0)

    def settle(self) -> tuple[int, tuple[str, ...]]:
        """Look for every acknowledged write and clean up, while nothing is sent; then forget the writes.

        Returns:
            How many there were since the last look, and those that are not there.

        Raises:
            OperationError: If that cannot be read.
        """
        self._paused.set()
        held = 0
        try:
            for _ in range(WORKERS):
                held += self._busy.acquire(timeout=self._spec.timeout_s + 1.0)
            waiting = self._ledger.waiting()
            answer = self._ask(self._spec.read_back) if waiting else ""
            if self._spec.clean_up:
                self._ask(self._spec.clean_up)
            return len(waiting), self._ledger.settle(_found(answer, waiting))
        finally:
            if held:
                self._busy.release(held)
            self._paused.clear()

    def _work(self) -> None:
        gap_s = WORKERS / self._spec.rate
        due_s = self._clock.monotonic()
        while not self._over.is_set():
            if not self._paused.is_set():
                with self._busy:
                    self._send()
            # What was missed is not made up for: a flood after each fault would be another fault.
            due_s = max(due_s + gap_s, self._clock.monotonic())
            self._over.wait(max(0.0, due_s - self._clock.monotonic()))

    def _send(self) -> None:
        name = f"{self._prefix}{next(self._numbers):06d}"
        began_s = self._clock.monotonic()
        why = ""
        try:
            body = self._spec.body.replace(ID, name)
            status, text = self._post(self._spec, body, self._spec.timeout_s)
        except OSError as exc:
            why = f"no answer: {exc}"
        else:
            if not (status < _GOOD and self._spec.acked in text):
                why = f"status {status}: {text[:_SHOWN_CHARS]}".strip()
        ended_s = self._clock.monotonic()
        sample = Sample(began_s=began_s, ended_s=ended_s, is_ok=not why, why=why)
        self._ledger.note(sample, acked=name if not why and self._spec.read_back else "")

    def _ask(self, body: str) -> str:
        why = ""
        for _ in range(_TRIES):
            try:
                status, text = self._post(
                    self._spec, body.replace(ID, self._prefix), READ_TIMEOUT_S
                )
            except OSError as exc:
                why = str(exc)
            else:
                if status < _GOOD:
                    return text
                why = f"status {status}"
            self._clock.sleep(_AGAIN_S)
        raise OperationError(
            f"what was written cannot be read back or removed: {why}",
            hint="see [drill.load] read_back",
        )


def post(spec: LoadSpec, body: str, timeout_s: float) -> tuple[int, str]:
    """Send one request; give the status and the text of its answer.

    Raises:
        OSError: If there was none.
    """
    parts = urlsplit(spec.url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with closing(kind(parts.hostname or "", parts.port, timeout=timeout_s)) as connection:
        try:
            connection.request("POST", path, body.encode(), {"Content-Type": spec.kind})
            response = connection.getresponse()
            return response.status, response.read(ANSWER_BYTES_MAX).decode(errors="replace")
        except http.client.HTTPException as exc:
            raise ConnectionError(f"no HTTP answer: {exc!r}") from exc


def _found(answer: str, names: Iterable[str]) -> Iterable[str]:
    return (name for name in names if name in answer)
