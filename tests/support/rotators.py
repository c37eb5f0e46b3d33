"""The rotators that the contract is about, and the targets that they change.

To add one: write a function that makes a `Stage`, and a line in `STAGES`.
"""

import itertools
import json
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.postgres import Server

from resile.clients import postgres
from resile.core.clock import SYSTEM_CLOCK
from resile.core.vocabulary import RotationReason
from resile.errors import OperationError
from resile.secrets import Provider, Rotator, Secret, Turn
from resile.secrets.rotators.opening import open_rotator
from resile.testing.rotations import FakeRotator, FakeTarget
from resile.testing.secrets import FakeProvider

NAME = "db/app"
ADMIN = "db/admin"
WAIT_S = 20.0
_NUMBERS = itertools.count(1)

PROGRAM = """
import base64, json, pathlib, sys
place, step = pathlib.Path(sys.argv[1]), sys.argv[2]
turn = json.load(sys.stdin)
opens = set(json.loads(place.read_text())) if place.exists() else set()
value = {side: turn[side] and base64.b64decode(turn[side]["value_base64"]).decode()
         for side in ("before", "after")}
if step == "prepare":
    print(turn["rotation_id"] + " of " + turn["name"])
elif step == "set":
    opens.add(value["after"])
elif step == "verify" and value["after"] not in opens:
    print("resile: it opens nothing: " + value["after"])
    sys.exit(1)
elif step == "retire":
    opens = {value["after"]}
elif step == "abort":
    opens.discard(value["after"])
place.write_text(json.dumps(sorted(opens)))
"""
"""A program as people write them, which keeps in a file what opens its target."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A rotator, and what it changes.

    Args:
        rotator: The rotator.
        provider: Keeps its secret.
        opens: Tells whether a credential opens the target; all do where there is none to ask.
        begin: Makes the first credential, as somebody by hand; gives its value.
        can_refuse: The target can be made to refuse a credential; a certificate is valid until its end.
    """

    rotator: Rotator
    provider: FakeProvider
    opens: Callable[[Secret], bool]
    begin: Callable[[], bytes]
    can_refuse: bool = True


def fake_stage(_: pytest.FixtureRequest, __: Path) -> Stage:
    target = FakeTarget()
    return Stage(
        rotator=FakeRotator(target),
        provider=FakeProvider(clock=SYSTEM_CLOCK),
        opens=target.opens,
        begin=lambda: target.first().encode(),
    )


def random_stage(_: pytest.FixtureRequest, __: Path) -> Stage:
    provider = FakeProvider(clock=SYSTEM_CLOCK)
    rotator = open_rotator({"kind": "random", "length": 20}, provider=provider)
    return Stage(
        rotator=rotator,
        provider=provider,
        opens=lambda _: True,
        begin=lambda: b"chosen by hand",
        can_refuse=False,
    )


def tls_stage(_: pytest.FixtureRequest, __: Path) -> Stage:
    provider = FakeProvider(clock=SYSTEM_CLOCK)
    settings = {"kind": "tls", "names": ["localhost", "127.0.0.1"], "lifetime": 86400.0}
    rotator = open_rotator(settings, provider=provider)
    turn = Turn(rotation_id="by hand", name=NAME, reason=RotationReason.MANUAL, before=None)
    return Stage(
        rotator=rotator,
        provider=provider,
        opens=shakes_hands,
        begin=lambda: rotator.prepare(turn),
        can_refuse=False,
    )


def command_stage(_: pytest.FixtureRequest, folder: Path) -> Stage:
    provider = FakeProvider(clock=SYSTEM_CLOCK)
    place = folder / "opens.json"
    command = [sys.executable, "-I", "-c", PROGRAM, str(place)]
    rotator = open_rotator(
        {"kind": "command", "command": command, "timeout": WAIT_S, "overlap": True},
        provider=provider,
    )

    def begin() -> bytes:
        place.write_text(json.dumps(["by hand"]))
        return b"by hand"

    return Stage(
        rotator=rotator,
        provider=provider,
        opens=lambda secret: secret.reveal() in json.loads(place.read_text()),
        begin=begin,
    )


