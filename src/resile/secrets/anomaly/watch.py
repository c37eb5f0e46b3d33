"""The watch over accesses: what each one shows at once, what each minute shows, who has read what."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from math import inf

from resile.core.vocabulary import AccessOutcome
from resile.secrets.anomaly.case import Case
from resile.secrets.anomaly.decide import Standing
from resile.secrets.anomaly.memory import READS_MAX, AccessMemory, ClientRow
from resile.secrets.anomaly.model import (
    HOUR_S,
    MINUTE_S,
    SECRETKEEPER,
    Access,
    Finding,
    Note,
    NoteKind,
    Read,
    Settings,
    Sign,
    Signal,
    cleaned,
)
from resile.secrets.anomaly.profile import Profile
from resile.secrets.anomaly.series import Series, Surge
from resile.secrets.anomaly.signals import Conduct, first_seen, of_access, of_traits, traits_of


@dataclass(kw_only=True)
class _Client:
    """What is known of a client while the watch runs."""

    name: str
    first_s: float
    last_s: float
    series: Series
    conduct: Conduct
    traits: dict[str, set[str]]
    case: Case
    uncached_s: float = -inf
    """When it last asked without being allowed to keep the answer."""


class AccessWatch:
    """Watches all clients. Not thread-safe.

    What it has learnt is in its memory. Lost with the process are the evidence of the last hour, bursts
    that are under way, and what the running hour would have taught.

    Args:
        memory: What is kept.
        settings: What counts as odd.
    """

    def __init__(self, memory: AccessMemory, settings: Settings) -> None:
        self._memory = memory
        self._settings = settings
        self._maintained: AbstractSet[str] = frozenset()
        self._began_s: float | None = None
        self._clients = {row.name: self._known(row) for row in memory.clients()}

    def seen(self, access: Access) -> tuple[Finding, ...]:
        """Take in an access that was decided on; give what is wrong with its client now.

        It takes some ten microseconds; every two seconds some milliseconds, to make durable what was learnt.
        """
        access = access.cleaned()
        at_s = access.at.timestamp()
        lost = self._begin(at_s)
        client = self._client(access.client, at_s)
        surge = self._pass(client, at_s)
        if access.is_cached:
            surge = client.series.add(access.count) or surge
        else:
            client.uncached_s, surge = at_s, None
        signs = [
            *of_access(access, self._settings),
            *self._novelties(client, access, at_s),
            *client.conduct.asked(access, at_s),
            *_of_surge(surge, client),
        ]
        found = self._judge(client, signs, at_s)
        self._memory.commit_if_due(at_s)
        return (*lost, *found)

    def noted(self, note: Note) -> tuple[Finding, ...]:
        """Take in what was told of the use of a secret; give what is wrong with its client now."""
        at_s, name = note.at.timestamp(), cleaned(note.name)
        lost = self._begin(at_s)
        client = self._client(cleaned(note.client), at_s)
        if note.kind is NoteKind.AUTH_FAILED:
            signs = [*client.conduct.failed(name, at_s)]
        else:
            why = f"it logged in with a credential of {name} that is retired"
            signs = [Sign(signal=Signal.RETIRED_LOGIN, why=why, names=(name,))]
        return (*lost, *self._judge(client, signs, at_s))

    def look(self, now: datetime) -> tuple[Finding, ...]:
        """Tell whose rate is odd, and make durable what was learnt.

        To be called once a minute at least, and better every few seconds: minutes without an access
        are only seen here. A thousand clients take some milliseconds.

        Args:
            now: Aware.
        """
        at_s = now.timestamp()
        found = [*self._loss()]
        for client in self._clients.values():
            found += self._judge(client, _of_surge(self._pass(client, at_s), client), at_s)
        self._memory.commit()
        return tuple(found)

    def maintain(self, clients: AbstractSet[str]) -> None:
        """Set which clients are in declared maintenance: what is odd about them is only logged."""
        self._maintained = frozenset(clients)

    def forgive(self, client: str) -> None:
        """Forget the evidence against a client: somebody has looked into it, and released it."""
        if known := self._clients.get(cleaned(client)):
            known.case.forget()

    def retired(self, name: str, version_number: str = "") -> None:
        """Take in that a version, or all versions if none is named, open nothing any more."""
        self._memory.retire(cleaned(name), cleaned(version_number))

    def blast_radius(self, client: str) -> tuple[str, ...]:
        """Name the secrets that a client has read in a version that opens something still; sorted."""
        reads = self._memory.reads(client=cleaned(client), is_open=True, limit=READS_MAX)
        return tuple(sorted({read.name for read in reads}))

    def reads(self, *, client: str = "", name: str = "", limit: int = 1000) -> tuple[Read, ...]:
        """Tell who has read what, the latest first: of one client, of one secret, or all."""
        return self._memory.reads(client=cleaned(client), name=cleaned(name), limit=limit)

    def close(self) -> None:
        """Keep all that was learnt, and close the memory. Idempotent."""
        if not self._memory.is_closed:
            for client in self._clients.values():
                self._save(client)
        self._memory.close()

    def _begin(self, at_s: float) -> tuple[Finding, ...]:
        """Know since when accesses are seen, and tell if all is learnt anew."""
        lost = self._loss()
        if self._began_s is None:
            self._began_s = self._memory.began_s(at_s)
        return lost

    def _loss(self) -> tuple[Finding, ...]:
        why = self._memory.take_loss()
        if not why:
            return ()
        self._clients.clear()
        self._began_s = None
        sign = Sign(
            signal=Signal.MEMORY_LOST,
            why=f"what was learnt of accesses is damaged, and is learnt anew: {why}",
        )
        found = Case(SECRETKEEPER).take([sign], Standing(), 0.0)
        return (found,) if found else ()

    def _known(self, row: ClientRow) -> _Client:
        """Give a client as it was kept."""
        return _Client(
            name=row.name,
            first_s=row.first_s,
            last_s=row.last_s,
            # Its minute is long ago: nothing is known of the time between.
            series=Series(Profile.unpack(row.profile), 0),
            conduct=Conduct(self._settings, row.breadth),
            traits=self._memory.traits(row.name),
            case=Case(row.name),
        )

    def _client(self, name: str, at_s: float) -> _Client:
        """Give a client, as the one that was seen last."""
        client = self._clients.pop(name, None) or self._new_client(name, at_s)
        client.last_s = at_s
        self._clients[name] = client
        return client

    def _new_client(self, name: str, at_s: float) -> _Client:
        while len(self._clients) >= self._settings.clients_max:
            oldest = next(iter(self._clients))
            del self._clients[oldest]
            self._memory.forget_client(oldest)
        client = _Client(
            name=name,
            first_s=at_s,
            last_s=at_s,
            series=Series(Profile(), int(at_s // MINUTE_S)),
            conduct=Conduct(self._settings),
            traits={},
            case=Case(name),
        )
        self._save(client)
        return client

    def _save(self, client: _Client) -> None:
        self._memory.save_client(
            ClientRow(
                name=client.name,
                first_s=client.first_s,
                last_s=client.last_s,
                breadth=client.conduct.breadth,
                profile=client.series.profile.pack(),
            )
        )

    def _novelties(self, client: _Client, access: Access, at_s: float) -> Iterator[Sign]:
        """Yield what a client does for the first time, and learn it."""
        yield from of_traits(access, client.traits)
        for trait, value in traits_of(access).items():
            if value not in client.traits.get(trait, ()):
                self._memory.add_trait(client.name, trait, value, at_s)
                client.traits = self._memory.traits(client.name)
        if access.outcome is not AccessOutcome.GIVEN:
            return
        key = client.name, access.name
        is_first = not self._memory.has_read(*key)
        self._memory.add_read(*key, access.version_number, at_s, access.count)
        if is_first and not self._standing(client, at_s).is_learning:
            yield first_seen(access, is_first_client=client.first_s == at_s)

    def _pass(self, client: _Client, at_s: float) -> Surge | None:
        """Let time pass for a client; at the end of an hour, keep what it has taught."""
        if 0 <= at_s - client.uncached_s < HOUR_S:
            return None  # Its series has a gap then, and begins anew afterwards.
        hour = client.series.hour
        surge = client.series.advance(int(at_s // MINUTE_S))
        if client.series.hour != hour:
            client.conduct.end_hour(is_learning=self._standing(client, at_s).is_new)
            self._save(client)
        return surge

    def _standing(self, client: _Client, at_s: float) -> Standing:
        began_s = at_s if self._began_s is None else self._began_s
        return Standing(
            is_learning=at_s - began_s < self._settings.learn_s,
            is_new=at_s - client.first_s < self._settings.learn_s,
            is_maintained=client.name in self._maintained,
        )

    def _judge(self, client: _Client, signs: Sequence[Sign], at_s: float) -> tuple[Finding, ...]:
        if not signs:
            return ()
        found = client.case.take(signs, self._standing(client, at_s), at_s)
        return (found,) if found else ()


def _of_surge(surge: Surge | None, client: _Client) -> list[Sign]:
    """Say that a client asks too often."""
    if surge is None:
        return []
    why = (
        f"it asked {surge.count} times in five minutes besides its busiest five, at most "
        f"{surge.level:.0f} times usually at this hour"
    )
    signal = Signal.FLOOD if surge.is_flood else Signal.RATE
    return [Sign(signal=signal, why=why, names=client.conduct.latest())]
