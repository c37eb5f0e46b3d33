"""KMS: keys, changes of their material on demand, and what was sealed with them.

Source: https://docs.aws.amazon.com/kms/latest/APIReference/
"""

from datetime import UTC

from resile.clients.aws.calling import Aws
from resile.clients.aws.model import KeyRotation, KmsKey

_SERVICE = "kms"
_ROTATION_PAGES_MAX = 10
"""KMS allows 25 on demand; those that are due come once in 90 days at most."""
_SYMMETRIC = "SYMMETRIC_DEFAULT"
_SEALING = "ENCRYPT_DECRYPT"


class Kms:
    """The calls of KMS that are needed here. Safe to share between threads.

    Every call raises SecretError as `Aws.call` does.

    Args:
        aws: What to call through.
    """

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    def describe(self, key: str) -> KmsKey:
        """Tell what a key is, by its id, its ARN or an alias (`alias/NAME`)."""
        told = self._aws.call(_SERVICE, "describe_key", _about(key), KeyId=key)["KeyMetadata"]
        return KmsKey(
            key_id=told["KeyId"],
            is_enabled=bool(told.get("Enabled")),
            is_rotatable=(
                told.get("KeySpec", _SYMMETRIC) == _SYMMETRIC
                and told.get("KeyUsage", _SEALING) == _SEALING
                and told.get("KeyManager", "CUSTOMER") == "CUSTOMER"
            ),
            state=told.get("KeyState", ""),
        )

    def rotate(self, key_id: str) -> None:
        """Begin a change of the key's material; it is done when it is in `rotations`.

        Each one counts against the 25 that a key has, so a call whose answer was lost is not made again.

        Args:
            key_id: No alias.

        Raises:
            SecretConflictError: If one is in progress.
        """
        self._aws.call(
            _SERVICE, "rotate_key_on_demand", _about(key_id), is_repeatable=False, KeyId=key_id
        )

    def rotations(self, key_id: str) -> tuple[KeyRotation, ...]:
        """List the finished changes of the key's material.

        Args:
            key_id: No alias.
        """
        pages = self._aws.pages(
            _SERVICE,
            "list_key_rotations",
            _about(key_id),
            marker=("NextMarker", "Marker"),
            pages_max=_ROTATION_PAGES_MAX,
            KeyId=key_id,
        )
        return tuple(
            KeyRotation(
                at=entry["RotationDate"].astimezone(UTC),
                is_on_demand=entry.get("RotationType") == "ON_DEMAND",
            )
            for page in pages
            for entry in page.get("Rotations", ())
        )

    def enable(self, key_id: str) -> None:
        """Let the key be used. Idempotent."""
        self._aws.call(_SERVICE, "enable_key", _about(key_id), KeyId=key_id)

    def disable(self, key_id: str) -> None:
        """Let the key not be used, which can be taken back: what it sealed stays sealed. Idempotent."""
        self._aws.call(_SERVICE, "disable_key", _about(key_id), KeyId=key_id)

    def encrypt(self, key_id: str, plaintext: bytes) -> bytes:
        """Seal up to 4 KiB with the key's newest material."""
        answer = self._aws.call(
            _SERVICE, "encrypt", _about(key_id), KeyId=key_id, Plaintext=plaintext
        )
        return bytes(answer["CiphertextBlob"])

    def decrypt(self, key_id: str, ciphertext: bytes) -> bytes:
        """Open what any material of the key sealed.

        Raises:
            SecretDamagedError: If it was not this key, or is not what was sealed.
        """
        answer = self._aws.call(
            _SERVICE, "decrypt", _about(key_id), KeyId=key_id, CiphertextBlob=ciphertext
        )
        return bytes(answer["Plaintext"])


def _about(key: str) -> str:
    return f"key {key!r}"
