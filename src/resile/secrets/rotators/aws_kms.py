"""Rotate a key of AWS KMS: new material on demand, while all that was sealed before still opens.

The secret is a JSON object with the key's id, and a sealed probe by which each rotation shows that the old
material still opens. KMS keeps all material for as long as the key is there: rotating a key takes nothing
away from whoever may use it. Who must not use it any more is taken out of its policy.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final, Self

from resile.clients.aws import Kms
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.errors import OperationError, SecretConflictError, SecretDamagedError, SecretError
from resile.secrets.model import Turn
from resile.secrets.port import Provider
from resile.secrets.rotators.aws_values import aws_of, object_of, text_of, value_of
from resile.secrets.value import Secret

_KEY, _PROBE, _SEALED, _ROTATIONS = "key_id", "probe", "sealed", "rotations"
_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Until new material is in use; KMS does it in the background."""


class AwsKmsRotator:
    """Changes the material of a key. Safe to share between threads.

    Args:
        key: Its id, its ARN, or an alias: `alias/NAME`.
        kms: What to call through.
        clock: Measures the pauses until it is done.
    """

    kind: Final = "aws-kms"
    has_overlap: Final = True

    def __init__(self, key: str, *, kms: Kms, clock: Clock = SYSTEM_CLOCK) -> None:
        self._key = key
        self._kms = kms
        self._clock = clock

    @classmethod
    def open(
        cls, settings: Mapping[str, Any], *, provider: Provider, clock: Clock = SYSTEM_CLOCK
    ) -> Self:
        """Open what the table `rotator` says.

        Args:
            settings: The table; its `key` counts.
            provider: Says where AWS is, if it is AWS.
            clock: Measures pauses.
        """
        return cls(settings["key"], kms=Kms(aws_of(provider, clock)), clock=clock)

    @property
    def target(self) -> str:
        """The key: no two rotations may change it at once."""
        return f"kms-key/{self._key}"

    def prepare(self, turn: Turn) -> bytes:
        """Seal a probe with the material that is there, and note how often it was changed.

        Raises:
            SecretError: If this key cannot be rotated.
        """
        key = self._kms.describe(self._key)
        if not key.is_enabled or not key.is_rotatable:
            raise SecretError(
                f"key {self._key!r} cannot be rotated: "
                + (
                    f"it is {key.state or 'disabled'}"
                    if not key.is_enabled
                    else "it is of another kind"
                ),
                hint="only enabled symmetric keys for encryption that you manage can be",
            )
        probe = turn.rotation_id
        fields = {
            _KEY: key.key_id,
            _PROBE: probe,
            _SEALED: base64.b64encode(self._kms.encrypt(key.key_id, probe.encode())).decode(),
            _ROTATIONS: self._count(key.key_id),
        }
        return value_of({**object_of(turn.before), **fields})

    def set(self, turn: Turn) -> None:
        """Begin the change, unless it was begun or done before."""
        after = _candidate(turn)
        if self._is_done(after):
            return
        try:
            self._kms.rotate(text_of(after, _KEY))
        except SecretConflictError:
            return  # One is in progress, which `verify` waits for.

    def verify(self, turn: Turn) -> None:
        """Wait for the change, and see that old and new material open what they sealed.

        Raises:
            OperationError: If it is not done after 15 s, which may pass, or something does not open.
        """
        after = _candidate(turn)
        for pause_s in (*_PAUSES_S, 0.0):
            if self._is_done(after):
                break
            self._clock.sleep(pause_s)
        else:
            raise OperationError(
                f"the rotation of key {self._key!r} is still in progress",
                hint="see aws kms get-key-rotation-status --key-id KEY",
                is_transient=True,
            )
        key_id = text_of(after, _KEY)
        for secret in (turn.before, after):
            self._open_probe(key_id, secret)
        fresh = self._kms.encrypt(key_id, turn.rotation_id.encode())
        if self._kms.decrypt(key_id, fresh) != turn.rotation_id.encode():
            raise self._closed("new")

    def retire(self, turn: Turn) -> None:
        """Leave the old material: KMS keeps it with the key, so that what it sealed can be opened."""

    def abort(self, turn: Turn) -> None:
        """Leave the new material: KMS does not go back, and both open what they sealed."""

    def _count(self, key_id: str) -> int:
        return sum(one.is_on_demand for one in self._kms.rotations(key_id))

    def _is_done(self, after: Secret) -> bool:
        return self._count(text_of(after, _KEY)) > int(object_of(after)[_ROTATIONS])

    def _open_probe(self, key_id: str, secret: Secret | None) -> None:
        sealed, probe = text_of(secret, _SEALED), text_of(secret, _PROBE)
        if not sealed or text_of(secret, _KEY) != key_id:
            return  # The first rotation, or the alias points to another key since.
        try:
            opened = self._kms.decrypt(key_id, base64.b64decode(sealed, validate=True))
        except (SecretDamagedError, binascii.Error):
            opened = b""
        if opened != probe.encode():
            raise self._closed("old")

    def _closed(self, which: str) -> OperationError:
        return OperationError(
            f"the {which} material of key {self._key!r} does not open what it sealed",
            hint="see what was done to the key in CloudTrail",
        )


def _candidate(turn: Turn) -> Secret:
    if turn.after is None:
        raise AssertionError(f"rotation {turn.rotation_id} has no candidate yet")
    return turn.after
