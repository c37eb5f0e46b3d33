"""The master key: where it comes from, what is refused, and how it is changed."""

import os
import shutil
import stat
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.support.secret_providers import (
    PASSPHRASE,
    QUICK,
    local_provider,
    passphrase_provider,
)

from resile.errors import ConfigError, SecretError, SecretKeyError
from resile.secrets.providers.local import LocalProvider
from resile.secrets.providers.local_keys import KeyKind, MasterKey
from resile.testing import FaultyFiles

KEY = "ab" * 32


def write(path: Path, text: str | bytes, mode: int = 0o600) -> Path:
    path.unlink(missing_ok=True)
    path.touch(mode)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)
    return path


def opened(folder: Path, **settings: Any) -> LocalProvider:
    return LocalProvider.open(
        {"provider": "local", **settings},
        state=folder,
        environ={"CREDENTIALS_DIRECTORY": str(folder / "credentials")},
    )


def filled(folder: Path) -> Path:
    with closing(local_provider(folder)) as provider:
        provider.write("a", b"value", token="1")
    return folder


# Refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["", "ab", "ab" * 31, "ab" * 33, "zz" * 32, "ab" * 31 + "é", b"\xff" * 64, "ab " * 32 + "x"],
)
def test_a_file_that_holds_no_key_is_refused_and_not_quoted(place: Path, text: str | bytes) -> None:
    write(place / "master.key", text)

    with pytest.raises(SecretKeyError, match="holds no master key") as caught:
        local_provider(place)

    assert caught.value.exit_code == 2
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601, 0o777])
def test_a_key_that_others_may_read_is_refused(place: Path, mode: int) -> None:
    filled(place)
    (place / "master.key").chmod(mode)

    with pytest.raises(SecretKeyError, match="others may read") as caught:
        local_provider(place)

    assert "chmod 600" in caught.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_key_of_another_user_is_refused(place: Path) -> None:
    filled(place)
    os.chown(place / "master.key", 1234, -1)

    with pytest.raises(SecretKeyError, match="another user"):
        local_provider(place)


def test_another_master_key_is_told_at_once_and_changes_nothing(place: Path) -> None:
    filled(place)
    right = (place / "master.key").read_bytes()
    before = (place / "secrets.db").read_bytes()
    write(place / "master.key", KEY)

    with pytest.raises(SecretKeyError, match="another master key") as caught:
        local_provider(place)

    assert caught.value.exit_code == 2
    assert caught.value.hint
    write(place / "master.key", right)
    with closing(local_provider(place)) as provider:
        assert provider.read("a").reveal() == "value"
    assert (place / "secrets.db").read_bytes() == before


def test_a_missing_key_is_not_made_anew_where_secrets_are_kept(place: Path) -> None:
    filled(place)
    (place / "master.key").unlink()

    with pytest.raises(SecretKeyError, match="No such file"):
        local_provider(place)

    assert not (place / "master.key").exists()


def test_what_is_no_file_is_no_key_and_nobody_waits_for_it(place: Path) -> None:
    os.mkfifo(place / "master.key", 0o600)

    with pytest.raises(SecretKeyError, match="is no file"):
        local_provider(place)


def test_several_master_keys_are_refused(place: Path) -> None:
    with pytest.raises(ConfigError, match="names 2 master keys: key_file, passphrase_file"):
        opened(place, key_file=str(place / "k"), passphrase_file=str(place / "p"))


def test_no_state_folder_and_no_file_is_refused(place: Path) -> None:
    for settings in ({}, {"file": str(place / "s.db")}):
        with pytest.raises(ConfigError, match="no state folder"):
            LocalProvider.open(settings, state=None, environ={})


def test_a_store_with_a_passphrase_does_not_take_a_key_nor_the_other_way_round(
    place: Path,
) -> None:
    with closing(passphrase_provider(place)) as provider:
        provider.write("a", b"value", token="1")

    with pytest.raises(SecretKeyError, match="sealed with a passphrase"):
        local_provider(place)


def test_a_store_with_a_key_does_not_take_a_passphrase(place: Path) -> None:
    filled(place)

    with pytest.raises(SecretKeyError, match="sealed with a key"):
        passphrase_provider(place)


@pytest.mark.parametrize("text", [b"", b"\n", b"too short\n"])
def test_a_short_passphrase_is_refused_and_not_quoted(place: Path, text: bytes) -> None:
    path = write(place / "words", text)
    key = MasterKey(kind=KeyKind.PASSPHRASE, path=path, cost=QUICK)

    with pytest.raises(SecretKeyError, match=r"has \d bytes") as caught:
        LocalProvider(place / "secrets.db", key=key)

    assert "too short" not in caught.value.report()


def test_a_wrong_passphrase_is_told(place: Path) -> None:
    with closing(passphrase_provider(place)) as provider:
        provider.write("a", b"value", token="1")
    path = write(place / "other", PASSPHRASE + b"!")

    with pytest.raises(SecretKeyError, match="another master key"):
        LocalProvider(
            place / "secrets.db", key=MasterKey(kind=KeyKind.PASSPHRASE, path=path, cost=QUICK)
        )


