"""Rotate a database user in AWS's four steps, driven from here instead of by a Lambda function.

create: the candidate is AWSPENDING. set and test: another rotator's, on the database itself. finish:
AWSCURRENT moves to it. The rotation's engine and the provider `aws` do the first and the last; this rotator
sees to what AWS adds: the fields by which its own tools know a database, and that nobody else rotates it.

Source: https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html
"""

from collections.abc import Mapping
from typing import Any, Final, Self

from resile.clients.aws import SecretsManager
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.errors import ConfigError, OperationError, SecretConflictError, UnknownSecretError
from resile.secrets.model import Turn
from resile.secrets.port import Provider, Rotator
from resile.secrets.providers.aws import AwsProvider
from resile.secrets.rotators.aws_values import fields_in, object_of, value_of

ENGINE = "postgres"


class AwsDatabaseRotator:
    """Changes a database user whose secret is in AWS Secrets Manager. As safe to share as what it wraps.

    Args:
        inner: Changes the user in the database.
        provider: Where the secret is.

    Raises:
        ConfigError: If that is not AWS.
    """

    kind: Final = "aws-database"

    def __init__(self, inner: Rotator, *, provider: Provider) -> None:
        if not isinstance(provider, AwsProvider):
            raise ConfigError(
                f"the rotator 'aws-database' needs the provider 'aws', not {provider.kind!r}",
                hint="use the rotator 'postgres' with this provider",
            )
        self._inner = inner
        self._provider = provider
        self._secrets = SecretsManager(provider.aws)
        if target := getattr(inner, "target", ""):
            self.target: str = target
            """What no two rotations may change at once, as what it wraps says."""

    @classmethod
    def open(
        cls, settings: Mapping[str, Any], *, provider: Provider, clock: Clock = SYSTEM_CLOCK
    ) -> Self:
        """Open what the table `rotator` says.

        Args:
            settings: The table; its `database` is the table of another rotator.
            provider: Where the secret is.
            clock: For all that waits.

        Raises:
            ConfigError: If that is not AWS, or the other table is wrong.
        """
        from resile.secrets.rotators.opening import open_rotator

        inner = open_rotator(settings["database"], provider=provider, clock=clock)
        return cls(inner, provider=provider)

    @property
    def has_overlap(self) -> bool:
        """As what it wraps."""
        return self._inner.has_overlap

    def prepare(self, turn: Turn) -> bytes:
        """Make the candidate's value, with the fields that AWS's tools and the value before it have.

        Raises:
            SecretConflictError: If AWS rotates it, too.
            OperationError: If what is wrapped makes no JSON object.
        """
        self._refuse_second_rotation(turn.name)
        made = fields_in(self._inner.prepare(turn))
        if not made:
            raise OperationError(
                f"the rotator {self._inner.kind!r} makes no credential with fields",
                hint="AWS's tools read username and password from a JSON object",
            )
        return value_of({"engine": ENGINE, **object_of(turn.before), **made})

    def set(self, turn: Turn) -> None:
        """Let the database take the candidate."""
        self._inner.set(turn)

    def verify(self, turn: Turn) -> None:
        """Log in with the candidate."""
        self._inner.verify(turn)

    def retire(self, turn: Turn) -> None:
        """Let the one before it open nothing any more."""
        self._inner.retire(turn)

    def abort(self, turn: Turn) -> None:
        """Take the candidate back."""
        self._inner.abort(turn)

    def _refuse_second_rotation(self, name: str) -> None:
        remote = self._provider.remote_name(name)
        try:
            card = self._secrets.describe(remote)
        except UnknownSecretError:
            return  # It is new.
        if card.is_rotated_by_aws:
            raise SecretConflictError(
                f"secret {name!r} is rotated by AWS, too",
                hint=f"let one do it: aws secretsmanager cancel-rotate-secret --secret-id {remote}",
            )
