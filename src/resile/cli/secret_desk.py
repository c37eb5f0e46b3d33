"""Whom `resile secrets` asks: the keeper of this system; where no daemon runs, the provider itself."""

import contextlib
import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from resile.cli.api import Api
from resile.cli.guard import living_guard
from resile.cli.output import say
from resile.cli.places import Places, find_places
from resile.clients.secrets_line import SOCKET_NAME
from resile.core.vocabulary import (
    CONFIG_VARIABLE,
    SECRETS_VARIABLE,
    STATE_VARIABLE,
    RotationReason,
)
from resile.errors import ConfigError, UnknownSecretError
from resile.secrets import CURRENT_VERSION, Secret, Version

PROGRAM = "resile"
Facts = Mapping[str, Any]


class Desk(Protocol):
    """Answers what the command asks. Not thread-safe but for `rotate` and `rotations`.

    Facts are plain data, as the wire between processes and the keeper has them. What fails raises a
    `SecretError`, or a `ConfigError` where the provider cannot do it at all.
    """

    goes_on: bool
    """Whether a rotation goes on by itself when the command has ended."""

    def read(self, name: str, version: str = CURRENT_VERSION) -> Secret:
        """Give a version; that it was asked for is recorded before."""
        ...

    def names(self) -> tuple[str, ...]:
        """Give all names, sorted."""
        ...

    def history(self, name: str) -> tuple[Version, ...]:
        """Give all versions, the newest first."""
        ...

    def put(self, name: str, value: bytes, *, expect: str | None) -> Version:
        """Write a new current version."""
        ...

    def rollback(self, name: str) -> Version:
        """Write the previous value as a new version, or call off a rotation that is open."""
        ...

    def revoke(self, name: str, version: str, *, why: str) -> None:
        """Destroy a version; empty: all of them."""
        ...

    def rotate(self, name: str, *, reason: RotationReason, why: str, is_dry: bool) -> Facts:
        """Rotate, and give the report."""
        ...

    def rotations(self) -> Facts:
        """Give the rotations that are `open`, and the last that are `ended`."""
        ...

    def rekey(self) -> int:
        """Seal all values with a new master key; give how many there were."""
        ...

    def findings(self) -> Sequence[Facts]:
        """Give what is not as it should be, the worst first."""
        ...

    def overview(self) -> Facts:
        """Give how all secrets stand, without values."""
        ...

    def quarantine(self, client: str, *, why: str) -> None:
        """Give nothing to a client any more."""
        ...

    def release(self, client: str) -> None:
        """Give a client its secrets again."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """Where the secrets are that the command works on.

    Args:
        places: The system; None: there is none, and RESILE_SECRETS says where they are.
        config: Its configuration; None: the system has none that is known.
    """

    places: Places | None
    config: Path | None


def find_home(config: Path | None) -> Home:
    """Find it: the nearest resile.toml, else what the environment says.

    Raises:
        ConfigError: If a configuration is named that is not there, or nothing says where secrets are.
    """
    try:
        places = find_places(config)
    except ConfigError as exc:
        if config is not None:
            raise
        return _home_of_environment(exc)
    return Home(places=places, config=places.config)


@contextlib.contextmanager
def opened(config: Path | None) -> Iterator[Desk]:
    """Open whom to ask, and close it at the end; says so where it is not the keeper.

    Raises:
        ConfigError: As `find_home`, or if the configuration is wrong.
        SecretError: If the provider cannot be opened.
        DaemonUnreachableError: If a daemon runs that does not answer.
    """
    desk = _open(find_home(config))
    try:
        yield desk
    finally:
        desk.close()


@contextlib.contextmanager
def suggesting(desk: Desk, name: str) -> Iterator[None]:
    """Let the error of a name that is not there say which one was perhaps meant."""
    try:
        yield
    except (UnknownSecretError, ConfigError) as exc:
        names = desk.names()
        near = difflib.get_close_matches(name, names, n=1)
        if name in names or not near:
            raise
        raise UnknownSecretError(
            f"there is no secret {name!r}",
            hint=f"did you mean {near[0]!r}? All of them: resile secrets list",
        ) from exc


def _home_of_environment(missing: ConfigError) -> Home:
    file, state = os.environ.get(CONFIG_VARIABLE), os.environ.get(STATE_VARIABLE)
    if file and Path(file).exists():
        places = find_places(Path(file))
        return Home(places=places, config=places.config)
    if state:
        folder = Path(state).absolute()
        return Home(places=Places(config=folder.parent / "resile.toml", state=folder), config=None)
    if os.environ.get(SECRETS_VARIABLE):
        return Home(places=None, config=None)
    raise ConfigError(
        missing.message, hint=f'{missing.hint}; or set {SECRETS_VARIABLE} to "env:PREFIX_"'
    )


def _open(home: Home) -> Desk:
    if home.places is not None and _has_keeper(home.places):
        from resile.cli.secret_keeper import KeeperDesk

        return KeeperDesk.open(home.places.state)
    from resile.cli.secret_own import open_own

    desk = open_own(home)
    say(f"no daemon keeps secrets here; the provider {desk.kind} is asked directly")
    return desk


def _has_keeper(places: Places) -> bool:
    """Tell whether a daemon runs that has, or is about to have, a keeper of secrets."""
    if living_guard(places.guard_facts) is None:
        return False
    if (places.run / SOCKET_NAME).exists():
        return True
    provider = Api(places).get("/api/secrets")["provider"]
    return bool(provider["kind"]) or not provider["is_well"]