def postgres_stage(request: pytest.FixtureRequest, _: Path) -> Stage:
    server: Server = request.getfixturevalue("postgres")
    roles = postgres_roles(server, FakeProvider({ADMIN: server.dsn}, clock=SYSTEM_CLOCK))
    return Stage(
        rotator=roles.rotator,
        provider=roles.provider,
        opens=roles.opens,
        begin=roles.begin,
    )


STAGES = (
    pytest.param(fake_stage, id="fake"),
    pytest.param(random_stage, id="random"),
    pytest.param(tls_stage, id="tls"),
    pytest.param(command_stage, id="command"),
    pytest.param(
        postgres_stage,
        id="postgres",
        marks=(pytest.mark.needs_postgres, pytest.mark.xdist_group("postgres")),
    ),
)


# PostgreSQL ---------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Roles:
    """Two roles of a server that need their passwords, new for each test.

    Args:
        server: Whose.
        users: The two.
        owner: What both become.
        settings: The rotator's table.
        provider: Keeps `ADMIN`, and the secret.
    """

    server: Server
    users: tuple[str, str]
    owner: str
    settings: dict[str, Any]
    provider: Any

    @property
    def rotator(self) -> Rotator:
        return open_rotator(self.settings, provider=self.provider)

    def begin(self) -> bytes:
        """Make the roles and the first password, as an administrator does."""
        first = self.users[0]
        ask(
            self.server.dsn,
            f"CREATE ROLE {self.owner} NOLOGIN",
            f"CREATE ROLE {first} LOGIN PASSWORD 'chosen-by-ann' IN ROLE {self.owner}",
            f"ALTER ROLE {first} SET role TO {self.owner}",
        )
        return json.dumps({"username": first, "password": "chosen-by-ann"}).encode()

    def opens(self, secret: Secret) -> bool:
        """Tell whether a credential logs in as the owner."""
        dsn = postgres.with_parts(
            self.server.dsn, user=secret.field("username"), password=secret.field("password")
        )
        try:
            return ask(dsn, "SELECT current_user") == [(self.owner,)]
        except OperationError:
            return False


def postgres_roles(server: Server, provider: Provider) -> Roles:
    """Name two roles and an owner that nobody has used yet."""
    number = next(_NUMBERS)
    users = (f"scram_app_{number}_a", f"scram_app_{number}_b")
    owner = f"app_owner_{number}"
    settings = {
        "kind": "postgres",
        "dsn": server.dsn,
        "admin": ADMIN,
        "users": users,
        "owner": owner,
        "probe": "SELECT 1",
    }
    return Roles(server=server, users=users, owner=owner, settings=settings, provider=provider)


def ask(dsn: str, *statements: str) -> list[tuple[str, ...]]:
    """Ask a server; give the rows of the last statement."""
    deadline_s = SYSTEM_CLOCK.monotonic() + WAIT_S
    session = postgres.Session(dsn, deadline_s=deadline_s)
    try:
        rows: list[tuple[str, ...]] = []
        for statement in statements:
            rows = session.ask(statement, deadline_s=deadline_s)
        return rows
    finally:
        session.close()


# TLS ----------------------------------------------------------------------------------------------


def shakes_hands(secret: Secret, *, trusted: str = "", name: str = "localhost") -> bool:
    """Tell whether a server with this key and certificate is trusted by a client. Without a network.

    Args:
        secret: The PEM blocks.
        trusted: What the client trusts; empty: the certificate itself.
        name: What the client looks for.
    """
    import tempfile

    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(secret.reveal())
        file.flush()
        try:
            server_context.load_cert_chain(file.name)
        except ssl.SSLError:
            return False
    client_context = ssl.create_default_context(cadata=trusted or _certificates(secret.reveal()))
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(back, there, server_hostname=name)
    server = server_context.wrap_bio(there, back, server_side=True)
    for _ in range(10):
        is_done = True
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                is_done = False
            except ssl.SSLError:
                return False
        if is_done:
            return True
    return False


def _certificates(text: str) -> str:
    return text[text.index("-----BEGIN CERTIFICATE") :]
