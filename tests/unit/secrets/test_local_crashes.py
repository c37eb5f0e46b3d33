"""A process that dies at any step of a write, or of a change of the master key, leaves a whole store."""

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.killing import KillingFiles, die_at, use_killing_connections
from tests.support.secret_providers import PASSPHRASE, QUICK

from resile.core.vocabulary import SecretStage
from resile.errors import SecretError, SecretKeyError, SecretRevokedError, UnknownSecretError
from resile.secrets.providers.local import LocalProvider
from resile.secrets.providers.local_keys import KeyKind, MasterKey

Note = Callable[[int], None]
State = dict[str, tuple[str, bytes] | type[SecretError]]
WORDS = ("current", "previous", "pending")


@pytest.fixture(autouse=True)
def killing(monkeypatch: pytest.MonkeyPatch) -> None:
    use_killing_connections(monkeypatch)


def opened(folder: Path, kind: KeyKind = KeyKind.FILE) -> LocalProvider:
    key = MasterKey(kind=kind, path=folder / "master.key", files=KillingFiles(), cost=QUICK)
    return LocalProvider(folder / "secrets.db", key=key)


def state_of(folder: Path, kind: KeyKind = KeyKind.FILE) -> State:
    """Read all of it, as whoever comes next does; it must be sound."""
    with closing(opened(folder, kind)) as provider:
        provider.examine()
        return state(provider)


def state(provider: LocalProvider) -> State:
    found: State = {}
    for word in WORDS:
        try:
            secret = provider.read("a", version=word)
            found[word] = (secret.version, secret.reveal_bytes())
        except (UnknownSecretError, SecretRevokedError) as exc:
            found[word] = type(exc)
    return found


def filled(folder: Path, kind: KeyKind = KeyKind.FILE) -> Path:
    folder.mkdir(mode=0o700)
    if kind is not KeyKind.FILE:
        write_key(folder / "master.key", kind, PASSPHRASE)
    with closing(opened(folder, kind)) as provider:
        for number, value in enumerate((b"one", b"two")):
            provider.write("a", value, token=f"{number}")
        provider.write("a", b"three", stage=SecretStage.PENDING, token="candidate")
        provider.write("b", b"other", token="b")
    return folder


def write_key(path: Path, kind: KeyKind, text: bytes) -> None:
    path.touch(0o600)
    path.write_bytes(text if kind is KeyKind.PASSPHRASE else text[:1].hex().encode() * 32)


WORK: dict[str, Callable[[LocalProvider], object]] = {
    "write": lambda p: p.write("a", b"four", token="four"),
    "promote": lambda p: p.promote("a", token="candidate", expect="2"),
    "destroy": lambda p: p.destroy("a", "2"),
}


@pytest.mark.parametrize("what", WORK)
def test_a_write_is_done_or_not_done_wherever_it_is_cut(place: Path, what: str) -> None:
    before = state_of(filled(place / "full"))
    done = place / "done"
    shutil.copytree(place / "full", done)
    with closing(opened(done)) as provider:
        WORK[what](provider)
        after = state(provider)
    assert after != before

    def work(note: Note) -> None:
        with closing(opened(folder)) as provider:
            note(0)
            WORK[what](provider)
            note(1)

    step, is_killed, seen = 0, True, set()
    while is_killed:
        folder = place / str(step)
        shutil.copytree(place / "full", folder)
        is_killed, notes = die_at(step, work)
        found = state_of(folder)
        assert found == after if 1 in notes else found in (before, after), step
        seen.add(found == after)
        with closing(opened(folder)) as provider:
            WORK[what](provider)
            assert state(provider) == after, step
        shutil.rmtree(folder)
        step += 1
    assert step > 15
    assert seen == {True, False}


def test_a_store_that_was_cut_while_it_was_made_is_made_by_whoever_comes_next(place: Path) -> None:
    def work(note: Note) -> None:
        folder.mkdir(mode=0o700)
        with closing(opened(folder)) as provider:
            provider.write("a", b"one", token="one")
            note(1)

    step, is_killed = 0, True
    while is_killed:
        folder = place / str(step)
        is_killed, notes = die_at(step, work)
        found = state_of(folder)
        assert found["current"] == ("1", b"one") if notes else True, step
        with closing(opened(folder)) as provider:
            assert provider.write("a", b"one", token="one").number == "1"
        step += 1
    assert step > 15


@pytest.mark.parametrize("kind", KeyKind)
def test_a_store_opens_by_itself_wherever_a_change_of_its_key_was_cut(
    place: Path, kind: KeyKind
) -> None:
    before = state_of(filled(place / "full", kind), kind)
    old_key = (place / "full" / "master.key").read_bytes()
    if kind is not KeyKind.FILE:
        write_key(place / "full" / "master.key.new", kind, b"another battery staple")

    def work(note: Note) -> None:
        with closing(opened(folder, kind)) as provider:
            note(0)
            assert provider.rekey() == 4
            note(1)

    step, is_killed, changed = 0, True, set()
    while is_killed:
        folder = place / str(step)
        shutil.copytree(place / "full", folder)
        is_killed, notes = die_at(step, work)

        assert state_of(folder, kind) == before, step

        is_new = not opens_with(folder, old_key, kind)
        changed.add(is_new)
        assert is_new or 1 not in notes
        if kind is KeyKind.FILE:
            # Whoever opened it has finished what was left.
            assert not (folder / "master.key.new").exists()
        with closing(opened(folder, kind)) as provider:
            provider.write("a", b"more", token="more")
        assert state_of(folder, kind)["current"] == ("4", b"more")
        shutil.rmtree(folder)
        step += 1
    assert changed == {True, False}
    assert step > 30


def opens_with(folder: Path, key: bytes, kind: KeyKind) -> bool:
    """Tell whether a copy of the store opens with a key that stands alone."""
    copy = folder / "copy"
    copy.mkdir(mode=0o700)
    shutil.copy2(folder / "secrets.db", copy)
    (copy / "master.key").touch(0o600)
    (copy / "master.key").write_bytes(key)
    try:
        return state_of(copy, kind)["pending"] == ("3", b"three")
    except SecretKeyError:
        return False
    finally:
        shutil.rmtree(copy)
