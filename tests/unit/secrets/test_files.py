"""Secrets in a folder of files, as Docker and Kubernetes give them."""

import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.secret_providers import file_provider

from resile.errors import (
    ConfigError,
    ProviderDownError,
    SecretDeniedError,
    SecretError,
    UnknownSecretError,
)
from resile.secrets import VALUE_BYTES_MAX, WritableProvider
from resile.secrets.providers import files
from resile.secrets.providers.files import FileProvider


def kubernetes(folder: Path, version: str, values: dict[str, str]) -> None:
    """Write a volume as the kubelet does: a new folder, and a link that is exchanged."""
    real = folder / f"..{version}"
    real.mkdir()
    for name, value in values.items():
        (real / name).write_text(value)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    (folder / "..data_tmp").symlink_to(real.name)
    (folder / "..data_tmp").rename(folder / "..data")


# Refused -----------------------------------------------------------------------------------------


def test_no_folder_in_the_configuration_is_told() -> None:
    with pytest.raises(ConfigError) as caught:
        FileProvider.open({}, state=None, environ={})

    assert "folder =" in caught.value.hint


def test_a_missing_folder_may_come_back(place: Path) -> None:
    provider = FileProvider(place / "missing")

    for use in (provider.check, provider.names, lambda: provider.read("a")):
        with pytest.raises(ProviderDownError, match="cannot be read"):
            use()


@pytest.mark.parametrize("target", ["../outside", "/etc/hostname", "/proc/self/environ"])
def test_a_link_out_of_the_folder_is_not_followed(place: Path, target: str) -> None:
    (place / "outside").write_text("not a secret of ours")
    folder = place / "folder"
    folder.mkdir()
    (folder / "a").symlink_to(target)
    (folder / "below").symlink_to("..")
    provider = FileProvider(folder)

    for name in ("a", "below/outside"):
        for use in (provider.read, provider.history):
            with pytest.raises(SecretDeniedError, match="leads out of"):
                use(name)
    assert provider.names() == ()


def test_a_link_in_a_circle_or_to_nothing_is_no_secret(place: Path) -> None:
    (place / "a").symlink_to("b")
    (place / "b").symlink_to("a")
    (place / "c").symlink_to("nothing")
    provider = FileProvider(place)

    for name in ("a", "b", "c"):
        with pytest.raises(SecretError):
            provider.read(name)
    assert provider.names() == ()


def test_what_is_no_file_is_no_secret_and_nobody_waits_for_it(place: Path) -> None:
    os.mkfifo(place / "pipe")
    (place / "folder").mkdir()
    provider = FileProvider(place)

    with pytest.raises(SecretError, match="is no file"):
        provider.read("pipe")
    with pytest.raises(UnknownSecretError):
        provider.read("folder")
    assert provider.names() == ()


def test_a_file_below_a_file_is_unknown(place: Path) -> None:
    with pytest.raises(UnknownSecretError):
        file_provider(place, {"a": b"x"}).read("a/b")


@pytest.mark.parametrize("value", [b"", b"\n", b"x" * (VALUE_BYTES_MAX + 1)])
def test_a_file_out_of_bounds_is_refused(place: Path, value: bytes) -> None:
    with pytest.raises(SecretError, match="it may have 1 to"):
        file_provider(place, {"a": value}).read("a")


def test_a_file_that_this_user_may_not_read_is_denied(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    provider = file_provider(place, {"a": b"x"})
    monkeypatch.setattr(files.os, "open", refuse)

    with pytest.raises(SecretDeniedError):
        provider.read("a")


# Read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"text\n", b"text"),
        (b"text\r\n", b"text"),
        (b"text\n\n", b"text\n"),
        (b"text\r", b"text\r"),
        (b"two\nlines", b"two\nlines"),
        (b" blanks ", b" blanks "),
        (b"\xff\xfe\n", b"\xff\xfe\n"),
        (b"x" * VALUE_BYTES_MAX + b"\r\n", b"x" * VALUE_BYTES_MAX),
    ],
)
def test_one_line_end_of_a_text_is_no_part_of_it(place: Path, content: bytes, value: bytes) -> None:
    assert file_provider(place, {"a": content}).read("a").reveal_bytes() == value


def test_a_volume_of_kubernetes_is_read_through_its_links(place: Path) -> None:
    kubernetes(place, "2030_01_01", {"db-password": "one", "key": "k"})
    provider = FileProvider(place)
    first = provider.read("db-password")
    assert first.reveal() == "one"
    assert provider.names() == ("db-password", "key")

    kubernetes(place, "2030_01_02", {"db-password": "two", "key": "k"})

    second = provider.read("db-password")
    assert second.reveal() == "two"
    assert second.version != first.version
    with pytest.raises(UnknownSecretError):
        provider.read("db-password", version=first.version)


def test_a_volume_that_is_exchanged_while_it_is_read_gives_one_version_or_the_other(
    place: Path,
) -> None:
    kubernetes(place, "0", {"a": "0" * 5000})
    provider = FileProvider(place)
    is_done = threading.Event()

    def exchange() -> None:
        for number in range(1, 150):
            kubernetes(place, str(number), {"a": str(number % 10) * 5000})
            old = place / f"..{number - 1}"
            (old / "a").unlink()
            old.rmdir()
        is_done.set()

    thread = threading.Thread(target=exchange)
    thread.start()
    seen = set()
    while not is_done.is_set():
        # It may be exchanged three times while it is read once, and then says so.
        with suppress(ProviderDownError, UnknownSecretError):
            seen.add(provider.read("a").reveal())
    thread.join(timeout=30)

    assert {len(set(value)) for value in seen} == {1}
    assert {len(value) for value in seen} == {5000}


def test_the_folder_itself_may_be_a_link(place: Path) -> None:
    file_provider(place / "real", {"a": b"x"})
    (place / "folder").symlink_to("real")

    assert FileProvider(place / "folder").read("a").reveal() == "x"
    assert FileProvider(place / "folder").names() == ("a",)


def test_names_are_of_all_files_but_hidden_ones(place: Path) -> None:
    provider = file_provider(place, {"b": b"x", "a/c": b"x", "a/b/d": b"x"})
    (place / ".hidden").write_text("x")
    (place / "no name").write_text("x")

    assert provider.names() == ("a/b/d", "a/c", "b")


def test_of_very_many_files_some_are_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "NAMES_MAX", 3)

    assert len(file_provider(place, {f"n{i}": b"x" for i in range(9)}).names()) == 3


def test_a_version_is_when_the_file_was_written(place: Path) -> None:
    provider = file_provider(place, {"a": b"x"})
    os.utime(place / "a", (1_900_000_000, 1_900_000_000))

    (version,) = provider.history("a")

    assert version.created_at is not None
    assert version.created_at.timestamp() == 1_900_000_000
    assert FileProvider(place).read("a").version == version.number


def test_files_that_others_may_read_are_warned_of_and_read(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Docker mounts them so."""
    provider = file_provider(place, {"a": b"sentinel", "b": b"x"})
    (place / "a").chmod(0o444)

    provider.check()

    assert provider.read("a").reveal() == "sentinel"
    assert [record.message for record in caplog.records] == [
        f"secrets.file_open_to_others file={place / 'a'}"
    ]


def test_it_is_for_reading_only(place: Path) -> None:
    provider = FileProvider.open({"folder": str(place)}, state=None, environ={})

    assert not isinstance(provider, WritableProvider)
    assert not provider.abilities.can_write
