"""A target with two users in turn, its rotator, and consumers that acknowledge, or do not.

target = FakeTarget()
provider = FakeProvider({"db": target.first()})
rotator = FakeRotator(target)
consumers = FakeConsumers()
consumers.add("dispatcher", "db", version="1")
"""

import json
import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from resile.errors import OperationError
from resile.secrets.model import Consumer, Turn
from resile.secrets.value import Secret

_CALLS_MAX: Final = 10_000
_USERS: Final = ("blue", "green")


class FakeTarget:
    """Something with two users, each with a password. Safe to share between threads."""

    def __init__(self) -> None:
        self.is_down = False
        """Every call fails."""
        self.passwords: dict[str, str] = {}
        """What opens it now, by user."""

    def first(self) -> str:
        """Make the first credential, and give it as the value of a secret."""
        self.passwords[_USERS[0]] = "first"
        return json.dumps({"username": _USERS[0], "password": "first"})

    def opens(self, secret: Secret) -> bool:
        """Tell whether a credential opens it."""
        return not self.is_down and self._opens(secret)

    def put(self, user: str, password: str | None) -> None:
        """Set the password of a user; None locks it out.

        Raises:
            OperationError: If it is down; transient.
        """
        if self.is_down:
            raise OperationError("the target is down", is_transient=True)
        if password is None:
            self.passwords.pop(user, None)
        else:
            self.passwords[user] = password

    def _opens(self, secret: Secret) -> bool:
        fields = secret.fields()
        return self.passwords.get(fields["username"]) == fields["password"]


class FakeRotator:
    """Rotates the credential of a `FakeTarget`. Safe to share between threads.

    Args:
        target: What it changes.
        has_overlap: What it says of itself.
    """

    kind: Final = "fake"

    def __init__(self, target: FakeTarget, *, has_overlap: bool = True) -> None:
        self.aim = target
        self.has_overlap = has_overlap
        self.calls: deque[tuple[str, str]] = deque(maxlen=_CALLS_MAX)
        """What was called, and for which rotation; the failed ones, too."""
        self.failures: dict[str, deque[Exception]] = {}
        """What the next calls of a method raise, one each."""
        self._made: Counter[str] = Counter()

    def fail(self, method: str, error: Exception, *, times: int = 1) -> None:
        """Let the next calls of `prepare`, `set`, `verify`, `retire` or `abort` fail."""
        self.failures.setdefault(method, deque()).extend([error] * times)

    def prepare(self, turn: Turn) -> bytes:
        """Make a credential for the user whose turn it is; another one each time."""
        self._called("prepare", turn)
        used = "" if turn.before is None else turn.before.field("username")
        user = _USERS[1] if used == _USERS[0] else _USERS[0]
        self._made[turn.rotation_id] += 1
        password = f"{turn.rotation_id} {self._made[turn.rotation_id]}"
        return json.dumps({"username": user, "password": password}).encode()

    def set(self, turn: Turn) -> None:
        """Let the candidate open the target."""
        self._called("set", turn)
        fields = _fields(turn.after)
        self.aim.put(fields["username"], fields["password"])

    def verify(self, turn: Turn) -> None:
        """See that it does.

        Raises:
            OperationError: If it does not; transient.
        """
        self._called("verify", turn)
        if turn.after is None or not self.aim.opens(turn.after):
            raise OperationError("the candidate opens nothing", is_transient=True)

    def retire(self, turn: Turn) -> None:
        """Lock out the user of before."""
        self._called("retire", turn)
        if turn.after is None:  # It was revoked since it became current; both may be.
            if turn.before is not None:
                self.aim.put(turn.before.field("username"), None)
            return
        used = _fields(turn.after)["username"]
        self.aim.put(_USERS[1] if used == _USERS[0] else _USERS[0], None)

    def abort(self, turn: Turn) -> None:
        """Lock out the candidate's user."""
        self._called("abort", turn)
        if turn.after is not None:
            self.aim.put(_fields(turn.after)["username"], None)

    def _called(self, method: str, turn: Turn) -> None:
        self.calls.append((method, turn.rotation_id))
        if failures := self.failures.get(method):
            raise failures.popleft()


class FakeConsumers:
    """Consumers that acknowledge as soon as they are told, but for silent ones. Safe between threads."""

    def __init__(self) -> None:
        self.silent: set[str] = set()
        """Labels of those that acknowledge nothing."""
        self.told: list[tuple[str, str]] = []
        self.revoked: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        self._held: dict[tuple[str, str], Consumer] = {}

    def add(self, label: str, name: str, *, version: str, is_live: bool = True) -> None:
        """Let a consumer hold a version of a secret."""
        consumer = Consumer(consumer_id=label, label=label, version=version, is_live=is_live)
        with self._lock:
            self._held[name, label] = consumer

    def remove(self, label: str, name: str) -> None:
        """Let it end."""
        with self._lock:
            self._held.pop((name, label), None)

    def acknowledge(self, label: str, name: str, version: str) -> None:
        """Let it say that it uses nothing older."""
        with self._lock:
            self._held[name, label] = replace(self._held[name, label], version=version)

    def versions(self, name: str) -> Mapping[str, str]:
        """Give the version that each consumer of a secret has acknowledged."""
        return {one.label: one.version for one in self.holding(name)}

    def holding(self, name: str) -> tuple[Consumer, ...]:
        """Give those that use it."""
        with self._lock:
            return tuple(one for (of, _), one in self._held.items() if of == name)

    def tell(self, name: str, version: str) -> None:
        """Tell all of them; those that are not silent acknowledge."""
        self.told.append((name, version))
        for one in self.holding(name):
            if one.label not in self.silent and one.is_live:
                self.acknowledge(one.label, name, version)

    def revoke(self, name: str, version: str) -> None:
        """Note what must not be used any more."""
        self.revoked.append((name, version))


def _fields(secret: Secret | None) -> dict[str, str]:
    if secret is None:
        raise AssertionError("there is no candidate")
    return secret.fields()
