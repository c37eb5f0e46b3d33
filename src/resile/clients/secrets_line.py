"""The line from a process to the keeper of secrets: questions and answers, and news that come by themselves.

JSON objects, one in a line, as on the lane (`clients.wire`). The process says:

    {"v": 1, "program": "app.py"}                      once, before all else; answered {"v": 1}
    {"ask": N, "verb": VERB, ...}                      a question; answered by its number
    {}                                                 nothing new, but it lives

The keeper says:

    {"answer": N, ...}                                 the answer
    {"answer": N, "error": {"sort", "message", "hint", "retry_after_s"}}
    {"changed": NAME, "version": NUMBER}               another version is current
    {"revoked": NAME, "version": NUMBER}               do not use it any more; "": any version
    {"refused": WHY, "error": {...}}                   and hangs up

What a process uses it says by `watch`, `ack` and `unwatch`, and again to each new keeper: `watch` with the
version that it has acknowledged. One thread alone touches the socket.
"""

import contextlib
import logging
import os
import random
import select
import signal
import socket
import threading
from collections import deque
from collections.abc import Mapping
from math import inf
from pathlib import Path
from typing import Any, Final, Protocol

from resile.clients import wire
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.unix import connect_unix, peer_of
from resile.errors import ProviderDownError
from resile.policies.bound import CHANCE
from resile.policies.forks import renew_in_children

logger = logging.getLogger(__name__)

SOCKET_NAME: Final = "secrets.sock"
ASK_TIMEOUT_S: Final = 15.0
"""A keeper asks its provider, which bounds its calls below it, and the journal."""
CONNECT_TIMEOUT_S: Final = 2.0
SEND_TIMEOUT_S: Final = 5.0
PATIENCE_S: Final = 3.0
"""A keeper that is not there yet, or is started again, is waited for so long; then questions fail at once."""
AGAIN_S_MIN, AGAIN_S_MAX = 0.05, 1.0
"""A keeper that is back is found within a second."""
REFUSED_S: Final = 60.0
"""Another version will not become this one soon."""
ASKED_MAX: Final = 1000
"""Questions without an answer; who asks more waits for none."""
WATCHED_MAX: Final = 2000
"""Twice what a process keeps; the oldest go."""
REPEATED: Final = frozenset(
    {"read", "names", "history", "rotations", "access", "overview", "doctor"}
)
"""Verbs that change nothing: a new keeper is asked again when the one before hung up."""
_READ_BYTES: Final = 1 << 16


class Listener(Protocol):
    """Takes news, in the line's thread: quick, or answers wait."""

    def changed(self, name: str, version: str) -> None:
        """Take it that another version is current; empty: perhaps."""
        ...

    def revoked(self, name: str, version: str) -> None:
        """Take it that a version must not be used any more; empty: any."""
        ...