@pytest.mark.parametrize("name", ["../key", ".hidden", "a/b"])
def test_a_credential_outside_of_its_folder_is_refused(place: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="not the name of a credential"):
        opened(place, key_credential=name)


def test_a_credential_without_systemd_is_refused_with_what_to_write(place: Path) -> None:
    with pytest.raises(SecretKeyError, match="has given this process none") as caught:
        LocalProvider.open({"key_credential": "master"}, state=place, environ={})

    assert "LoadCredentialEncrypted=master" in caught.value.hint


@pytest.mark.parametrize("mode", [0o404, 0o666])
def test_a_credential_that_everybody_may_read_is_refused(place: Path, mode: int) -> None:
    (place / "credentials").mkdir()
    write(place / "credentials" / "master", KEY, mode)

    with pytest.raises(SecretKeyError, match="others may read"):
        opened(place, key_credential="master")


# Taken -------------------------------------------------------------------------------------------


def test_the_first_key_is_made_with_the_store_in_folders_for_this_user_alone(place: Path) -> None:
    state = place / "state"
    with closing(opened(state)) as provider:
        provider.write("a", b"value", token="1")
        modes = {
            path.name: stat.S_IMODE(path.stat().st_mode) for path in (state / "secrets").iterdir()
        }

    assert modes == dict.fromkeys(
        ("secrets.db", "secrets.db-wal", "secrets.db-shm", "master.key"), 0o600
    )
    assert stat.S_IMODE((state / "secrets").stat().st_mode) == 0o700
    assert len(bytes.fromhex((state / "secrets" / "master.key").read_text())) == 32


def test_a_store_without_secrets_takes_a_new_key(place: Path) -> None:
    local_provider(place).close()
    (place / "master.key").unlink()
    with closing(local_provider(place)) as provider:
        provider.write("a", b"value", token="1")
        provider.destroy("a", "1")
    write(place / "master.key", KEY)

    with pytest.raises(SecretKeyError):
        local_provider(place)


def test_a_key_of_ones_own_is_taken(place: Path) -> None:
    write(place / "my.key", f"{KEY.upper()}\n")

    with closing(opened(place, key_file=str(place / "my.key"))) as provider:
        provider.write("a", b"value", token="1")

    assert not (place / "secrets" / "master.key").exists()
    with closing(opened(place, key_file=str(place / "my.key"))) as provider:
        assert provider.read("a").reveal() == "value"


def test_a_credential_of_systemd_is_taken_with_the_mask_of_its_access_list(place: Path) -> None:
    """systemd gives it to a service's user by an access list: the group's bits are its mask."""
    (place / "credentials").mkdir()
    write(place / "credentials" / "master", KEY, 0o440)

    with closing(opened(place, key_credential="master")) as provider:
        provider.write("a", b"value", token="1")
        assert provider.read("a").reveal() == "value"


def test_a_key_file_and_a_credential_with_the_same_key_are_the_same(place: Path) -> None:
    with closing(opened(place)) as provider:
        provider.write("a", b"value", token="1")
    (place / "credentials").mkdir()
    shutil.move(place / "secrets" / "master.key", place / "credentials" / "master")

    with closing(opened(place, key_credential="master")) as provider:
        assert provider.read("a").reveal() == "value"


def test_a_passphrase_is_derived_with_the_cost_that_the_documentation_says(place: Path) -> None:
    """The real cost: 64 MiB, three passes, four lanes."""
    write(place / "words", PASSPHRASE + b"\r\n")

    with closing(opened(place, passphrase_file=str(place / "words"))) as provider:
        provider.write("a", b"value", token="1")

    key = MasterKey(kind=KeyKind.PASSPHRASE, path=place / "words")
    assert tuple(key.cost) == (3, 4, 65536)
    with closing(opened(place, passphrase_file=str(place / "words"))) as provider:
        assert provider.read("a").reveal() == "value"


# Changed -----------------------------------------------------------------------------------------


def test_a_new_master_key_opens_all_and_the_old_one_nothing(place: Path) -> None:
    old = (filled(place) / "master.key").read_bytes()
    with closing(local_provider(place)) as provider:
        provider.write("a", b"second", token="2")
        provider.write("b", b"other", token="3")
        before = provider.history("a")

        assert provider.rekey() == 3

        assert provider.history("a") == before
        assert provider.read("a").reveal() == "second"
        provider.write("c", b"after", token="4")
    assert (place / "master.key").read_bytes() != old
    assert not (place / "master.key.new").exists()
    with closing(local_provider(place)) as provider:
        assert provider.read("a", version="previous").reveal() == "value"
        assert provider.read("c").reveal() == "after"
    write(place / "master.key", old)
    with pytest.raises(SecretKeyError):
        local_provider(place)


