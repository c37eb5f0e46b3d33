"""What the watch over accesses is told, what it finds, and its settings. Frozen data, no values."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from resile.core.vocabulary import AccessOutcome, SecretResponse

SECRETKEEPER = "secretkeeper"
"""The client of a finding about the watch itself."""
MINUTE_S = 60.0
HOUR_S = 3600.0
DAY_S = 86_400.0
SERVICE = "service/"
"""What the name of a client begins with that is a service; any other is an operator's process."""
TEXT_LENGTH_MAX = 256
"""Of a client, a name, a program: what is longer is cut."""


class Signal(StrEnum):
    """What was seen of a client. Its word stands in `SecretAnomaly.signals`."""

    CANARY = "canary"
    """It asked for a secret that nobody needs."""
    RETIRED_VERSION = "retired_version"
    """A service asked, by its number, for a version that is not given any more: somebody has an old copy."""
    RETIRED_ASKED = "retired_asked"
    """A process outside of all services did: an operator who looks at the history, most likely."""
    RETIRED_LOGIN = "retired_login"
    """A credential that was retired was used for a login."""
    FIRST_SEEN = "first_seen"
    """It was given a secret that it had never read before."""
    UNKNOWN_UID = "unknown_uid"
    UNKNOWN_PROGRAM = "unknown_program"
    UNKNOWN_HOME = "unknown_home"
    """A client that is known runs as somebody else, as another program, or somewhere else."""
    DENIALS = "denials"
    """It asked again and again for what it may not have, or what does not exist."""
    AUTH_FAILURES = "auth_failures"
    """What it has read was refused again and again where it is used."""
    BREADTH = "breadth"
    """It asked for far more different secrets in an hour than ever before."""
    RATE = "rate"
    """It asks far more often than it does at this hour."""
    FLOOD = "flood"
    """It asks so often that this is copying, not use."""
    MEMORY_LOST = "memory_lost"
    """What was learnt is damaged, and is learnt anew."""


class NoteKind(StrEnum):
    """What a client, or whoever watches a target, tells of a secret's use."""

    AUTH_FAILED = "auth_failed"
    RETIRED_LOGIN = "retired_login"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One question for a secret, and what came of it.

    Args:
        client: `service/NAME` or `user/UID/PROGRAM`.
        name: The secret.
        version_number: The version that was given, or that was asked for by its number. Empty if the
            current one was asked for and not given: a revoked name is no sign of an old copy then.
        outcome: What came of it.
        at: When; aware.
        pid: The process.
        uid: Its user.
        program: The path of what it runs; empty if nobody could tell.
        home: Where it runs: its cgroup or host, by a name that outlives a restart; empty: not judged.
        count: So many equal ones at once, 1 or more.
        is_cached: The client may keep what it is given. The rate of one that has to ask for each use (after a
            step up) is not judged, nor learnt: it would be a flood for doing as it was told.
    """

    client: str
    name: str
    version_number: str
    outcome: AccessOutcome
    at: datetime
    pid: int
    uid: int
    program: str = ""
    home: str = ""
    count: int = 1
    is_cached: bool = True

    def cleaned(self) -> "Access":
        """Give it with texts that can be kept: not too long, and without halves of characters.

        A program's path may be any bytes.
        """
        texts = self.client, self.name, self.version_number, self.program, self.home
        if all(text.isascii() and len(text) <= TEXT_LENGTH_MAX for text in texts):
            return self
        return replace(
            self,
            client=cleaned(self.client),
            name=cleaned(self.name),
            version_number=cleaned(self.version_number),
            program=cleaned(self.program),
            home=cleaned(self.home),
        )


def cleaned(text: str) -> str:
    """Give a text that can be kept."""
    return text.encode(errors="replace").decode()[:TEXT_LENGTH_MAX]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What was told of the use of a secret.

    A client is taken at its word only about itself, so that none can bring another one into disrepute.

    Args:
        client: Who used it.
        name: The secret.
        kind: What happened.
        at: When; aware.
    """

    client: str
    name: str
    kind: NoteKind
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """One signal, as it was raised.

    Args:
        signal: What was seen.
        why: One sentence with the facts, without a full stop.
        names: The secrets that it is about.
    """

    signal: Signal
    why: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong with a client, and what is to be done; the fields of `SecretAnomaly`.

    Args:
        client: Who.
        names: The secrets that it is about; what else it has read, `AccessWatch.blast_radius` tells.
        signals: All that counts together, the newest first.
        score: 0 to 100.
        response: What is to be done. Whoever does it asks the budget of rotations for each secret.
        why: For people.
    """

    client: str
    names: tuple[str, ...]
    signals: tuple[Signal, ...]
    score: float
    response: SecretResponse
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Who has read which version of a secret.

    Args:
        client: Who.
        name: The secret.
        version_number: The version.
        first_at: When first; aware, UTC.
        last_at: When last.
        count: How often.
        is_open: The version is current or previous, as far as the watch was told: it opens something.
    """

    client: str
    name: str
    version_number: str
    first_at: datetime
    last_at: datetime
    count: int
    is_open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What counts as odd. Each default has its reason here.

    Args:
        learn_s: So long only canaries, retired credentials and a damaged memory have consequences.
            Default 14 days: each hour of the week is seen twice.
        canaries: The secrets that nobody needs.
        denials: So many refused questions in `denials_within_s` are a burst. Default 10 in 5 minutes: a
            client that was not granted something asks a few times, one that searches asks for each name.
        denials_within_s: See there.
        failures: So many failed logins with one secret in `failures_within_s` are repeated. Default 5 in
            10 minutes: after a rotation an honest client fails once, and has the new one then.
        failures_within_s: See there.
        breadth_factor: So many times its own maximum of different secrets in an hour is too broad.
            Default 3.
        breadth_min: Fewer are never too broad. Default 10: what one service is configured with.
        clients_max: The least recently seen ones above it are forgotten. Default 1000, some 10 KiB each.
    """

    learn_s: float = 14 * DAY_S
    canaries: AbstractSet[str] = frozenset()
    denials: int = 10
    denials_within_s: float = 5 * MINUTE_S
    failures: int = 5
    failures_within_s: float = 10 * MINUTE_S
    breadth_factor: float = 3.0
    breadth_min: int = 10
    clients_max: int = 1000

    def __post_init__(self) -> None:
        counts = (self.denials, self.failures, self.breadth_min, self.clients_max)
        spans = (self.denials_within_s, self.failures_within_s)
        if min(counts) < 1 or min(spans) <= 0 or self.learn_s < 0 or self.breadth_factor < 1:
            raise AssertionError(f"settings of the watch are out of range: {self}")
