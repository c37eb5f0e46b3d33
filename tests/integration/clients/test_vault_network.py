"""The client of Vault against servers that behave badly on the network."""

import asyncio
import socket
import ssl
import threading
from pathlib import Path

import pytest
from tests import support
from tests.support.servers import (
    REQUEST_BYTES_MAX,
    Behaviour,
    answering,
    closed_port,
    flooding,
    resetting,
    scripted,
    silent,
    trickling,
)

from resile.clients.vault import AsyncVaultClient, Session, Target, TokenFile, VaultClient, system
from resile.errors import ProviderDownError

PEM = Path(support.__path__[0]) / "data" / "localhost.pem"
BODY = b'{"initialized": true, "sealed": false, "version": "1"}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
ANSWER = HEAD % len(BODY) + BODY
ENDLESS = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resile.clients.vault.http.PIECE_TIMEOUT_S", 0.3)
    for module in ("_sync", "_async"):
        monkeypatch.setattr(f"resile.clients.vault.{module}.ANSWER_TIMEOUT_S", 1.0)


def ask(target: Target, *, in_task: bool) -> str:
    session = Session(TokenFile(Path("unused")))
    if not in_task:
        with VaultClient(target, session) as client:
            return client.do(system.health()).version

    async def run() -> str:
        async with AsyncVaultClient(target, session) as client:
            return (await client.do(system.health())).version

    return asyncio.run(run())


@pytest.mark.parametrize("in_task", [False, True], ids=["thread", "task"])
@pytest.mark.parametrize(
    ("behave", "words"),
    [
        (silent, "not answer in time"),
        (trickling(ENDLESS, b" "), "not answer in time"),
        (flooding(ENDLESS), "gives more than"),
        (resetting, "broke off"),
        (answering(b"SSH-2.0-OpenSSH\r\n"), "broke off"),
        (answering(HEAD % 100 + BODY), "broke off"),
    ],
)
def test_server_that_makes_no_sense_is_down(
    behave: Behaviour, words: str, *, in_task: bool
) -> None:
    with scripted(behave) as served, pytest.raises(ProviderDownError, match=words):
        ask(Target(served.url), in_task=in_task)


@pytest.mark.parametrize("in_task", [False, True], ids=["thread", "task"])
def test_port_that_nobody_listens_on_is_down(*, in_task: bool) -> None:
    with closed_port() as port, pytest.raises(ProviderDownError, match="cannot be reached"):
        ask(Target(f"http://127.0.0.1:{port}"), in_task=in_task)


def secure(connection: socket.socket, _: threading.Event) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    with context.wrap_socket(connection, server_side=True) as secured:
        secured.recv(REQUEST_BYTES_MAX)
        secured.sendall(ANSWER)


@pytest.mark.parametrize("in_task", [False, True], ids=["thread", "task"])
def test_only_the_authority_that_was_named_is_believed(*, in_task: bool) -> None:
    with scripted(secure, wants_request=False) as served:
        address = f"https://localhost:{served.port}"

        assert ask(Target(address, ca_file=PEM), in_task=in_task) == "1"
        with pytest.raises(ProviderDownError, match="CERTIFICATE_VERIFY_FAILED"):
            ask(Target(address), in_task=in_task)


def test_proxy_of_the_environment_sees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with closed_port() as port, scripted(answering(ANSWER)) as served:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")

        assert ask(Target(served.url), in_task=False) == "1"


def test_connection_that_was_closed_meanwhile_is_made_anew() -> None:
    with scripted(answering(ANSWER.replace(b"close", b"keep-alive"))) as served:
        session = Session(TokenFile(Path("unused")))
        with VaultClient(Target(served.url), session) as client:
            versions = [client.do(system.health()).version for _ in range(3)]

    assert versions == ["1"] * 3
    assert len(served.requests) == 3
