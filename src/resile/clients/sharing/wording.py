"""Claims and records as they go over a lane."""

from typing import Any

from resile.clients import wire
from resile.clients.sharing.model import Claim, Record

FOR_S_MAX = 7 * 86_400.0
"""As long as a breaker may be open at most."""


def claim_from(value: object) -> Claim:
    """Read a claim.

    Raises:
        WireError: If it is none.
    """
    facts = _facts(value)
    return Claim(
        name=wire.text_of(facts["name"]),
        is_open=facts["is_open"] is True,
        for_s=wire.number_of(facts.get("for_s"), high=FOR_S_MAX),
        generation=int(wire.number_of(facts.get("generation"))),
        why=wire.text_of(facts.get("why")),
    )


def record_from(value: object) -> Record:
    """Read a record.

    Raises:
        WireError: If it is none.
    """
    facts = _facts(value)
    return Record(
        name=wire.text_of(facts["name"]),
        generation=int(wire.number_of(facts.get("generation"))),
        is_open=facts["is_open"] is True,
        left_s=wire.number_of(facts.get("left_s"), high=FOR_S_MAX),
        is_mine=facts.get("is_mine") is True,
        why=wire.text_of(facts.get("why")),
    )


def _facts(value: object) -> dict[str, Any]:
    if isinstance(value, dict) and isinstance(value.get("name"), str) and value["name"]:
        return {"is_open": False, **value}
    raise wire.WireError("a shared breaker has no name")
