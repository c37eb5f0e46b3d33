"""How a secret is rotated: the table `rotator` of `[secret.NAME]`, one shape for each kind."""

from typing import Annotated, Literal

from pydantic import Field

from resile.core.config.base import Command, Count, Dsn, Section, setting
from resile.core.config.units import DurationIn


class RandomRotator(Section):
    """A fresh random text: for keys that only our own services compare."""

    kind: Literal["random"] = Field(description="A fresh random text.")
    length: Count = setting(
        43,
        ge=16,
        le=4096,
        description="Characters of A-Z, a-z, 0-9, - and _, 16 to 4096; 43 are 256 bits.",
    )


class PostgresRotator(Section):
    """Two roles of PostgreSQL in turn, so that the old and the new password work side by side.

    The secret is a JSON object with `username`, `password` and what `dsn` says.
    """

    kind: Literal["postgres"] = Field(description="Two roles of PostgreSQL in turn.")
    dsn: Dsn = Field(description="Where the roles log in; without user and password.")
    admin: str = Field(
        description="The secret with a role that may alter both: its connection string, or an object with "
        "`username` and `password`."
    )
    users: tuple[str, str] = Field(description="The two login roles; made if they are not there.")
    owner: str = setting(
        "",
        description="The role without login that owns the objects; both become it when they log in.",
    )
    probe: str = setting("SELECT 1", description="What the new role must be able to ask.")


class CommandRotator(Section):
    """Any program: called as `PROGRAM ARGUMENT... STEP`, with the turn as JSON on its standard input."""

    kind: Literal["command"] = Field(description="Any program.")
    command: Command = Field(description="The program and its arguments; STEP is added.")
    timeout: Annotated[float, DurationIn("1s", "1h")] = setting(
        "30s", description="For one step, 1s to 1h; then it is killed with all that it started."
    )
    overlap: bool = setting(
        False,
        description="Whether the old and the new credential work side by side until `retire`.",
    )


class TlsRotator(Section):
    """A new key and certificate, signed by a certificate authority that is a secret itself."""

    kind: Literal["tls"] = Field(description="A key and a certificate.")
    ca: str = setting(
        "",
        description="The secret with the authority's key and certificate (PEM). Default: it signs itself.",
    )
    names: tuple[str, ...] = Field(
        description="The names and addresses that it is for.", min_length=1
    )
    lifetime: Annotated[float, DurationIn("1h", "3650d")] = setting(
        "90d", description="How long the certificate is valid, 1h to 3650d."
    )


class TransitRotator(Section):
    """A key of Vault's transit engine: a new version is made, the old ones still decrypt until retired."""

    kind: Literal["transit"] = Field(description="A key of Vault's transit engine.")
    key: str = Field(description="The key's name.")
    mount: str = setting("transit", description="Where the engine is mounted.")


class AwsRotator(Section):
    """The four steps of AWS Secrets Manager, driven by us around another rotator's work."""

    kind: Literal["aws-database"] = Field(description="AWS's four steps for a database user.")
    database: PostgresRotator = Field(description="Whose password it is.")


class IamRotator(Section):
    """A pair of access keys of an IAM user."""

    kind: Literal["aws-iam"] = Field(description="The access keys of an IAM user.")
    user: str = Field(description="The user's name.")


class KmsRotator(Section):
    """A key of AWS KMS: a new backing key on demand."""

    kind: Literal["aws-kms"] = Field(description="A key of AWS KMS.")
    key: str = Field(description="The key's id or alias.")


class ModuleRotator(Section):
    """A rotator of somebody else's package, by entry point."""

    kind: Literal["plugin"] = Field(description="A rotator of another package.")
    name: str = Field(description="Its entry point in the group `resile.rotators`.")
    options: dict[str, str] = setting({}, description="What it is given.")


RotatorSection = Annotated[
    RandomRotator
    | PostgresRotator
    | CommandRotator
    | TlsRotator
    | TransitRotator
    | AwsRotator
    | IamRotator
    | KmsRotator
    | ModuleRotator,
    Field(discriminator="kind"),
]
"""One of them, told apart by `kind`."""

__all__ = [
    "AwsRotator",
    "CommandRotator",
    "IamRotator",
    "KmsRotator",
    "ModuleRotator",
    "PostgresRotator",
    "RandomRotator",
    "RotatorSection",
    "TlsRotator",
    "TransitRotator",
]
