"""The keeper of secrets of this system, as a provider: it is asked over its unix socket."""

import base64
import binascii
import random
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NoReturn

from resile import errors
from resile.clients import wire
from resile.clients.secrets_line import ASK_TIMEOUT_S, AnswerError, SecretsLine
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.vocabulary import RotationReason, SecretStage
from resile.errors import ProviderDownError, ResileError, SecretError
from resile.policies.bound import CHANCE
from resile.secrets.cache.feed import Listener
from resile.secrets.cache.model import STALE_S_MAX, TTL_S_MAX, Terms
from resile.secrets.model import CURRENT_VERSION, Abilities, Version
from resile.secrets.value import Secret

CHECK_TIMEOUT_S: Final = 5.0
LONG_TIMEOUT_S: Final = 600.0
"""A rotation waits for its consumers, and a new master key for every value."""
TERMS_MAX: Final = 2000
"""Twice what a process keeps; the oldest go."""
SORTS: Final = (
    "SecretError",
    "UnknownSecretError",
    "SecretKeyError",
    "SecretDeniedError",
    "SecretRevokedError",
    "SecretConflictError",
    "SecretDamagedError",
    "ProviderDownError",
    "ConfigError",
    "RejectedError",
    "OperationError",
)
"""What an answer may be; another sort is a `SecretError`."""
JSON = Mapping[str, Any]


