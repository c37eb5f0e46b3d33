"""The tables `[secrets]` and `[secret.NAME]`: where secrets are kept, who gets them, how they are rotated."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from resile.core.config.base import Count, Flag, FolderPath, Section, ServiceName, Url, setting
from resile.core.config.faults import fault, quoted
from resile.core.config.rotators import RotatorSection
from resile.core.config.units import DurationIn
from resile.core.recurrence import RULE_HINT, is_rule
from resile.core.secret_names import is_secret_name

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _secret_name(value: str) -> str:
    if is_secret_name(value):
        return value
    raise fault(
        f"{quoted(value)} is not the name of a secret",
        hint='write for example "db/password": letters, digits, _ . - and / between parts',
    )


def _variable(value: str) -> str:
    if not value or _VARIABLE.fullmatch(value):
        return value
    raise fault(f"{quoted(value)} is not a variable's name", hint='write for example "DB_PASSWORD"')


def _rule(value: str) -> str:
    if not value or is_rule(value):
        return value
    raise fault(f"{quoted(value)} is no rule for rotations", hint=RULE_HINT)


SecretName = Annotated[str, AfterValidator(_secret_name)]
"""The name of a secret: parts of letters, digits, `_`, `.` and `-`, with `/` between them."""


class VaultSection(Section):
    """Where OpenBao or HashiCorp Vault is, and how to log in. Exactly one way to log in."""

    address: Url = setting("http://127.0.0.1:8200", description="The URL of the server.")
    namespace: str = setting("", description="The namespace; empty for the root.")
    mount: str = setting("secret", description="Where the KV engine, version 2, is mounted.")
    ca_file: FolderPath | None = setting(
        None,
        description="The authority that signed its certificate. Default: those that the system trusts.",
    )
    token_file: FolderPath | None = setting(None, description="A token, mode 0600. Default: none.")
    role_id: str = setting("", description="AppRole: the role.")
    secret_id_file: FolderPath | None = setting(
        None,
        description="AppRole: its secret id, mode 0600; or a wrapping token, that is unwrapped once. "
        "Default: none.",
    )
    kubernetes_role: str = setting(
        "", description="Kubernetes: the role, with the pod's own token."
    )
    kubernetes_token_file: FolderPath = setting(
        "/var/run/secrets/kubernetes.io/serviceaccount/token",
        description="Kubernetes: the pod's token.",
    )


class AwsSection(Section):
    """Where AWS is. Credentials come from where boto3 finds them."""

    region: str = setting("", description="Default: where boto3 finds it.")
    endpoint: str = setting("", description="Another endpoint than AWS's own, for tests.")
    prefix: str = setting("", description="What the names begin with there, such as `prod/`.")


class GuardSection(Section):
    """What counts as odd, and what is done about it."""

    learn: Annotated[float, DurationIn("0s", "365d")] = setting(
        "14d",
        description="So long from the first access on, odd rates and first readers are only logged.",
    )
    rotations_per_day: Count = setting(
        3, ge=1, le=1000, description="Of one secret, for what looks odd, 1 to 1000."
    )
    rotations_per_hour: Count = setting(
        10, ge=1, le=10_000, description="Of all secrets together, for what looks odd, 1 to 10000."
    )
    cool_down: Annotated[float, DurationIn("0s", "7d")] = setting(
        "15m", description="Between two rotations of one secret for what looks odd, 0s to 7d."
    )


class SecretsSection(Section):
    """Where secrets are kept, and how long they are served from memory."""

    provider: str = setting(
        "local",
        description="`local`, `vault`, `aws`, `env`, `file`, or the name of another package's provider "
        "(entry point group `resile.providers`).",
    )
    file: FolderPath | None = setting(
        None, description="local: the file. Default: `secrets/secrets.db` in the state folder."
    )
    key_file: FolderPath | None = setting(
        None,
        description="local: the master key, 64 hex digits, mode 0600. Default: `secrets/master.key` in "
        "the state folder, made when it is missing and no secret is kept yet.",
    )
    key_credential: str = setting(
        "",
        description="local: the systemd credential that holds the master key, instead of a file.",
    )
    passphrase_file: FolderPath | None = setting(
        None,
        description="local: a passphrase, mode 0600, that the master key is derived from (Argon2id). "
        "Default: none.",
    )
    folder: FolderPath | None = setting(
        None,
        description="file: the folder with a file for each secret, such as /run/secrets. Default: none.",
    )
    prefix: str = setting("", description="env: what the variables begin with.")
    vault: VaultSection = setting({}, description="vault: where it is, and how to log in.")
    aws: AwsSection = setting({}, description="aws: where it is.")
    options: dict[str, str] = setting({}, description="What another package's provider is given.")
    ttl: Annotated[float, DurationIn("1s", "1d")] = setting(
        "5m", description="How long a value is served from memory without asking again, 1s to 1d."
    )
    max_stale: Annotated[float, DurationIn("0s", "30d")] = setting(
        "1h", description="How much longer it is served while the provider is away, 0s to 30d."
    )
    guard: GuardSection = setting({}, description="What counts as odd.")


class SecretSection(Section):
    """One secret: who gets it and how, and when it is rotated."""

    services: tuple[ServiceName, ...] = setting(
        (), description="The services that get it. No other does."
    )
    deliver: Literal["api", "env", "file"] = setting(
        "api",
        description="How they get it: `api` through `resile.secret`, `env` as a variable when they "
        "start (they are restarted after a rotation), `file` in a tmpfs of their own, "
        "$RESILE_SECRETS_DIR/NAME, that is written anew.",
    )
    variable: str = Field(
        default="",
        description="env: the variable's name. Default: the name in upper case, with _ for the rest.",
    )
    signal: Literal["", "HUP", "USR1", "USR2"] = setting(
        "", description="file: what tells them that the file was written anew."
    )
    canary: Flag = setting(
        False,
        description="Nobody needs it: whoever reads it is an intruder, and is cut off at once.",
    )
    rotator: RotatorSection | None = setting(
        None,
        description="How it is rotated; the first rotation makes it, if it is not there. Default: not.",
    )
    every: Annotated[float, DurationIn("1m", "3650d")] = setting(
        "30d", description="How often it is rotated, 1m to 3650d, with up to a tenth of jitter."
    )
    rule: Annotated[str, AfterValidator(_rule)] = setting(
        "",
        description='When it is rotated, as RRULE (RFC 5545), instead of `every`: "FREQ=WEEKLY;BYDAY=SU;BYHOUR=3".',
    )
    deadline: Annotated[float, DurationIn("0s", "1d")] = setting(
        "3s", description="compromise: so long consumers may take, 0s to 1d; then they are cut off."
    )
    ttl: Annotated[float, DurationIn("1s", "1d")] | None = setting(
        None, description="As in [secrets], for this one. Default: as there."
    )
    max_stale: Annotated[float, DurationIn("0s", "30d")] | None = setting(
        None, description="As in [secrets], for this one. Default: as there."
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> "SecretSection":
        _variable(self.variable)
        if self.canary and (self.services or self.rotator):
            raise fault("a canary is given to nobody and not rotated", hint="leave them out")
        return self
