"""What to do when an AWS account may be in other hands: in which order everything is rotated. Pure.

Access keys come first: who has one reads whatever is put next. Then new material for keys of KMS, so that
what is sealed from now on needs the keys' policies of now. Then everything else, and who has to start anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_FIRST = ("aws-iam", "aws-kms")
_RESTARTED = "env"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompromisePlan:
    """What is to be done, in this order.

    Args:
        rotate: The secrets that are rotated as compromised, one after the other.
        by_hand: The secrets that nothing here rotates: whoever issues them has to.
        restart: The services that get a new value only when they start; resile restarts those that it runs.
    """

    rotate: tuple[str, ...]
    by_hand: tuple[str, ...]
    restart: tuple[str, ...]


def compromise_plan(secrets: Mapping[str, Mapping[str, Any]]) -> CompromisePlan:
    """Plan the rotation of everything.

    Args:
        secrets: The tables `[secret.NAME]`, by name, as plain data.
    """
    real = {name: table for name, table in secrets.items() if not table.get("canary")}
    kinds = {name: (table.get("rotator") or {}).get("kind", "") for name, table in real.items()}
    rotated = sorted((name for name in real if kinds[name]), key=lambda name: _order(name, kinds))
    restarted = {
        service
        for name in rotated
        if real[name].get("deliver") == _RESTARTED
        for service in real[name].get("services", ())
    }
    return CompromisePlan(
        rotate=tuple(rotated),
        by_hand=tuple(sorted(name for name in real if not kinds[name])),
        restart=tuple(sorted(restarted)),
    )


def _order(name: str, kinds: Mapping[str, str]) -> tuple[int, str]:
    kind = kinds[name]
    return (_FIRST.index(kind) if kind in _FIRST else len(_FIRST), name)
