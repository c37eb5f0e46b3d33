"""The secrets where no daemon keeps them: the provider, opened by the command itself.

What is read and changed is journalled as by the keeper, in the journal of the state folder.
"""

import logging
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from resile.cli.secret_desk import PROGRAM, Facts, Home
from resile.contain import CONTAINED_VARIABLE, Host, Runs, runs_folder
from resile.core.clock import SYSTEM_CLOCK
from resile.core.codec import encode
from resile.core.events import Payload, SecretAccessed, announce
from resile.core.files import make_private_dir
from resile.core.secret_names import is_secret_name
from resile.core.vocabulary import SECRETS_VARIABLE, AccessOutcome, RotationReason, SecretStage
from resile.daemon.secretkeeper.consumers import RETURN_S, Registry
from resile.daemon.secretkeeper.decide import outcome_of
from resile.daemon.secretkeeper.estate import FOLDER_NAME, Estate, open_estate
from resile.daemon.secretkeeper.model import Plan, plan_of
from resile.daemon.secretkeeper.quarantine import Quarantine
from resile.daemon.secretkeeper.status import Status
from resile.errors import ConfigError, DaemonUnreachableError, ResileError, SecretDeniedError
from resile.secrets import CURRENT_VERSION, Provider, Secret, Version
from resile.secrets.authority import Authority
from resile.secrets.providers.opening import open_provider
from resile.secrets.rotation import Rotations
from resile.secrets.settings import from_variable, table_of

_TOLD_BY_THE_COMMAND = ("resile.secrets.rotation.driving", "resile.clients.vault.session")
"""What these log is an error of the command, or what holds a rotation up: without a handler it is printed twice."""
RESUME_PATIENCE_S = RETURN_S + 1.0
"""Each command begins to wait anew for clients that nobody remembers; one that goes on outwaits them."""


class OwnDesk:
    """Implements `Desk`.

    Args:
        provider: Keeps the secrets.
        authority: Reads and changes them.
        rotations: Rotates them; None: nothing does.
        tell: Journals.
        overview: Tells how they stand.
        close: Lets go of everything.
    """

    goes_on = False

    def __init__(
        self,
        provider: Provider,
        authority: Authority,
        *,
        rotations: Rotations | None,
        tell: Callable[[Payload], None],
        overview: Callable[[], Facts],
        close: Callable[[], None],
    ) -> None:
        self.kind = provider.kind
        self._authority = authority
        self._rotations = rotations
        self._tell = tell
        self._who = f"user/{os.geteuid()}/{PROGRAM}"
        self.overview = overview
        self.close = close

    def read(self, name: str, version: str = CURRENT_VERSION) -> Secret:
        """Give a version; that it was asked for is journalled before."""
        try:
            secret = self._authority.read(name, version=version)
        except ResileError as exc:
            if is_secret_name(name):
                self._accessed(name, "", outcome_of(exc))
            raise
        self._accessed(name, secret.version, AccessOutcome.GIVEN)
        return secret

    def names(self) -> tuple[str, ...]:
        """Give all names."""
        return self._authority.names()

    def history(self, name: str) -> tuple[Version, ...]:
        """Give all versions."""
        return self._authority.history(name)

    def put(self, name: str, value: bytes, *, expect: str | None) -> Version:
        """Write a new current version."""
        return self._authority.put(name, value, who=self._who, expect=expect)

    def rollback(self, name: str) -> Version:
        """Write the previous value as a new version."""
        return self._authority.rollback(name, who=self._who)

    def revoke(self, name: str, version: str, *, why: str) -> None:
        """Destroy a version."""
        self._authority.revoke(name, version, who=self._who, why=why)

    def rotate(self, name: str, *, reason: RotationReason, why: str, is_dry: bool) -> Facts:
        """Rotate, and give the report; one that a cut command left open is gone on with instead.

        Raises:
            ConfigError: If nothing rotates here.
        """
        if self._rotations is None:
            raise ConfigError(
                f"the provider {self.kind} rotates nothing",
                hint="let a resile.toml keep them in local, vault or aws",
            )
        if not is_dry and reason is not RotationReason.COMPROMISE:
            for report in self._rotations.resume(patience_s=RESUME_PATIENCE_S):
                if report.name == name:
                    return _data(report)
        return _data(
            self._rotations.rotate(name, reason=reason, who=self._who, why=why, is_dry=is_dry)
        )

    def rotations(self) -> Facts:
        """Give the rotations."""
        if self._rotations is None:
            return {"open": [], "ended": []}
        return {"open": encode(self._rotations.open()), "ended": encode(self._rotations.ended())}

    def rekey(self) -> int:
        """Seal all values with a new master key."""
        return self._authority.rekey(who=self._who)

    def findings(self) -> Sequence[Facts]:
        """Give what is not as it should be."""
        return [encode(one) for one in self._authority.check()]

    def quarantine(self, client: str, *, why: str) -> None:  # noqa: ARG002 - as `Desk` has it
        """Refuse it: without a keeper nobody is given anything, and nobody knows what it has read."""
        _need_keeper(client)

    def release(self, client: str) -> None:
        """Refuse it: the keeper has to forget what it knows against a client, too."""
        _need_keeper(client)

    def _accessed(self, name: str, number: str, outcome: AccessOutcome) -> None:
        self._tell(
            SecretAccessed(
                name=name,
                number=number,
                client=self._who,
                pid=os.getpid(),
                uid=os.geteuid(),
                outcome=outcome,
            )
        )