class DaemonProvider:
    """Asks the keeper. Safe to share between threads, and in the children of forks.

    It is a feed, too: it tells a manager of changes, and the keeper of what the process uses.

    Args:
        line: The line to the keeper.
    """

    kind = "daemon"
    abilities = Abilities(has_versions=True, can_write=False, has_leases=True, is_remote=True)

    def __init__(self, line: SecretsLine) -> None:
        self._line = line
        self._terms: OrderedDict[str, Terms] = OrderedDict()

    @classmethod
    def open(
        cls,
        state: Path,
        *,
        program: str,
        clock: Clock = SYSTEM_CLOCK,
        chance: random.Random = CHANCE,
    ) -> "DaemonProvider":
        """Give the provider of a system; nothing is asked yet.

        Args:
            state: The daemon's state folder.
            program: How this process is called.
            clock: Paces the line.
            chance: Spreads its attempts.
        """
        return cls(SecretsLine(state, program=program, clock=clock, chance=chance))

    # As a provider ----------------------------------------------------------------------------------

    def read(self, name: str, *, version: str = CURRENT_VERSION) -> Secret:
        """Give a version; the keeper records it first."""
        found = self._found(self._ask("read", name=name, version=version))
        if found is None:
            raise _unreadable()
        secret, terms = found
        if version == CURRENT_VERSION:
            self._terms[name] = terms
            self._terms.move_to_end(name)
            while len(self._terms) > TERMS_MAX:
                self._terms.popitem(last=False)
        return secret

    def terms_of(self, name: str) -> Terms | None:
        """Tell how long a value is served, as the keeper said with its last current one."""
        return self._terms.get(name)

    def history(self, name: str) -> tuple[Version, ...]:
        """Give all versions, the newest first."""
        listed = self._ask("history", name=name).get("versions")
        if not isinstance(listed, list):
            raise _unreadable()
        return tuple(_version_of(one) for one in listed if isinstance(one, dict))

    def names(self) -> tuple[str, ...]:
        """Give all names that this process may know of."""
        listed = self._ask("names").get("names")
        if not isinstance(listed, list):
            raise _unreadable()
        return tuple(name for name in listed if isinstance(name, str))

    def renew(self, lease_id: str, *, for_s: float) -> float:
        """Ask for more time for what this client was given; a keeper that was started anew has none for it."""
        answer = self._ask("renew", lease_id=lease_id, for_s=for_s)
        return wire.number_of(answer.get("granted_s"))

    def revoke(self, lease_id: str) -> None:
        """End a lease of this client."""
        self._ask("let_go", lease_id=lease_id)

    def check(self) -> None:
        """Ask whether the keeper answers."""
        self._ask("names", timeout_s=CHECK_TIMEOUT_S)

    def close(self) -> None:
        """Hang up."""
        self._line.close()

    # As a feed --------------------------------------------------------------------------------------

    def follow(self, listener: Listener) -> None:
        """Tell this one of changes."""
        self._line.follow(listener)

    def watch(self, name: str) -> None:
        """Say that a name is used here from now on."""
        self._line.watch(name)

    def unwatch(self, name: str) -> None:
        """Say that a name is not used here any more."""
        self._line.unwatch(name)

    def acknowledge(self, name: str, version: str) -> None:
        """Say that nothing older is used here."""
        self._line.acknowledge(name, version)

    def note(self, name: str, what: str, count: int) -> None:
        """Say that something happened with a secret."""
        self._line.note(name, what, count)

    # For operators ----------------------------------------------------------------------------------

    def put(self, name: str, value: bytes, *, expect: str | None = None) -> Version:
        """Write a new current version.

        Raises:
            SecretConflictError: If another version than `expect` is current.
        """
        text = base64.b64encode(value).decode()
        return _written(self._ask("put", name=name, value=text, expect=expect))

    def rollback(self, name: str) -> Version:
        """Write the previous value as a new version."""
        return _written(self._ask("rollback", name=name))

    def withdraw(self, name: str, version: str, *, why: str) -> None:
        """Destroy a version, and have everybody let go of it."""
        self._ask("revoke", name=name, version=version, why=why)

    def rotate(
        self,
        name: str,
        *,
        reason: RotationReason = RotationReason.MANUAL,
        why: str = "",
        is_dry: bool = False,
        timeout_s: float = LONG_TIMEOUT_S,
    ) -> JSON:
        """Rotate a secret; give the report, as `rotation`, when it ends or is held up.

        Args:
            name: Which.
            reason: Why, as a word.
            why: Why, for people.
            is_dry: Say what would be done, and do nothing.
            timeout_s: How long to wait for it; it goes on all the same.
        """
        facts = {"name": name, "reason": reason.value, "why": why, "dry": is_dry}
        return self._ask("rotate", timeout_s=timeout_s, **facts)

    def rotations(self) -> JSON:
        """Give the rotations that are not over, as `open`, and the last ones, as `ended`."""
        return self._ask("rotations")

    def rekey(self) -> JSON:
        """Seal all values with a new master key; give how many, as `versions`."""
        return self._ask("rekey", timeout_s=LONG_TIMEOUT_S)

    def doctor(self) -> JSON:
        """Give what is wrong, if anything, as `findings`."""
        return self._ask("doctor", timeout_s=4 * ASK_TIMEOUT_S)

    def access(self, *, name: str = "", client: str = "", limit: int = 100) -> JSON:
        """Give who read what, the newest first, as `reads`."""
        chosen: dict[str, Any] = {"limit": limit}
        chosen.update((key, text) for key, text in (("name", name), ("client", client)) if text)
        return self._ask("access", **chosen)

    def overview(self) -> JSON:
        """Give how all secrets stand, without values."""
        return self._ask("overview")

    def quarantine(self, client: str, *, why: str) -> None:
        """Give nothing to a client any more."""
        self._ask("quarantine", client=client, why=why)

    def release(self, client: str) -> None:
        """Give a client its secrets again."""
        self._ask("release", client=client)

    # Inside -----------------------------------------------------------------------------------------

    def _ask(self, verb: str, *, timeout_s: float = ASK_TIMEOUT_S, **facts: Any) -> dict[str, Any]:
        try:
            return self._line.ask(verb, timeout_s=timeout_s, **facts)
        except AnswerError as exc:
            _raise(exc)

    @staticmethod
    def _found(answer: dict[str, Any]) -> tuple[Secret, Terms] | None:
        """Read an answer; None if it is none. The frames of errors must not hold it."""
        match answer:
            case {"secret": {"name": str() as name, "version": str() as version, **facts}}:
                value = _decoded(facts.get("value"))
                if value is None:
                    return None
            case _:
                return None
        lease_s = wire.number_of(facts.get("lease_s"))
        secret = Secret(
            name,
            version,
            value,
            stage=_stage_of(facts.get("stage")),
            created_at=_time_of(facts.get("created_at")),
            lease_id=wire.text_of(facts.get("lease_id"), length_max=1000),
            lease_s=lease_s,
        )
        terms = Terms(
            ttl_s=wire.number_of(answer.get("ttl_s"), high=TTL_S_MAX),
            max_stale_s=wire.number_of(answer.get("max_stale_s"), high=STALE_S_MAX),
        )
        return secret, terms


def _raise(answer: AnswerError) -> NoReturn:
    kind: type[ResileError] = getattr(errors, answer.sort) if answer.sort in SORTS else SecretError
    message = answer.message or "the keeper of secrets could not do it"
    if issubclass(kind, ProviderDownError):
        raise kind(message, hint=answer.hint, retry_after_s=answer.retry_after_s) from None
    raise kind(message, hint=answer.hint) from None


def _unreadable() -> ProviderDownError:
    return ProviderDownError(
        "the answer of the keeper of secrets cannot be read", hint="is it of another version?"
    )


def _decoded(text: object) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except binascii.Error:
        return None


def _written(answer: JSON) -> Version:
    match answer:
        case {"version": {"number": str(), **_facts} as facts}:
            return _version_of(facts)
    raise _unreadable()


def _version_of(facts: JSON) -> Version:
    return Version(
        number=wire.text_of(facts.get("number")),
        stage=_stage_of(facts.get("stage")),
        created_at=_time_of(facts.get("created_at")),
    )


def _stage_of(text: object) -> SecretStage:
    try:
        return SecretStage(str(text))
    except ValueError:
        return SecretStage.CURRENT


def _time_of(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if found is None or found.tzinfo is not None else None
