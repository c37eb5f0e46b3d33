"""What the pages show and decide of secrets, as the secretkeeper tells it."""

from collections.abc import Mapping
from typing import Any

from resile.core.vocabulary import RotationReason
from resile.errors import RejectedError

_NOTHING: Mapping[str, Any] = {
    "provider": {"kind": "", "is_well": True, "reason": ""},
    "secrets": [],
    "anomalies": [],
    "quarantined": [],
    "rotations": [],
}


class SecretsDesk:
    """Implements `resile.web.SecretsView`. Lives on the brain's event loop."""

    def overview(self) -> Mapping[str, Any]:
        """Give what the secretkeeper told last."""
        return _NOTHING

    async def rotate(
        self,
        name: str,
        *,
        who: str,  # noqa: ARG002 - the keeper is told it when there is one
        reason: RotationReason,  # noqa: ARG002
        why: str,  # noqa: ARG002
    ) -> Mapping[str, Any]:
        """Have it rotate a secret."""
        raise _no_keeper(name)

    async def rollback(self, name: str, *, who: str) -> Mapping[str, Any]:  # noqa: ARG002
        """Have it make the value before current again."""
        raise _no_keeper(name)

    async def release(self, client: str, *, who: str) -> None:  # noqa: ARG002
        """Have it give a client its secrets again."""
        raise _no_keeper(client)


def _no_keeper(what: str) -> RejectedError:
    return RejectedError(
        f"no secretkeeper runs that knows {what!r}",
        hint="declare a secret in resile.toml: [secret.NAME]",
    )