def open_own(home: Home) -> OwnDesk:
    """Open the provider of a system, or the one that RESILE_SECRETS names.

    Raises:
        ConfigError: If the configuration or the variable is wrong.
        SecretDeniedError: If this is a contained run.
        SecretError: If the provider cannot be opened.
    """
    if os.environ.get(CONTAINED_VARIABLE):
        raise SecretDeniedError(
            "a contained run gets no secrets", hint="ask outside, and give it what it may have"
        )
    for name in _TOLD_BY_THE_COMMAND:
        logging.getLogger(name).addHandler(logging.NullHandler())
    if home.places is None:
        return _of_variable(os.environ[SECRETS_VARIABLE])
    state = home.places.state
    return _of_system(plan_of(settings_of(home.config), state=state))


def _of_system(plan: Plan) -> OwnDesk:
    folder = plan.state / FOLDER_NAME
    make_private_dir(folder)
    host = Host(runs=Runs(runs_folder(os.environ)), journal=plan.state / "journal")
    # Processes that outlived their daemon still use what they have: a rotation waits for them.
    registry = Registry(
        folder, clock=SYSTEM_CLOCK, push=_unheard, on_change=_unheard, on_revoke=_unheard
    )

    def tell(*payloads: Payload) -> None:
        at = SYSTEM_CLOCK.now()
        host.journal.append(*(announce(one, at=at, actor="cli") for one in payloads))

    def close() -> None:
        estate.close()
        host.close()

    estate = open_estate(
        plan, environ=os.environ, consumers=registry, tell=tell, clock=SYSTEM_CLOCK
    )
    quarantine = Quarantine(folder, clock=SYSTEM_CLOCK)
    status = Status(plan, registry=registry, quarantine=quarantine)
    return OwnDesk(
        estate.provider,
        estate.authority,
        rotations=estate.rotations,
        tell=tell,
        overview=lambda: _overview(status, estate),
        close=close,
    )


def _overview(status: Status, estate: Estate) -> Facts:
    estate.provider.check()
    now, now_s = SYSTEM_CLOCK.now(), SYSTEM_CLOCK.monotonic()
    return status.of(estate, reason="", now=now, now_s=now_s)


def _of_variable(text: str) -> OwnDesk:
    provider = open_provider(table_of(*from_variable(text)), environ=os.environ)
    return OwnDesk(
        provider,
        Authority(provider, None, tell=_unheard, clock=SYSTEM_CLOCK),
        rotations=None,
        tell=_unheard,
        overview=lambda: _plain_overview(provider),
        close=provider.close,
    )


def settings_of(config: Path | None) -> Facts:
    """Give the tables about secrets as plain data; the defaults where there is no configuration."""
    if config is None:
        from resile.core.config.secrets import SecretsSection

        return {
            "secrets": SecretsSection().model_dump(mode="json", exclude_none=True),
            "secret": {},
        }
    from resile.core.config import load_config

    return load_config(config, environ=os.environ).as_data()


def _plain_overview(provider: Provider) -> Facts:
    rows = []
    for name in provider.names():
        (version, *_) = provider.history(name)
        rows.append(_plain_row(name, version, SYSTEM_CLOCK.now()))
    return {
        "provider": {"kind": provider.kind, "is_well": True, "reason": ""},
        "secrets": rows,
        "quarantined": [],
        "rotations": [],
    }


def _plain_row(name: str, version: Version, now: datetime) -> Facts:
    at = version.created_at if version.stage is SecretStage.CURRENT else None
    return {
        "name": name,
        "version": version.number,
        "created_at": at and at.isoformat(),
        "age_s": at and max(0.0, (now - at).total_seconds()),
        "next_rotation_at": None,
        "rotator": "",
        "services": [],
        "deliver": "",
        "is_canary": False,
        "is_made_when_read": False,
        "can_roll_back": False,
        "holders": [],
        "rotation": None,
    }


def _unheard(*_: Any) -> None:
    """Tell nobody: there is nobody, or no way to."""


def _need_keeper(client: str) -> NoReturn:
    raise DaemonUnreachableError(
        f"no daemon runs that would give {client} anything", hint="start it: resile up"
    )


def _data(report: Any) -> Facts:
    data: Facts = encode(report)
    return data
