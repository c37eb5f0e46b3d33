"""The provider `vault`: secrets in the KV engine, version 2, of OpenBao or HashiCorp Vault.

Other tools may read and write the same secrets: the newest version is the current one for everybody. A
candidate stands at `NAME.pending` until a compare-and-set makes it the current version. Versions below
the previous one count as retired and are given to nobody here, though the engine keeps them for a while.
Names that begin with `dynamic/` are credentials that Vault makes when they are read.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from resile.clients.vault import (
    NEVER,
    AppRole,
    Kubernetes,
    Login,
    Session,
    Target,
    TokenFile,
    VaultClient,
    kv,
    system,
    tokens,
)
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.secret_names import is_secret_name
from resile.core.units import format_duration
from resile.core.vocabulary import SecretStage
from resile.errors import ConfigError, ProviderDownError, SecretDeniedError
from resile.secrets.advice import Advice, AdviceLevel
from resile.secrets.checking import need_name, need_write, unknown_secret, unknown_version
from resile.secrets.model import CURRENT_VERSION, Abilities, Version
from resile.secrets.providers.stages import revoked
from resile.secrets.providers.vault_documents import document_of, value_of
from resile.secrets.providers.vault_leases import Leases, is_dynamic
from resile.secrets.providers.vault_shelf import VaultShelf
from resile.secrets.providers.vault_versions import PENDING_SUFFIX
from resile.secrets.value import Secret

NAMES_MAX = 10_000
FOLDERS_MAX = 2_000
"""Each costs a request, of a millisecond or some."""
NAMES_TIMEOUT_S = 30.0


class VaultProvider:
    """Secrets in Vault. Safe to share between threads. Logs in when it is first used.

    Args:
        target: The server.
        login: How to log in.
        mount: Where the KV engine is.
        clock: Measures the lives of tokens and leases.
        transport: In place of the network, for tests.

    Raises:
        MissingExtraError: If httpx is not installed.
    """

    kind: Final = "vault"
    abilities: Final = Abilities(has_versions=True, can_write=True, has_leases=True, is_remote=True)

    def __init__(
        self,
        target: Target,
        login: Login,
        *,
        mount: str = "secret",
        clock: Clock = SYSTEM_CLOCK,
        transport: Any = None,
    ) -> None:
        self._session = Session(login, clock=clock)
        self.client = VaultClient(target, self._session, clock=clock, transport=transport)
        self._mount = mount
        self._clock = clock
        self._leases = Leases(self.client, self._session, clock=clock)
        self._is_given = isinstance(login, TokenFile)
        self._skew_s: float | None = None

    @classmethod
    def open(
        cls,
        settings: Mapping[str, Any],
        *,
        state: object = None,  # noqa: ARG003 - every provider is opened with the same
        environ: object = None,  # noqa: ARG003
        clock: Clock = SYSTEM_CLOCK,
    ) -> Self:
        """Open what the table `[secrets]` says.

        Args:
            settings: The table, as plain data; its `vault` counts.
            state: Nothing is kept on this machine.
            environ: Nothing is read from it.
            clock: Measures the lives of tokens and leases.

        Raises:
            ConfigError: If there is not exactly one way to log in, or the authority cannot be read.
        """
        table = settings.get("vault") or {}
        ca_file = table.get("ca_file")
        target = Target(
            table.get("address") or "http://127.0.0.1:8200",
            namespace=table.get("namespace") or "",
            ca_file=Path(ca_file) if ca_file else None,
        )
        return cls(target, _login(table), mount=table.get("mount") or "secret", clock=clock)

    def read(self, name: str, *, version: str = CURRENT_VERSION) -> Secret:
        """Give a version of a secret; a new credential each time if it is a dynamic one."""
        shelf = self._shelf(name)
        if is_dynamic(name):
            if version != CURRENT_VERSION:
                raise unknown_version(name, version)
            return self._leases.issue(name)
        if version == CURRENT_VERSION:
            document = shelf.current()
            found = Version(
                number=str(document.version),
                stage=SecretStage.CURRENT,
                created_at=document.created_at,
            )
            return self._secret(name, found, document.fields)
        found = shelf.find(version)
        if found.stage is SecretStage.RETIRED:
            raise revoked(name, version)
        if found.stage is SecretStage.PENDING:
            candidate = shelf.candidate()
            if candidate is None or candidate.version != found:
                raise unknown_version(name, version)
            return self._secret(name, found, candidate.fields)
        return self._secret(name, found, shelf.document(found.number).fields)

    def history(self, name: str) -> tuple[Version, ...]:
        """Give all versions that the engine keeps, the newest first; none of a dynamic credential."""
        shelf = self._shelf(name)
        if is_dynamic(name):
            return ()
        versions = shelf.versions()
        if not versions:
            raise unknown_secret(name)
        return versions

    def names(self) -> tuple[str, ...]:
        """Give the names that could be ours, sorted; at most 10,000. Dynamic ones are not listed."""
        deadline_s = self._clock.monotonic() + NAMES_TIMEOUT_S
        found: list[str] = []
        folders = [""]
        for number, folder in enumerate(folders):
            if len(found) >= NAMES_MAX or number >= FOLDERS_MAX:
                break
            if self._clock.monotonic() > deadline_s:
                raise ProviderDownError(
                    f"Vault lists only {number} folders in {NAMES_TIMEOUT_S:.0f} s",
                    hint="keep the secrets in fewer folders, or at a mount of their own",
                )
            for key in self.client.do(kv.listed(folder, mount=self._mount)):
                (folders if key.endswith("/") else found).append(_joined(folder, key))
        names = (name for name in found if is_secret_name(name) and _is_ours(name))
        return tuple(sorted(names))[:NAMES_MAX]

    def write(
        self,
        name: str,
        value: bytes,
        *,
        stage: SecretStage = SecretStage.CURRENT,
        expect: str | None = None,
        token: str,
    ) -> Version:
        """Write a new version, as the current one or as the candidate."""
        need_write(name, value, stage=stage, token=token)
        shelf, fields = self._kept(name), document_of(value)
        if stage is SecretStage.PENDING:
            return shelf.write_candidate(fields, expect=expect, token=token)
        return shelf.write(fields, expect=expect, token=token)

    def promote(self, name: str, *, token: str, expect: str | None) -> Version:
        """Make the candidate of this token the current version."""
        return self._kept(name).promote(expect=expect, token=token)

    def discard(self, name: str, *, token: str) -> None:
        """Destroy the candidate of this token."""
        shelf = self._kept(name)
        candidate = shelf.candidate()
        if candidate is not None and candidate.token == token:
            shelf.forget_candidate()

    def destroy(self, name: str, version: str) -> None:
        """Destroy the value of a version for good."""
        self._kept(name).destroy(version)

    def renew(self, lease_id: str, *, for_s: float) -> float:
        """Ask for more time for a dynamic credential."""
        return self._leases.renew(lease_id, for_s=for_s)

    def revoke(self, lease_id: str) -> None:
        """End a dynamic credential."""
        self._leases.revoke(lease_id)

    def check(self) -> None:
        """Ask whether the server works, and whether it knows us."""
        health = self.client.do(system.health())
        if not health.is_initialised or health.is_sealed:
            state = "is sealed" if health.is_initialised else "was never initialised"
            raise ProviderDownError(f"Vault {state}", hint="unseal it: bao operator unseal")
        self._skew_s = (health.at - self._clock.now()).total_seconds()
        self.client.do(tokens.look_up_self())

    def examine(self) -> tuple[Advice, ...]:
        """Tell of a token that ends, and that we cannot replace."""
        self.check()
        token = self._session.token
        if not self._is_given or token is None or token.can_renew or token.ends_at_s == NEVER:
            return ()
        left_s = token.ends_at_s - self._clock.monotonic()
        return (
            Advice(
                level=AdviceLevel.WARNING,
                about="[secrets.vault] token_file",
                message=f"the token ends in {format_duration(left_s)}, and cannot be renewed",
                hint="put another one into the file before; or let resile log in by AppRole",
            ),
        )

    def clock_skew_s(self) -> float | None:
        """Give how many seconds, to a second, Vault's clock was ahead of ours at the last check."""
        return self._skew_s

    def close(self) -> None:
        """Close the connections. The token lives on, and with it what other processes were given."""
        self.client.close()

    def _shelf(self, name: str) -> VaultShelf:
        need_name(name)
        if name.endswith(PENDING_SUFFIX):
            raise unknown_secret(name, hint=f"names that end with {PENDING_SUFFIX} are ours")
        return VaultShelf(name=name, client=self.client, mount=self._mount)

    def _kept(self, name: str) -> VaultShelf:
        """Give what can be written to."""
        shelf = self._shelf(name)
        if is_dynamic(name):
            raise SecretDeniedError(
                f"{name!r} is made by Vault when it is read", hint="write to another name"
            )
        return shelf

    def _secret(self, name: str, found: Version, fields: Mapping[str, Any]) -> Secret:
        value = value_of(name, fields)
        return Secret(name, found.number, value, stage=found.stage, created_at=found.created_at)


def _login(table: Mapping[str, Any]) -> Login:
    ways: list[Login] = []
    if table.get("token_file"):
        ways.append(TokenFile(Path(table["token_file"])))
    if table.get("role_id") and table.get("secret_id_file"):
        ways.append(AppRole(table["role_id"], Path(table["secret_id_file"])))
    if table.get("kubernetes_role"):
        default = "/var/run/secrets/kubernetes.io/serviceaccount/token"
        file = table.get("kubernetes_token_file") or default
        ways.append(Kubernetes(table["kubernetes_role"], Path(file)))
    if len(ways) != 1:
        raise ConfigError(
            f"[secrets.vault] has {len(ways)} ways to log in, and needs one",
            hint="set token_file, or role_id and secret_id_file, or kubernetes_role",
        )
    return ways[0]


def _joined(folder: str, key: str) -> str:
    """Name what is in a folder; a folder without its slash."""
    return f"{folder}/{key}".strip("/")


def _is_ours(name: str) -> bool:
    return not name.endswith(PENDING_SUFFIX) and not is_dynamic(name)
