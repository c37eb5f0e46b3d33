"""The provider that the configuration names, and those of other packages."""

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from resile.core.clock import Clock
from resile.core.config import load_config
from resile.errors import ConfigError
from resile.secrets.providers import KINDS, open_provider
from resile.testing import FakeClock
from resile.testing.secrets import FakeProvider

PLUGIN = """
from tests.unit.secrets.test_opening import Theirs
"""


class Theirs(FakeProvider):
    """A provider of somebody else."""

    @classmethod
    def open(
        cls,
        settings: dict[str, Any],
        *,
        state: Path | None,
        environ: dict[str, str],
        clock: Clock,
    ) -> "Theirs":
        return cls({"a": settings["options"]["value"], "b": environ["B"]}, clock=clock)


@pytest.fixture
def package(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another package is installed, with two providers, of which one is broken."""
    info = place / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[resile.providers]\ntheirs = theirs_package:Theirs\nbroken = theirs_package:Missing\n"
        "absent = no_such_package:X\n"
    )
    (place / "theirs_package.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(place))
    yield
    sys.modules.pop("theirs_package", None)


@pytest.mark.parametrize(
    ("kind", "hint"), [("valt", "did you mean 'vault'?"), ("thiers", "did you mean 'theirs'?")]
)
def test_an_unknown_provider_is_refused_with_the_nearest_name(
    package: None, kind: str, hint: str
) -> None:
    with pytest.raises(ConfigError, match=kind) as caught:
        open_provider({"provider": kind}, environ={})

    assert caught.value.hint == hint


@pytest.mark.parametrize("kind", ["broken", "absent"])
def test_a_provider_that_cannot_be_loaded_is_told(package: None, kind: str) -> None:
    with pytest.raises(ConfigError, match="cannot be loaded from") as caught:
        open_provider({"provider": kind}, environ={})

    assert caught.value.hint


def test_a_provider_of_another_package_gets_its_options(package: None) -> None:
    clock = FakeClock()
    settings = {"provider": "theirs", "options": {"value": "one"}}

    provider = open_provider(settings, environ={"B": "two"}, clock=clock)

    assert provider.read("a").reveal() == "one"
    assert provider.read("b").reveal() == "two"
    assert provider.read("a").created_at == clock.now()


def test_ours_cannot_be_taken_by_another_package(package: None, place: Path) -> None:
    points = place / "theirs-1.0.dist-info" / "entry_points.txt"
    points.write_text("[resile.providers]\nlocal = theirs_package:Theirs\n")

    with closing(open_provider({}, state=place, environ={})) as provider:
        assert provider.kind == "local"


def test_the_default_is_the_local_store_in_the_state_folder(place: Path) -> None:
    config = place / "resile.toml"
    config.write_text('[resile]\nstate_dir = "state"\n[secret.key]\nservices = []\n')
    settings = load_config(config, environ={}).as_data()["secrets"]

    with closing(open_provider(settings, state=place / "state", environ={})) as provider:
        provider.check()

    assert sorted(path.name for path in (place / "state" / "secrets").iterdir()) == [
        "master.key",
        "secrets.db",
    ]


def test_what_the_configuration_says_is_opened(place: Path) -> None:
    config = place / "resile.toml"
    (place / "run").mkdir()
    (place / "run" / "a").write_text("from a file")
    config.write_text('[secrets]\nprovider = "file"\nfolder = "run"\n')
    settings = load_config(config, environ={}).as_data()["secrets"]

    assert open_provider(settings, environ={}).read("a").reveal() == "from a file"
    env = {"provider": "env", "prefix": "X_"}
    assert open_provider(env, environ={"X_A": "a variable"}).read("a").reveal() == "a variable"


def test_every_kind_of_ours_can_be_loaded() -> None:
    from importlib import import_module

    for module, name in KINDS.values():
        assert callable(getattr(import_module(module), name).open)
