"""Which backend a path or a URL means, and what is told of a wrong one."""

from pathlib import Path

import pytest

from resile.errors import ConfigError, MissingExtraError
from resile.store.backends import open_backend
from resile.store.backends.local import LocalBackend
from resile.store.backends.memory import MemoryBackend


@pytest.mark.parametrize(
    "place",
    [
        "ftp://host/store",
        "http://host/store",
        "S4://x",
        "://",
        "",
        "a\0b",
        "file://host/store",
        "file://",
        "s3://",
        "s3://UPPER",
        "s3://ab",
        "s3://good-bucket/a//b",
        "s3://good-bucket/../b",
        "s3://good-bucket/a/..",
        "s3://good-bucket/a b",
        "s3://good-bucket?endpoint=ftp://x",
        "s3://good-bucket?secret_access_key=abc",
        "s3://good-bucket?endpoint",
        "s3://[bad",
    ],
)
def test_a_wrong_place_is_refused_with_a_hint(place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_backend(place)

    assert caught.value.hint


@pytest.mark.parametrize(
    "place",
    [
        "s3://KEYID:topsecret@good-bucket/a",
        "s3://good-bucket/a?endpoint=https://KEYID:topsecret@host",
        "s3://good-bucket/a?topsecret=topsecret@x",
        "s3://good-bucket/a?access_key_id=x&secret_access_key=topsecret",
        "s3://[topsecret",
    ],
)
def test_credentials_in_a_url_are_refused_and_not_repeated(place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_backend(place)

    told = f"{caught.value!r} {caught.value.hint} {caught.value.__cause__!r}"
    assert "topsecret" not in told


@pytest.mark.parametrize(
    ("place", "folder"),
    [
        ("/srv/store", "/srv/store"),
        (Path("/srv/store"), "/srv/store"),
        ("file:///srv/my%20store", "/srv/my store"),
        ("file://localhost/srv/store", "/srv/store"),
    ],
)
def test_a_path_is_a_folder(place: str | Path, folder: str) -> None:
    backend = open_backend(place)

    assert isinstance(backend, LocalBackend)
    assert backend.url == folder


def test_a_relative_path_stays_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    backend = open_backend("store")
    monkeypatch.chdir("/")

    assert backend.url == str(tmp_path / "store")
    assert open_backend("~/store").url == "/home/somebody/store"


def test_opening_a_folder_makes_nothing(tmp_path: Path) -> None:
    backend = open_backend(tmp_path / "store")

    assert list(backend.list("packs")) == []
    assert list(tmp_path.iterdir()) == []


def test_memory_is_new_each_time() -> None:
    one, other = open_backend("memory:"), open_backend("memory:")

    assert isinstance(one, MemoryBackend)
    assert one is not other


def test_a_bucket_without_its_package_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "obstore", None)

    with pytest.raises(MissingExtraError) as caught:
        open_backend("s3://good-bucket/prefix")

    assert caught.value.hint == "pip install 'resile[s3]'"


def test_a_bucket_is_shown_without_its_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("obstore", reason="obstore is not installed")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "topsecret")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEYID")

    backend = open_backend("s3://good-bucket/a/b/?region=eu-west-1")

    assert backend.url == "s3://good-bucket/a/b?region=eu-west-1"
    assert "topsecret" not in repr(backend)