class AnswerError(Exception):
    """The keeper answered that it could not be done. Its sort is a name out of `resile.errors`."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        self.sort = wire.text_of(error.get("sort"))
        self.message = wire.text_of(error.get("message"))
        self.hint = wire.text_of(error.get("hint"))
        self.retry_after_s = wire.number_of(error.get("retry_after_s"))
        super().__init__(self.message)


class _Question:
    """A question, and who waits for its answer: one thread, or nobody.

    Args:
        number: Its own.
        verb: For what.
        facts: JSON data.
        watched: The name whose `watch` this is; empty: of none.
        is_again: It is said to a new keeper, and something may have changed before.
    """

    __slots__ = ("answer", "is_again", "is_over", "is_repeated", "line", "number", "watched")

    def __init__(
        self,
        number: int,
        verb: str,
        facts: Mapping[str, Any],
        *,
        watched: str = "",
        is_again: bool = False,
    ) -> None:
        self.number = number
        self.line = wire.to_line({"ask": number, "verb": verb, **facts})
        self.watched = watched
        self.is_again = is_again
        self.is_repeated = verb in REPEATED
        self.is_over = threading.Event()
        self.answer: dict[str, Any] | None = None


class SecretsLine:
    """The line of this process to one keeper. Safe to share between threads, and in the children of forks.

    Args:
        state: The daemon's state folder.
        program: How this process is called.
        clock: Paces the thread.
        chance: Spreads the attempts of processes whose keeper died.
    """

    def __init__(
        self,
        state: Path,
        *,
        program: str,
        clock: Clock = SYSTEM_CLOCK,
        chance: random.Random = CHANCE,
    ) -> None:
        self._path = state / "run" / SOCKET_NAME
        self._program = program
        self._clock = clock
        self._chance = chance
        self._listener: Listener | None = None
        self._watched: dict[str, str] = {}
        """What is used here, and the version that was acknowledged last; empty: none."""
        self._is_closed = False
        self._socket: socket.socket | None = None
        self._bell = -1
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        """Begin anew in the child of a fork: the connection, and who waits, are the parent's."""
        for descriptor in (self._bell, -1 if self._socket is None else self._socket.detach()):
            if descriptor >= 0:
                os.close(descriptor)
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._socket = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._questions: dict[int, _Question] = {}
        self._unsaid: deque[_Question] = deque()
        self._number = 0
        self._trouble = ""
        self._away_since_s: float | None = None
        self._refusal: dict[str, Any] | None = None
        if self._watched and not self._is_closed:
            self._start()

    @property
    def trouble(self) -> str:
        """Tell why no keeper answers; empty while one does, or nobody asked yet."""
        return self._trouble

    def follow(self, listener: Listener) -> None:
        """Tell this one of news, and no other."""
        self._listener = listener

    def ask(self, verb: str, *, timeout_s: float = ASK_TIMEOUT_S, **facts: Any) -> dict[str, Any]:
        """Ask, and wait for the answer.

        Args:
            verb: For what.
            timeout_s: For the answer, above 0.
            facts: JSON data.

        Raises:
            AnswerError: What the keeper says.
            ProviderDownError: If there is no keeper, or no answer in time. What was asked for may be
                done nevertheless.
        """
        question = self._put(verb, facts)
        if not question.is_over.wait(timeout_s):
            self._forget(question)
            raise self._away(f"it did not answer within {timeout_s:g} s")
        answer = question.answer
        if answer is None:
            raise self._why_away()
        error = answer.get("error")
        if isinstance(error, dict):
            raise AnswerError(error)
        del answer["answer"]
        return answer

    def watch(self, name: str) -> None:
        """Say that a name is used here from now on. Does not wait."""
        with self._lock:
            if name in self._watched:
                return
            self._watched[name] = ""
            oldest = next(iter(self._watched)) if len(self._watched) > WATCHED_MAX else ""
        if oldest:
            self.unwatch(oldest)
        self._say("watch", {"name": name}, watched=name)

    def unwatch(self, name: str) -> None:
        """Say that a name is not used here any more. Does not wait."""
        with self._lock:
            if self._watched.pop(name, None) is None:
                return
        self._say("unwatch", {"name": name})

    def acknowledge(self, name: str, version: str) -> None:
        """Say that nothing older than this version is used here. Does not wait."""
        with self._lock:
            if name not in self._watched:
                return
            self._watched[name] = version
        self._say("ack", {"name": name, "version": version})

    def note(self, name: str, what: str, count: int) -> None:
        """Say that something happened with a secret. Does not wait; unheard if there is no keeper."""
        self._say("note", {"name": name, "what": what, "count": count})

    def close(self) -> None:
        """Hang up, and end the thread. It cannot be used again. Idempotent."""
        self._is_closed = True
        self._ended.set()
        with self._lock:
            self._ring()
        if self._thread is not None:
            self._thread.join(SEND_TIMEOUT_S)
        self._fail_all("the line is closed")
        with self._lock:
            bell, self._bell = self._bell, -1
        if bell >= 0:
            os.close(bell)

    # For whoever says something ---------------------------------------------------------------------

    def _say(self, verb: str, facts: Mapping[str, Any], *, watched: str = "") -> None:
        """Say it to the keeper that is there now; a new one hears of what is used when it comes."""
        with contextlib.suppress(ProviderDownError, AnswerError):
            self._put(verb, facts, watched=watched)

    def _put(self, verb: str, facts: Mapping[str, Any], *, watched: str = "") -> _Question:
        with self._lock:
            if self._is_closed:
                raise self._away("the line is closed")
            if self._is_known_to_be_away():
                raise self._why_away()
            if len(self._questions) >= ASKED_MAX:
                raise self._away("too many questions wait for an answer")
            question = self._question(verb, facts, watched=watched)
            self._questions[question.number] = question
            self._unsaid.append(question)
            self._start()
            self._ring()
        return question

    def _is_known_to_be_away(self) -> bool:
        since_s = self._away_since_s
        return since_s is not None and self._clock.monotonic() >= since_s + PATIENCE_S

    def _why_away(self) -> Exception:
        if self._refusal is not None:
            return AnswerError(self._refusal)
        return self._away(self._trouble)

    def _away(self, why: str) -> ProviderDownError:
        return ProviderDownError(
            f"the keeper of secrets is not to be reached: {why or 'it hung up'}",
            hint="see `resile status`; it is started again by itself",
        )

    def _forget(self, question: _Question) -> None:
        with self._lock:
            self._questions.pop(question.number, None)
            with contextlib.suppress(ValueError):
                self._unsaid.remove(question)

    def _start(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="resile-secrets-line", daemon=True)
            # The process ends, or may have no more threads: then those who ask wait in vain.
            with contextlib.suppress(RuntimeError):
                thread.start()
                self._thread = thread

    def _ring(self) -> None:
        if self._bell >= 0:
            os.eventfd_write(self._bell, 1)

    # In the thread ----------------------------------------------------------------------------------

    def _run(self) -> None:
        # Signals are for the threads that the user knows of.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        again_s = AGAIN_S_MIN
        while not self._ended.is_set():
            try:
                self._talk()
            except _RefusedError as exc:
                again_s, self._away_since_s = exc.retry_after_s or REFUSED_S, -inf
                self._refusal = exc.error
                self._fail_all(str(exc))
            except (OSError, wire.WireError) as exc:
                is_new = self._away_since_s is None
                again_s = AGAIN_S_MIN if is_new else min(again_s * 2, AGAIN_S_MAX)
                self._lost(str(exc) or type(exc).__name__)
            except Exception as exc:
                logger.exception("secrets.line_failed")
                self._lost(type(exc).__name__)
            self._ended.wait(again_s * self._chance.uniform(0.5, 1.0))

    def _talk(self) -> None:
        with connect_unix(self._path, timeout_s=CONNECT_TIMEOUT_S) as sock:
            if peer_of(sock).uid not in (0, os.geteuid()):
                raise OSError(f"{self._path} is another user's")
            self._socket = sock
            sock.settimeout(SEND_TIMEOUT_S)
            try:
                lines = self._greet(sock)
                self._converse(sock, lines)
            finally:
                self._socket = None

    def _greet(self, sock: socket.socket) -> wire.Lines:
        """Say who this is, wait to be welcome, and say what is used here."""
        sock.sendall(wire.to_line({"v": wire.VERSION, "program": self._program}))
        lines = wire.Lines()
        heard: list[dict[str, Any]] = []
        while not heard:
            data = sock.recv(_READ_BYTES)
            if not data:
                raise ConnectionResetError("it hung up")
            heard = lines.feed(data)
        first, *others = heard
        if "refused" in first:
            raise _RefusedError(first)
        if first.get("v") != wire.VERSION:
            raise wire.WireError("it did not greet")
        for message in others:
            self._hear(message)
        self._trouble, self._away_since_s, self._refusal = "", None, None
        self._say_again()
        return lines

    def _say_again(self) -> None:
        """Put what is used here before all else that is to be said."""
        with self._lock:
            asked = {question.watched for question in self._unsaid}
            said: list[_Question] = []
            for name, version in self._watched.items():
                if name not in asked:
                    facts = {"name": name, "version": version}
                    said.append(self._question("watch", facts, watched=name, is_again=True))
            self._questions.update((one.number, one) for one in said)
            self._unsaid.extendleft(reversed(said))

    def _question(self, verb: str, facts: Mapping[str, Any], **marks: Any) -> _Question:
        self._number += 1
        return _Question(self._number, verb, facts, **marks)

    def _converse(self, sock: socket.socket, lines: wire.Lines) -> None:
        waiting = select.poll()  # select(2) cannot wait for a descriptor above 1023.
        waiting.register(sock, select.POLLIN)
        waiting.register(self._bell, select.POLLIN)
        said_s = self._clock.monotonic()
        while not self._ended.is_set():
            if self._say_all(sock):
                said_s = self._clock.monotonic()
            elif self._clock.monotonic() - said_s >= wire.HEARTBEAT_S:
                sock.sendall(wire.to_line({}))
                said_s = self._clock.monotonic()
            ready = {descriptor for descriptor, _ in waiting.poll(wire.HEARTBEAT_S * 1000)}
            if self._bell in ready:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._bell)
            if sock.fileno() in ready:
                data = sock.recv(_READ_BYTES)
                if not data:
                    raise ConnectionResetError("it hung up")
                for message in lines.feed(data):
                    self._hear(message)

    def _say_all(self, sock: socket.socket) -> bool:
        """Say what is to be said; False if nothing is."""
        has_said = False
        while self._unsaid:
            try:
                question = self._unsaid.popleft()
            except IndexError:  # It was given up meanwhile.
                break
            sock.sendall(question.line)
            has_said = True
        return has_said

    def _hear(self, message: dict[str, Any]) -> None:
        match message:
            case {"answer": int() as number}:
                self._answered(number, message)
            case {"changed": str() as name}:
                self._tell_changed(name, message.get("version"))
            case {"revoked": str() as name} if self._listener is not None:
                self._listener.revoked(name, _version(message.get("version")))

    def _answered(self, number: int, message: dict[str, Any]) -> None:
        with self._lock:
            question = self._questions.pop(number, None)
        if question is None:
            return  # Nobody waits for it any more.
        is_told = question.is_again or "version" in message
        if question.watched and is_told and "error" not in message:
            self._tell_changed(question.watched, message.get("version"))
        question.answer = message
        question.is_over.set()

    def _tell_changed(self, name: str, version: object) -> None:
        if self._listener is not None:
            self._listener.changed(name, _version(version))

    def _lost(self, why: str) -> None:
        """Note that there is no keeper; those who wait too long hear it, and those who may not wait."""
        self._trouble = why
        with self._lock:
            if self._away_since_s is None:
                self._away_since_s = self._clock.monotonic()
            said = [one for one in self._questions.values() if one not in self._unsaid]
            self._unsaid.extendleft(one for one in reversed(said) if one.is_repeated)
            over = [self._questions.pop(one.number) for one in said if not one.is_repeated]
        for question in over:
            question.is_over.set()
        if self._is_known_to_be_away():
            self._fail_all(why)

    def _fail_all(self, why: str) -> None:
        self._trouble = why
        with self._lock:
            questions = list(self._questions.values())
            self._questions.clear()
            self._unsaid.clear()
        for question in questions:
            question.is_over.set()


class _RefusedError(Exception):
    """The keeper wants nothing to do with this process; what it says why, for those who ask."""

    def __init__(self, message: Mapping[str, Any]) -> None:
        why = wire.text_of(message["refused"])
        error = message.get("error")
        self.error: dict[str, Any] | None = error if isinstance(error, dict) else None
        self.retry_after_s = wire.number_of((self.error or {}).get("retry_after_s"), high=REFUSED_S)
        super().__init__(f"it refused: {why}")


def _version(value: object) -> str:
    return wire.text_of(value)
