"""How things stand, for the pages: every secret without its value, who holds it, how it is rotated."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from math import inf
from typing import Any, TypeVar

from resile.core.codec import encode
from resile.core.secret_names import variable_of
from resile.core.vocabulary import SecretStage
from resile.daemon.secretkeeper.consumers import Registry
from resile.daemon.secretkeeper.estate import Estate
from resile.daemon.secretkeeper.model import Plan
from resile.daemon.secretkeeper.quarantine import Quarantine
from resile.errors import ProviderDownError, ResileError
from resile.secrets import Consumer, Version

T = TypeVar("T")

NAMES_MAX = 500
"""The declared ones come first. With their holders they fit into a line, over the socket and to the brain."""
HOLDERS_MAX, HOLDERS_OF_ALL_MAX = 50, 2000
"""Of one secret, and of all together."""
ENDED_MAX = 50
QUARANTINED_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What the provider has of a secret.

    Args:
        current: The current version.
        has_previous: The one before can be read still.
        is_made_when_read: It has no versions: each reader gets a credential of its own.
    """

    current: Version | None = None
    has_previous: bool = False
    is_made_when_read: bool = False


class Status:
    """Safe to share between threads.

    Args:
        plan: What is declared.
        registry: Who holds what.
        quarantine: Who gets nothing.
    """

    def __init__(self, plan: Plan, *, registry: Registry, quarantine: Quarantine) -> None:
        self._plan = plan
        self._registry = registry
        self._quarantine = quarantine
        self._lock = threading.Lock()
        self._versions: dict[str, tuple[_Kept, float]] = {}
        self._away_s = -inf
        """The look in which the provider was away last."""

    def changed(self, name: str) -> None:
        """Ask for the version of a secret anew."""
        self._versions.pop(name, None)

    def of(
        self, estate: Estate | None, *, reason: str, now: datetime, now_s: float
    ) -> dict[str, Any]:
        """Give it all.

        Args:
            estate: What is open; None: nothing is.
            reason: Why the provider does not answer; empty: it does.
            now: The time.
            now_s: The same, monotonic.
        """
        kind = str(self._plan.settings["provider"]) if estate is None else estate.provider.kind
        with self._lock:
            rows = [] if estate is None else self._rows(estate, now, now_s)
        cut = self._quarantine.all()
        return {
            "provider": {"kind": kind, "is_well": not reason, "reason": reason},
            "secrets": rows,
            "quarantined": [
                {"client": one.client, "why": one.why, "at": one.at.isoformat()}
                for one in cut[:QUARANTINED_MAX]
            ],
            "quarantined_more": max(0, len(cut) - QUARANTINED_MAX),
            "rotations": [] if estate is None else _ended(estate),
        }

    def _rows(self, estate: Estate, now: datetime, now_s: float) -> list[dict[str, Any]]:
        consumers = self._registry.consumers()
        rotating = {one.name: one for one in estate.rotations.open()}
        rows, room = [], HOLDERS_OF_ALL_MAX
        for name in self._names(estate, now_s):
            kept = self._kept(estate, name, now_s)
            version, rotation = kept.current, rotating.get(name)
            row = self._declared(estate, name)
            holders = consumers.get(name, [])[: min(HOLDERS_MAX, room)]
            room -= len(holders)
            created_at = version.created_at if version else None
            rows.append(
                {
                    **row,
                    "version": version.number if version else "",
                    "created_at": created_at and created_at.isoformat(),
                    "age_s": created_at and max(0.0, (now - created_at).total_seconds()),
                    "is_made_when_read": kept.is_made_when_read,
                    "can_roll_back": kept.has_previous or rotation is not None,
                    "holders": [_holder(one) for one in holders],
                    "rotation": _open(rotation),
                }
            )
        return rows

    def _declared(self, estate: Estate, name: str) -> dict[str, Any]:
        plan = self._plan.secret(name)
        next_at = estate.rotations.next_at(name)
        return {
            "name": name,
            "next_rotation_at": next_at and next_at.isoformat(),
            "rotator": "" if plan.rotator is None else str(plan.rotator["kind"]),
            "services": list(plan.services),
            "deliver": plan.deliver.value,
            "is_canary": plan.is_canary,
        }

    def _names(self, estate: Estate, now_s: float) -> list[str]:
        names = dict.fromkeys(self._plan.secrets)
        provider = estate.provider
        found = self._ask(provider.names, now_s) or ()  # What is declared is known in any case.
        if provider.kind == "env":  # Which knows `db/password` as `db_password`.
            declared = {variable_of(name) for name in names}
            found = tuple(name for name in found if variable_of(name) not in declared)
        names.update(dict.fromkeys(found))
        return list(names)[:NAMES_MAX]

    def _kept(self, estate: Estate, name: str, now_s: float) -> _Kept:
        """Tell which versions there are, as it was known within its ttl; of one that nobody knows, none."""
        known, read_s = self._versions.get(name, (_Kept(), 0.0))
        if name in self._versions and now_s - read_s < self._plan.secret(name).ttl_s:
            return known
        versions = self._ask(partial(estate.provider.history, name), now_s)
        if versions is None:  # What was known is shown while the provider is away.
            return known
        known = _Kept(
            current=next((v for v in versions if v.stage is SecretStage.CURRENT), None),
            has_previous=any(v.stage is SecretStage.PREVIOUS for v in versions),
            is_made_when_read=not versions,
        )
        self._versions[name] = known, now_s
        return known

    def _ask(self, question: Callable[[], T], now_s: float) -> T | None:
        """Ask the provider; None if it fails. One that is away is asked once in a look: it may take long."""
        if self._away_s == now_s:
            return None
        try:
            return question()
        except ProviderDownError:
            self._away_s = now_s
        except ResileError:
            pass
        return None


def _holder(one: Consumer) -> dict[str, Any]:
    return {"label": one.label, "version": one.version, "is_live": one.is_live}


def _open(view: Any) -> Mapping[str, Any] | None:
    if view is None:
        return None
    return {
        "rotation_id": view.rotation_id,
        "step": view.step.value,
        "steps": [{"step": one.step.value, "at": one.at.isoformat()} for one in view.steps],
        "reason": view.reason.value,
        "waits_for": list(view.waits_for),
        "why": view.why,
    }


def _ended(estate: Estate) -> list[dict[str, Any]]:
    keys = ("rotation_id", "name", "outcome", "reason", "ended_at", "duration_s", "cut")
    return [
        {key: encode(getattr(one, key)) for key in keys}
        for one in estate.rotations.ended(ENDED_MAX)
    ]
