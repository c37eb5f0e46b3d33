"""What only operators may ask: over the socket, or by the pages, which ask through the brain.

    put {name, value, expect}       -> version {number, stage, created_at}
    rollback {name}                 -> version
    revoke {name, version, why}
    rotate {name, reason, why, dry} -> rotation, as `RotationReport`
    rotations {limit}               -> open, ended, as `RotationView`
    overview                        -> provider, secrets, quarantined, rotations: as the page shows them
    rekey                           -> versions, how many were sealed anew
    doctor                          -> findings [{level, about, message, hint}]
    access {name, client, limit}    -> reads [{client, name, version_number, first_at, last_at, count, is_open}]
    quarantine {client, why}
    release {client}

A value goes as base64, and only over the socket.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

from resile.clients import wire
from resile.core.codec import encode
from resile.core.vocabulary import RotationReason
from resile.daemon.secretkeeper.estate import Estate
from resile.daemon.secretkeeper.model import Client
from resile.daemon.secretkeeper.verbs import Answer, Ask, name_of, version_data, version_of
from resile.daemon.secretkeeper.warden import Warden
from resile.errors import ConfigError

ROTATIONS_SHOWN = 50
READS_SHOWN, READS_SHOWN_MAX = 100, 2000
_TEXT_LENGTH_MAX = 200


class Managing:
    """Answers. Safe to share between threads.

    Args:
        estate: Gives what keeps, changes and rotates; raises where the provider could not be opened.
        warden: Cuts clients off, and releases them.
        overview: Tells how things stand.
    """

    def __init__(
        self, estate: Callable[[], Estate], warden: Warden, overview: Callable[[], Answer]
    ) -> None:
        self._estate = estate
        self._warden = warden
        self._overview_now = overview
        self.asks: Mapping[str, Ask] = {
            "put": self._put,
            "rollback": self._rollback,
            "revoke": self._revoke,
            "rotate": self._rotate,
            "rotations": self._rotations,
            "overview": self._overview,
            "rekey": self._rekey,
            "doctor": self._doctor,
            "access": self._access,
            "quarantine": self._quarantine,
            "release": self._release,
        }

    def _put(self, _connection: int, client: Client, message: Mapping[str, Any]) -> Answer:
        expect = message.get("expect")
        version = self._estate().authority.put(
            name_of(message),
            value_of(message),
            who=client.name,
            expect=None if expect is None else str(expect),
        )
        return {"version": version_data(version)}

    def _rollback(self, _connection: int, client: Client, message: Mapping[str, Any]) -> Answer:
        version = self._estate().authority.rollback(name_of(message), who=client.name)
        return {"version": version_data(version)}

    def _revoke(self, _connection: int, client: Client, message: Mapping[str, Any]) -> Answer:
        self._estate().authority.revoke(
            name_of(message), version_of(message), who=client.name, why=_text(message, "why")
        )
        return {}

    def _rotate(self, _connection: int, client: Client, message: Mapping[str, Any]) -> Answer:
        report = self._estate().rotations.rotate(
            name_of(message),
            reason=_reason(message),
            who=client.name,
            why=_text(message, "why"),
            is_dry=message.get("dry") is True,
        )
        return {"rotation": encode(report)}

    def _rotations(self, _connection: int, _client: Client, message: Mapping[str, Any]) -> Answer:
        rotations = self._estate().rotations
        limit = int(wire.number_of(message.get("limit"), high=1000)) or ROTATIONS_SHOWN
        return {"open": encode(rotations.open()), "ended": encode(rotations.ended(limit))}

    def _doctor(self, _connection: int, _client: Client, _message: Mapping[str, Any]) -> Answer:
        return {"findings": encode(self._estate().authority.check())}

    def _overview(self, _connection: int, _client: Client, _message: Mapping[str, Any]) -> Answer:
        return self._overview_now()

    def _rekey(self, _connection: int, client: Client, _message: Mapping[str, Any]) -> Answer:
        return {"versions": self._estate().authority.rekey(who=client.name)}

    def _access(self, _connection: int, _client: Client, message: Mapping[str, Any]) -> Answer:
        reads = self._warden.reads(
            client=_text(message, "client"),
            name=name_of(message),
            limit=int(wire.number_of(message.get("limit"), high=READS_SHOWN_MAX)) or READS_SHOWN,
        )
        return {"reads": encode(reads)}

    def _quarantine(self, _connection: int, client: Client, message: Mapping[str, Any]) -> Answer:
        why = _text(message, "why") or "an operator wants it so"
        self._warden.cut_off(_other(message), why=why, who=client.name)
        return {}

    def _release(self, _connection: int, client: Client, message: Mapping[str, Any]) -> Answer:
        self._warden.release(_other(message), who=client.name)
        return {}


def value_of(message: Mapping[str, Any]) -> bytes:
    """Give the value that a message holds.

    Raises:
        ConfigError: If it holds none. The error does not hold it either.
    """
    text = message.get("value")
    try:
        return base64.b64decode(text if isinstance(text, str) else "=", validate=True)
    except binascii.Error:
        raise ConfigError("the value is not in base64") from None


def _reason(message: Mapping[str, Any]) -> RotationReason:
    text = _text(message, "reason") or RotationReason.MANUAL.value
    if text not in tuple(RotationReason):
        raise ConfigError(f"{text!r} is no reason to rotate", hint=", ".join(RotationReason))
    return RotationReason(text)


def _other(message: Mapping[str, Any]) -> str:
    client = _text(message, "client")
    if not client:
        raise ConfigError("no client is named", hint="service/NAME or user/UID/PROGRAM")
    return client


def _text(message: Mapping[str, Any], key: str) -> str:
    return wire.text_of(message.get(key), length_max=_TEXT_LENGTH_MAX)
