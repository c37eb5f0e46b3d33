"""What may be asked over the socket by services and operators alike; what only operators may is in `managing`.

    read {name, version}            -> secret {name, version, value, stage, created_at, lease_id, lease_s},
                                       ttl_s, max_stale_s
    names                           -> names
    history {name}                  -> versions [{number, stage, created_at}]
    watch {name, version}           this process uses it: it is told of changes, and waited for
    ack {name, version}             it uses nothing older
    unwatch {name}
    note {name, what, count}        what happened with it, such as `auth_failed`
    hand                            -> secrets [{name, deliver, variable}], mount, folders
    handed {versions, folder}       this service was given these at its start
    renew {lease_id, for_s}         -> granted_s, for a lease that this client was given
    let_go {lease_id}               it needs that lease no more

A version is a number, or `current` or `previous`; a value goes as base64.
"""

import base64
import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from resile.clients import wire
from resile.core.events import SecretAccessed
from resile.core.vocabulary import AccessOutcome, SecretStage
from resile.daemon.secretkeeper.consumers import Registry
from resile.daemon.secretkeeper.decide import outcome_of, refusal
from resile.daemon.secretkeeper.folders import Folders
from resile.daemon.secretkeeper.model import HANDED, Client, Deliver, Plan
from resile.daemon.secretkeeper.recording import Recorder
from resile.daemon.secretkeeper.warden import Warden
from resile.errors import (
    ConfigError,
    ProviderDownError,
    ResileError,
    SecretDeniedError,
    UnknownSecretError,
)
from resile.secrets import CURRENT_VERSION, NAME_LENGTH_MAX, Secret, Version
from resile.secrets.anomaly import NoteKind

Answer = Mapping[str, Any]
Ask = Callable[[int, Client, Mapping[str, Any]], Answer]
_WORDS = frozenset(stage.value for stage in SecretStage)
"""What names a version by its place, and not by its number."""
_VERSION_LENGTH_MAX = 200


class Reader(Protocol):
    """Reads. Safe to share between threads."""

    def read(self, name: str, *, version: str = CURRENT_VERSION) -> Secret:
        """Give a version of a secret."""
        ...

    def names(self) -> tuple[str, ...]:
        """Give all names."""
        ...

    def history(self, name: str) -> tuple[Version, ...]:
        """Give all versions."""
        ...


