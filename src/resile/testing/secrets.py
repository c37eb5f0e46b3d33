"""A provider of secrets in memory, which can be away, sealed, slow, or deny; and which leases.

provider = FakeProvider({"db/password": "hunter2"}, clock=clock)
provider.is_away = True             # every call raises ProviderDownError from now on
"""

import hmac
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from resile.core.clock import Clock
from resile.core.vocabulary import SecretStage
from resile.errors import ProviderDownError, SecretDeniedError, SecretRevokedError
from resile.secrets.checking import need_name, need_write, unknown_secret
from resile.secrets.model import CURRENT_VERSION, Abilities, Version
from resile.secrets.providers.stages import (
    Shelf,
    destroyed,
    discarded,
    promoted,
    revoked,
    written,
)
from resile.secrets.value import Secret
from resile.testing.clock import FakeClock

CALLS_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lease:
    name: str
    ends_s: float
    last_s: float
    """Beyond this it is not renewed; both in monotonic seconds."""


class FakeProvider:
    """All that a provider can do, in memory. Safe to share between threads.

    Args:
        secrets: What is there at first.
        clock: Stamps versions, ends leases, and passes the time of a slow call.
    """

    kind: Final = "fake"
    abilities: Final = Abilities(has_versions=True, can_write=True, has_leases=True, is_remote=True)

    def __init__(
        self, secrets: Mapping[str, str | bytes] | None = None, *, clock: Clock | None = None
    ) -> None:
        self.is_away = False
        """Every call fails as with no network."""
        self.is_sealed = False
        """Every call fails as with a sealed vault."""
        self.retry_after_s = 0.0
        """What it says then."""
        self.slow_s = 0.0
        """So long each call takes."""
        self.denied: set[str] = set()
        """Names that nobody may have."""
        self.calls: deque[tuple[str, str]] = deque(maxlen=CALLS_MAX)
        """What was called, and for which name; the failed ones, too."""
        self._clock = clock or FakeClock()
        self._lock = threading.RLock()
        self._shelves: dict[str, Shelf] = {}
        self._values: dict[tuple[str, str], bytes] = {}
        self._lease_s: dict[str, tuple[float, float]] = {}
        self._leases: dict[str, _Lease] = {}
        for name, value in (secrets or {}).items():
            self.write(name, _bytes(value), token=f"first {name}")
        self.calls.clear()

    def lease(self, name: str, *, for_s: float, max_s: float) -> None:
        """From now on, each reading of this name gives a lease.

        Args:
            name: The secret.
            for_s: How long a lease lasts, and is renewed for.
            max_s: How long all renewals of one can last together.
        """
        with self._lock:
            self._lease_s[name] = (for_s, max_s)

    def read(self, name: str, *, version: str = CURRENT_VERSION) -> Secret:
        """Give a version of a secret, with a lease if it has one."""
        self._called("read", name)
        with self._lock:
            found = self._shelf(name).find(version)
            if found.stage is SecretStage.RETIRED:
                raise revoked(name, version)
            lease_id, lease_s = self._leased(name)
            return Secret(
                name,
                found.number,
                self._values[name, found.number],
                stage=found.stage,
                created_at=found.created_at,
                lease_id=lease_id,
                lease_s=lease_s,
            )

    def history(self, name: str) -> tuple[Version, ...]:
        """Give all versions, the newest first."""
        self._called("history", name)
        with self._lock:
            versions = self._shelf(name).versions
        if not versions:
            raise unknown_secret(name)
        return versions

    def names(self) -> tuple[str, ...]:
        """Give all names, sorted."""
        self._called("names")
        with self._lock:
            return tuple(sorted(name for name, one in self._shelves.items() if one.versions))

    def check(self) -> None:
        """Fail if it was told to."""
        self._called("check")

    def close(self) -> None:
        """Do nothing: what it keeps can still be looked at."""

    def write(
        self,
        name: str,
        value: bytes,
        *,
        stage: SecretStage = SecretStage.CURRENT,
        expect: str | None = None,
        token: str,
    ) -> Version:
        """Write a new version, as the current one or as the candidate."""
        self._called("write", name)
        need_write(name, value, stage=stage, token=token)
        with self._lock:
            before = self._shelf(name)
            after, version = written(
                before,
                stage=stage,
                expect=expect,
                token=token,
                at=self._clock.now(),
                has_value=lambda one: hmac.compare_digest(self._values[name, one.number], value),
            )
            if after is not before:
                self._values[name, version.number] = value
            self._save(after)
        return version

    def promote(self, name: str, *, token: str, expect: str | None) -> Version:
        """Make the candidate of this token the current version."""
        self._called("promote", name)
        with self._lock:
            after, version = promoted(self._shelf(name), token=token, expect=expect)
            self._save(after)
        return version

    def discard(self, name: str, *, token: str) -> None:
        """Destroy the candidate of this token."""
        self._called("discard", name)
        with self._lock:
            self._save(discarded(self._shelf(name), token=token))

    def destroy(self, name: str, version: str) -> None:
        """Destroy the value of a version."""
        self._called("destroy", name)
        with self._lock:
            self._save(destroyed(self._shelf(name), version))

    def renew(self, lease_id: str, *, for_s: float) -> float:
        """Give a lease more time, up to what it can have at all."""
        self._called("renew", lease_id)
        with self._lock:
            lease, now = self._leases.get(lease_id), self._clock.monotonic()
            if lease is None or now >= min(lease.ends_s, lease.last_s):
                raise SecretRevokedError(
                    f"the lease {lease_id} has ended", hint="read the secret again"
                )
            ends_s = min(now + for_s, lease.last_s)
            self._leases[lease_id] = replace(lease, ends_s=ends_s)
            return ends_s - now

    def revoke(self, lease_id: str) -> None:
        """End a lease."""
        self._called("revoke", lease_id)
        with self._lock:
            self._leases.pop(lease_id, None)

    def open_leases(self, name: str) -> tuple[str, ...]:
        """Give the leases of a name that last."""
        now = self._clock.monotonic()
        with self._lock:
            return tuple(
                lease_id
                for lease_id, one in self._leases.items()
                if one.name == name and one.ends_s > now
            )

    def _called(self, what: str, name: str = "") -> None:
        self.calls.append((what, name))
        if self.slow_s:
            self._clock.sleep(self.slow_s)
        if self.is_away or self.is_sealed:
            why = "is sealed" if self.is_sealed else "does not answer"
            raise ProviderDownError(
                f"the provider {why}", hint="try again", retry_after_s=self.retry_after_s
            )
        if name in self.denied:
            raise SecretDeniedError(f"nobody may have {name!r}", hint="ask for another one")

    def _shelf(self, name: str) -> Shelf:
        need_name(name)
        return self._shelves.get(name, Shelf(name=name))

    def _save(self, shelf: Shelf) -> None:
        """Keep what there is of a name; what has become retired, or is gone, loses its value."""
        name = shelf.name
        self._shelves[name] = shelf
        alive = {one.number for one in shelf.versions if one.stage is not SecretStage.RETIRED}
        for key in [key for key in self._values if key[0] == name and key[1] not in alive]:
            del self._values[key]

    def _leased(self, name: str) -> tuple[str, float]:
        if name not in self._lease_s:
            return "", 0.0
        for_s, max_s = self._lease_s[name]
        now = self._clock.monotonic()
        lease_id = f"{name}/lease-{len(self.calls)}-{len(self._leases)}"
        self._leases[lease_id] = _Lease(name=name, ends_s=now + for_s, last_s=now + max_s)
        return lease_id, for_s


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
