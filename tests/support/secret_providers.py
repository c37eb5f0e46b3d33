"""The providers that the contract is about, and how each is made for a test.

To add one: write a function that makes it, and a `Case` below. A server is a fixture of its session, taken
by `request.getfixturevalue`; its marks keep the tests that share it on one worker. Names are new in every
test, so nothing has to be removed from a server between two.
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support import moto_server
from tests.support.openbao import OpenBao

from resile.clients.vault import AppRole, Target
from resile.core.vocabulary import SecretStage
from resile.secrets import Provider, WritableProvider
from resile.secrets.providers.aws import AwsProvider
from resile.secrets.providers.env import EnvProvider
from resile.secrets.providers.files import FileProvider
from resile.secrets.providers.local import LocalProvider
from resile.secrets.providers.local_keys import KeyCost, KeyKind, MasterKey
from resile.secrets.providers.vault import VaultProvider
from resile.testing.secrets import FakeProvider

QUICK = KeyCost(iterations=1, lanes=1, memory_kib=64)
PASSPHRASE = b"correct horse battery staple"
ONE, TWO, THREE, FOUR = b"value one \xc3\xa4", b"value two", b'{"username": "u"}', b"value four"
WRITERS = 8
PENDING = SecretStage.PENDING
_NUMBERS = itertools.count()

Reader = Callable[[Mapping[str, bytes]], Provider]
"""Makes a provider with some secrets in it."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One provider that can be written to.

    Args:
        kind: What it is called in a test's name.
        make: Makes one; called with the request of the fixture, and a folder of the test's own. What
            it holds may be shared with other tests.
        marks: Of its tests.
        keeps_retired: It keeps retired versions in its history.
    """

    kind: str
    make: Callable[[pytest.FixtureRequest, Path], WritableProvider]
    marks: tuple[pytest.MarkDecorator, ...] = ()
    keeps_retired: bool = True


def local_provider(folder: Path, **options: Any) -> LocalProvider:
    """Make a local store with a key file, both in a folder."""
    key = MasterKey(kind=KeyKind.FILE, path=folder / "master.key")
    return LocalProvider(folder / "secrets.db", key=key, **options)


def passphrase_provider(folder: Path) -> LocalProvider:
    """Make a local store with a passphrase, which costs less than a real one."""
    path = folder / "passphrase"
    path.touch(0o600)
    path.write_bytes(PASSPHRASE)
    key = MasterKey(kind=KeyKind.PASSPHRASE, path=path, cost=QUICK)
    return LocalProvider(folder / "secrets.db", key=key)


def aws_provider(request: pytest.FixtureRequest, _: Path) -> AwsProvider:
    """Make a part of AWS's stand-in that is this test's own."""
    endpoint = request.getfixturevalue("aws_endpoint")
    return AwsProvider(moto_server.shared_aws(endpoint), prefix=f"{moto_server.own_name('test')}/")


def vault_provider(request: pytest.FixtureRequest, folder: Path) -> VaultProvider:
    """Log in to OpenBao anew."""
    server: OpenBao = request.getfixturevalue("openbao")
    mount, role_id, secret_id = server.shared
    path = folder / "secret-id"
    path.touch(0o600)
    path.write_text(secret_id)
    return VaultProvider(Target(server.url), AppRole(role_id, path), mount=mount)


WRITABLE = (
    Case(kind="local", make=lambda _, folder: local_provider(folder)),
    Case(kind="passphrase", make=lambda _, folder: passphrase_provider(folder)),
    Case(kind="fake", make=lambda *_: FakeProvider()),
    Case(kind="aws", make=aws_provider, marks=(pytest.mark.xdist_group("moto"),)),
    Case(
        kind="vault",
        make=vault_provider,
        marks=(pytest.mark.needs_openbao, pytest.mark.xdist_group("openbao")),
    ),
)


def env_provider(values: Mapping[str, bytes]) -> EnvProvider:
    """Make variables with a prefix of their own."""
    variables = {
        f"TEST_{name.upper().replace('/', '_').replace('-', '_')}": value.decode(
            "utf-8", "surrogateescape"
        )
        for name, value in values.items()
    }
    return EnvProvider(variables, prefix="TEST_")


def file_provider(folder: Path, values: Mapping[str, bytes]) -> FileProvider:
    """Make a folder with a file for each secret."""
    for name, value in values.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o600)
        path.write_bytes(value)
    return FileProvider(folder)


READ_ONLY: Mapping[str, Callable[[Path, Mapping[str, bytes]], Provider]] = {
    "env": lambda _, values: env_provider(values),
    "file": file_provider,
}
"""How each that is only read is made, with these secrets in it."""


def as_params(cases: tuple[Case, ...]) -> list[Any]:
    """Give what a fixture is parametrized with."""
    return [pytest.param(case, id=case.kind, marks=case.marks) for case in cases]


def token() -> str:
    """Give one that nobody has used."""
    return f"tok_{next(_NUMBERS):026d}"


def stages(provider: WritableProvider, name: str) -> dict[str, str]:
    """Give the number of each stage but the retired ones."""
    return {
        one.stage.value: one.number
        for one in provider.history(name)
        if one.stage is not SecretStage.RETIRED
    }