class Verbs:
    """Answers. Safe to share between threads.

    Args:
        plan: What is declared.
        reader: Gives what reads; raises where the provider could not be opened.
        registry: Takes consumers.
        recorder: Records each access.
        warden: Watches them.
        folders: Where files are handed over.
        handed: Told the names of what was handed to a service that starts.
        given: Told each secret that a client is given.
        failed: Called when the provider has failed.
        others: What else may be asked, by verb.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        reader: Callable[[], Reader],
        registry: Registry,
        recorder: Recorder,
        warden: Warden,
        folders: Folders,
        handed: Callable[[tuple[str, ...]], None],
        given: Callable[[str, Secret], None],
        failed: Callable[[], None],
        others: Mapping[str, Ask],
    ) -> None:
        self._plan = plan
        self._reader = reader
        self._registry = registry
        self._recorder = recorder
        self._warden = warden
        self._folders = folders
        self._on_handed = handed
        self._given = given
        self._on_failed = failed
        self._asks: dict[str, Ask] = {
            "read": self._read,
            "names": self._names,
            "history": self._history,
            "watch": self._watch,
            "ack": self._ack,
            "unwatch": self._unwatch,
            "note": self._note,
            "hand": self._hand,
            "handed": self._handed,
            **others,
        }

    def do(self, connection: int, client: Client, message: Mapping[str, Any]) -> Answer:
        """Answer a question; blocks.

        Raises:
            ResileError: If it cannot be done, or may not be.
        """
        verb = wire.text_of(message.get("verb"))
        ask = self._asks.get(verb)
        if ask is None:
            raise ConfigError(f"the secretkeeper knows no verb {verb!r}")
        if verb != "read":  # Which records what it refuses.
            self._need(client, verb, name_of(message), "")
        return ask(connection, client, message)

    def give(self, client: Client, name: str, version: str = CURRENT_VERSION) -> Secret:
        """Read a version for a client: only if it may have it, and recorded before it is given.

        Raises:
            SecretDeniedError: If it may not.
            ProviderDownError: If it cannot be read, or not be recorded.
            SecretError: If it cannot be given.
        """
        number = "" if version in _WORDS else version
        try:
            self._need(client, "read", name, version)
            secret = self._born(name, version)
            if client.service and secret.stage is SecretStage.PENDING:
                raise SecretDeniedError(f"{name} version {secret.version} is not current yet")
        except ResileError as exc:
            if isinstance(exc, ProviderDownError):
                self._on_failed()
            self._saw(client, name, number, outcome_of(exc))
            with contextlib.suppress(ResileError):  # Nothing is given, recorded or not.
                self._recorder.record(_access(client, name, number, outcome_of(exc)))
            raise
        self._saw(client, name, secret.version, AccessOutcome.GIVEN)
        why = self._warden.quarantine.why(client.name)  # It may be for this very access.
        outcome = AccessOutcome.DENIED if why else AccessOutcome.GIVEN
        self._recorder.record(_access(client, name, secret.version, outcome))
        if why:
            raise SecretDeniedError(why)
        self._given(client.name, secret)
        return secret

    def _need(self, client: Client, verb: str, name: str, version: str) -> None:
        why = refusal(client, verb, name, version, self._plan)
        if why:
            raise SecretDeniedError(why, hint=_hint(client, name))
        why = self._warden.quarantine.why(client.name)
        if why:
            raise SecretDeniedError(
                f"{client.name} gets no secrets: {why}",
                hint=f"when that is settled: resile secrets release {client.name}",
            )

    def _born(self, name: str, version: str) -> Secret:
        """Read a version; what its first rotation is about to make may be waited for."""
        try:
            return self._reader().read(name, version=version)
        except UnknownSecretError as exc:
            if version != CURRENT_VERSION or self._plan.secret(name).rotator is None:
                raise
            raise ProviderDownError(
                f"{name} has no value yet: its first rotation makes one",
                hint=f"see what holds it up: resile events --subject secret/{name}",
            ) from exc

    def _saw(self, client: Client, name: str, number: str, outcome: AccessOutcome) -> None:
        self._warden.saw(client, name, number, outcome)

    # The verbs ----------------------------------------------------------------------------------

    def _read(self, _connection: int, client: Client, message: Mapping[str, Any]) -> Answer:
        name = name_of(message)
        secret = self.give(client, name, version_of(message) or CURRENT_VERSION)
        plan = self._plan.secret(name)
        must_ask = self._warden.quarantine.must_ask(client.name)
        return {
            "secret": {
                "name": name,
                "version": secret.version,
                "value": base64.b64encode(secret.reveal_bytes()).decode(),
                "stage": secret.stage.value,
                "created_at": secret.created_at and secret.created_at.isoformat(),
                "lease_id": secret.lease_id,
                "lease_s": secret.lease_s,
            },
            "ttl_s": 0.0 if must_ask else plan.ttl_s,
            "max_stale_s": 0.0 if must_ask else plan.max_stale_s,
        }

    def _names(self, _connection: int, client: Client, _message: Mapping[str, Any]) -> Answer:
        names = self._reader().names()
        if client.service:
            names = tuple(n for n in names if client.service in self._plan.secret(n).services)
        return {"names": list(names)}

    def _history(self, _connection: int, _client: Client, message: Mapping[str, Any]) -> Answer:
        versions = self._reader().history(name_of(message))
        return {"versions": [version_data(one) for one in versions]}

    def _watch(self, connection: int, client: Client, message: Mapping[str, Any]) -> Answer:
        self._registry.watch(connection, client, name_of(message), version_of(message))
        return {}

    def _ack(self, _connection: int, client: Client, message: Mapping[str, Any]) -> Answer:
        self._registry.ack(client, name_of(message), version_of(message))
        return {}

    def _unwatch(self, _connection: int, client: Client, message: Mapping[str, Any]) -> Answer:
        self._registry.unwatch(client, name_of(message))
        return {}

    def _note(self, _connection: int, client: Client, message: Mapping[str, Any]) -> Answer:
        what = wire.text_of(message.get("what"))
        if what in tuple(NoteKind):
            count = int(wire.number_of(message.get("count"))) or 1
            self._warden.noted(client, name_of(message), NoteKind(what), count)
        return {}

    def _hand(self, _connection: int, client: Client, _message: Mapping[str, Any]) -> Answer:
        service = _service_of(client)
        given = self._plan.handed_to(service)
        for how in HANDED:
            names = [one.name for one in given if one.deliver is how]
            if names:  # Before they are read, so that no rotation ends between the two.
                self._registry.starting(client, how, names)
        return {
            "secrets": [
                {"name": one.name, "deliver": one.deliver.value, "variable": one.variable}
                for one in given
            ],
            "mount": self._folders.mount(service),
            "folders": self._folders.shared(service),
        }

    def _handed(self, _connection: int, client: Client, message: Mapping[str, Any]) -> Answer:
        service, told = _service_of(client), message.get("versions")
        versions = {
            one.name: wire.text_of(told[one.name], length_max=_VERSION_LENGTH_MAX)
            for one in self._plan.handed_to(service)
            if isinstance(told, dict) and one.name in told
        }
        folder = wire.text_of(message.get("folder"), length_max=4096)
        known = ("", self._folders.mount(service), *self._folders.shared(service))
        if folder not in known:
            raise ConfigError(f"{folder} is no folder for the secrets of {service}")
        for how in HANDED:
            mine = {k: v for k, v in versions.items() if self._plan.secret(k).deliver is how}
            if mine:
                self._registry.handed(client, how, mine, folder if how is Deliver.FILE else "")
        self._on_handed(tuple(versions))
        return {}


def name_of(message: Mapping[str, Any]) -> str:
    """Give the name that a question is about, as one that can be kept and shown; empty if none."""
    return wire.text_of(message.get("name"), length_max=NAME_LENGTH_MAX)


def version_of(message: Mapping[str, Any]) -> str:
    """Give the version that a question is about; empty if none."""
    return wire.text_of(message.get("version"), length_max=_VERSION_LENGTH_MAX)


def version_data(version: Version) -> dict[str, Any]:
    """Give a version as the wire says it."""
    return {
        "number": version.number,
        "stage": version.stage.value,
        "created_at": version.created_at and version.created_at.isoformat(),
    }


def _access(client: Client, name: str, number: str, outcome: AccessOutcome) -> SecretAccessed:
    return SecretAccessed(
        name=name,
        number=number,
        client=client.name,
        pid=client.pid,
        uid=client.uid,
        outcome=outcome,
    )


def _service_of(client: Client) -> str:
    if not client.service:
        raise SecretDeniedError(
            "only a service is given secrets when it starts",
            hint="let `resile up` start it: it is no process of a service",
        )
    return client.service


def _hint(client: Client, name: str) -> str:
    if client.denied or not name:
        return ""
    return f'grant it in resile.toml: [secret."{name}"] services = ["{client.service}"]'