def test_a_provider_that_is_open_meanwhile_goes_on_with_the_new_key(place: Path) -> None:
    with closing(local_provider(filled(place))) as one, closing(local_provider(place)) as two:
        for provider, other in ((one, two), (two, one), (one, two)):
            provider.rekey()
            assert other.read("a").reveal() == "value"
            other.write("b", os.urandom(8), token=os.urandom(8).hex())
            assert provider.read("b") == other.read("b")


def test_a_new_passphrase_stands_beside_the_old_one_until_it_is_taken(place: Path) -> None:
    with closing(passphrase_provider(place)) as provider:
        provider.write("a", b"value", token="1")
        with pytest.raises(SecretKeyError, match=r"passphrase\.new is missing") as caught:
            provider.rekey()
        assert "passphrase file there" in caught.value.hint
        write(place / "passphrase.new", b"another battery staple\n")

        assert provider.rekey() == 1

    assert (place / "passphrase").read_bytes() == b"another battery staple\n"
    assert not (place / "passphrase.new").exists()
    with closing(passphrase_provider_as_it_is(place)) as provider:
        assert provider.read("a").reveal() == "value"


def passphrase_provider_as_it_is(folder: Path) -> LocalProvider:
    key = MasterKey(kind=KeyKind.PASSPHRASE, path=folder / "passphrase", cost=QUICK)
    return LocalProvider(folder / "secrets.db", key=key)


def test_a_new_credential_is_found_beside_the_old_one_for_as_long_as_both_are_there(
    place: Path,
) -> None:
    (place / "credentials").mkdir()
    write(place / "credentials" / "master", KEY)
    write(place / "credentials" / "master.new", KEY)
    with closing(opened(place, key_credential="master")) as provider:
        provider.write("a", b"value", token="1")
        with pytest.raises(SecretKeyError, match="holds the master key that the store has"):
            provider.rekey()
        write(place / "credentials" / "master.new", "cd" * 32)

        provider.rekey()

        assert provider.read("a").reveal() == "value"
    with closing(opened(place, key_credential="master")) as provider:
        assert provider.read("a").reveal() == "value"
    shutil.move(place / "credentials" / "master.new", place / "credentials" / "master")
    with closing(opened(place, key_credential="master")) as provider:
        assert provider.read("a").reveal() == "value"


@pytest.mark.parametrize("fail_at", range(1, 8))
def test_a_change_whose_files_cannot_be_written_leaves_a_store_that_opens(
    place: Path, fail_at: int
) -> None:
    filled(place)
    files = FaultyFiles(fail_at=fail_at)
    key = MasterKey(kind=KeyKind.FILE, path=place / "master.key", files=files)
    with closing(LocalProvider(place / "secrets.db", key=key)) as provider:
        try:
            provider.rekey()
        except SecretKeyError as exc:
            failure: SecretError | None = exc
        else:
            failure = None

        assert provider.read("a").reveal() == "value"
        assert failure is None or failure.hint
        assert (failure is None) == (files.steps < fail_at)
    with closing(local_provider(place)) as provider:
        assert provider.read("a").reveal() == "value"
        assert provider.rekey() == 1


def test_a_store_opens_with_a_next_key_that_cannot_be_put_in_place(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(place)
    files = FaultyFiles(fail_at=6)
    key = MasterKey(kind=KeyKind.FILE, path=place / "master.key", files=files)
    with closing(LocalProvider(place / "secrets.db", key=key)) as provider:
        with pytest.raises(SecretKeyError, match="could not be put in place") as caught:
            provider.rekey()
        assert "mv" in caught.value.hint
    stuck = MasterKey(kind=KeyKind.FILE, path=place / "master.key", files=FaultyFiles(fail_at=1))

    with closing(LocalProvider(place / "secrets.db", key=stuck)) as provider:
        assert provider.read("a").reveal() == "value"

    assert "secrets.key_not_replaced" in caplog.text


# Told --------------------------------------------------------------------------------------------


def levels(provider: LocalProvider) -> Mapping[str, str]:
    return {advice.about: advice.level.value for advice in provider.examine()}


def test_what_lies_open_or_is_left_over_is_told(place: Path) -> None:
    with closing(local_provider(filled(place))) as provider:
        assert levels(provider) == {str(place / "master.key"): "note"}

        (place / "secrets.db").chmod(0o644)
        place.chmod(0o755)
        write(place / "master.key.new", KEY)

        assert levels(provider) == {
            str(place / "master.key"): "note",
            str(place / "master.key.new"): "warning",
            str(place / "secrets.db"): "warning",
            str(place): "warning",
        }


def test_a_key_elsewhere_is_no_cause_for_advice(place: Path) -> None:
    (place / "keys").mkdir(mode=0o700)
    with closing(opened(place, key_file=str(place / "keys" / "key"))) as provider:
        assert levels(provider) == {}


def test_no_key_is_in_a_repr(place: Path) -> None:
    with closing(local_provider(filled(place))) as provider:
        key = (place / "master.key").read_text().strip()

        said = repr(vars(provider)) + repr(provider._seals) + repr(provider._key)

    assert key not in said
    assert key.upper() not in said
