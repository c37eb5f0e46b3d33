"""What the provider makes of a server that others use, too, and of one that fails in the middle."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.vault_kv import FakeKv, Kept, provider_of
from tests.support.vaulting import ADDRESS

from resile.clients.vault import Target, TokenFile
from resile.core.vocabulary import SecretStage
from resile.errors import (
    ConfigError,
    ProviderDownError,
    SecretConflictError,
    SecretDeniedError,
    SecretError,
    SecretRevokedError,
    UnknownSecretError,
)
from resile.secrets import LeasingProvider, WritableProvider
from resile.secrets.providers import open_provider
from resile.secrets.providers.vault import VaultProvider
from resile.secrets.providers.vault_versions import NOTES_MAX
from resile.testing import FakeClock

PENDING = SecretStage.PENDING
ONE, TWO, THREE = b"value one", b"value two", b"value three"


def test_it_is_what_it_says(provider: VaultProvider) -> None:
    assert isinstance(provider, WritableProvider)
    assert isinstance(provider, LeasingProvider)
    assert provider.abilities.is_remote


# Cut anywhere ----------------------------------------------------------------------------------------

Work = Callable[[VaultProvider], object]


def write(provider: VaultProvider) -> str:
    return provider.write("a/b", TWO, expect="1", token="two").number


def write_whatever(provider: VaultProvider) -> str:
    return provider.write("a/b", TWO, token="two").number


def offer(provider: VaultProvider) -> str:
    return provider.write("a/b", TWO, stage=PENDING, expect="1", token="two").number


def offer_and_promote(provider: VaultProvider) -> str:
    provider.write("a/b", TWO, stage=PENDING, expect="1", token="two")
    return provider.promote("a/b", token="two", expect="1").number


def offer_and_discard(provider: VaultProvider) -> None:
    provider.write("a/b", TWO, stage=PENDING, expect="1", token="two")
    provider.discard("a/b", token="two")


def destroy(provider: VaultProvider) -> None:
    provider.destroy("a/b", "1")


WORKS: tuple[Work, ...] = (
    write,
    write_whatever,
    offer,
    offer_and_promote,
    offer_and_discard,
    destroy,
)


@pytest.mark.parametrize("is_answer_lost", [False, True], ids=["not sent", "answer lost"])
@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.__name__)
def test_work_that_is_cut_anywhere_ends_as_if_it_were_not(
    work: Work, is_answer_lost: bool, clock: FakeClock, tmp_path: Path
) -> None:
    whole = run(work, FakeKv(clock), tmp_path, cut_at=-1)
    for cut_at in range(100):
        vault = FakeKv(clock)
        found = run(work, vault, tmp_path, cut_at=cut_at, is_answer_lost=is_answer_lost)
        assert found == whole, cut_at
        if not vault.was_cut:
            break

    assert 1 < cut_at < 99


def run(
    work: Work, vault: FakeKv, folder: Path, *, cut_at: int, is_answer_lost: bool = False
) -> tuple[Any, ...]:
    """Do the work, and again without a cut; tell what came of it, and what is kept then."""
    provider = provider_of(vault, folder)
    provider.write("a/b", ONE, token="one")
    vault.cut_from_now(cut_at, is_answer_lost=is_answer_lost)
    with contextlib.suppress(ProviderDownError):
        work(provider)
    vault.cut_at = -1
    result = work(provider)
    provider.close()
    return result, vault.kept


def test_promotion_that_was_cut_before_its_note_is_not_made_twice(
    provider: VaultProvider, vault: FakeKv
) -> None:
    provider.write("a", ONE, stage=PENDING, token="rotation")
    vault.denied.add("PATCH")
    with pytest.raises(SecretDeniedError):
        provider.promote("a", token="rotation", expect="")
    vault.denied.clear()

    version = provider.promote("a", token="rotation", expect="")

    assert version.number == "1"
    assert vault.kept["a"].current == 1
    assert "a.pending" not in vault.kept


# Other tools -----------------------------------------------------------------------------------------


def test_version_that_another_tool_put_in_between_is_a_conflict(
    provider: VaultProvider, vault: FakeKv
) -> None:
    provider.write("a", ONE, token="one")
    provider.write("a", TWO, stage=PENDING, expect="1", token="rotation")
    vault.kept["a"].current = 2
    vault.kept["a"].versions[2] = {"password": "of another tool"}

    with pytest.raises(SecretConflictError, match="has the current version 2, not 1"):
        provider.promote("a", token="rotation", expect="1")
    with pytest.raises(SecretConflictError):
        provider.write("a", THREE, expect="1", token="three")

    assert provider.read("a").field("password") == "of another tool"


def test_same_value_of_another_tool_is_taken_for_ones_own(
    provider: VaultProvider, vault: FakeKv
) -> None:
    vault.kept["a"] = Kept(current=1, versions={1: {"value": ONE.decode()}})

    version = provider.write("a", ONE, token="one")

    assert (version.number, vault.kept["a"].current) == ("1", 1)
    assert provider.history("a")[0].token == "one"


def test_same_value_with_another_token_is_another_version(provider: VaultProvider) -> None:
    numbers = [provider.write("a", ONE, token=token).number for token in ("one", "two")]

    assert numbers == ["1", "2"]


def test_document_holds_nothing_but_its_fields(provider: VaultProvider, vault: FakeKv) -> None:
    provider.write("a", b'{"username": "u", "password": "p"}', token="one")
    provider.write("b", ONE, stage=PENDING, token="two")
    provider.promote("b", token="two", expect=None)

    assert vault.kept["a"].versions == {1: {"username": "u", "password": "p"}}
    assert vault.kept["b"].versions == {1: {"value": "value one"}}


def test_notes_of_others_stay_and_old_ones_of_ours_go(
    provider: VaultProvider, vault: FakeKv
) -> None:
    for number in range(NOTES_MAX + 15):
        provider.write("a", f"value {number}".encode(), token=f"token {number}")
        vault.kept["a"].notes["owner"] = "team one"

    notes = vault.kept["a"].notes

    assert notes["owner"] == "team one"
    assert len(notes) <= NOTES_MAX + 1
    assert provider.history("a")[0].token == f"token {NOTES_MAX + 14}"


def test_something_else_at_the_path_of_candidates_is_left_alone(
    provider: VaultProvider, vault: FakeKv
) -> None:
    vault.kept["a.pending"] = Kept(current=1, versions={1: {"password": "of another tool"}})

    with pytest.raises(SecretConflictError, match=r"something else .* 'a\.pending'"):
        provider.write("a", ONE, stage=PENDING, token="one")

    assert vault.kept["a.pending"].versions == {1: {"password": "of another tool"}}


def test_candidate_that_another_tool_deleted_makes_room(
    provider: VaultProvider, vault: FakeKv
) -> None:
    provider.write("a", ONE, stage=PENDING, token="one")
    vault.kept["a.pending"].versions[1] = None
    with pytest.raises(UnknownSecretError):
        provider.read("a", version="pending")

    provider.write("a", TWO, stage=PENDING, token="two")

    assert provider.read("a", version="pending").reveal_bytes() == TWO


def test_writers_that_are_quicker_all_the_time_are_told_of(
    provider: VaultProvider, vault: FakeKv
) -> None:
    provider.write("a", ONE, token="one")
    provider.write("a", TWO, stage=PENDING, token="rotation")
    said = {"errors": ["check-and-set parameter did not match"]}
    vault.answers["secret/data/a"] = (400, said)

    with pytest.raises(SecretConflictError, match="all the time"):
        provider.write("a", THREE, token="three")
    with pytest.raises(SecretConflictError, match="all the time"):
        provider.promote("a", token="rotation", expect=None)


def test_whoever_may_not_see_candidates_sees_the_history(
    provider: VaultProvider, vault: FakeKv
) -> None:
    provider.write("a", ONE, token="one")
    provider.write("a", TWO, stage=PENDING, token="two")
    vault.denied.add("data/a.pending")

    assert [one.number for one in provider.history("a")] == ["1"]


def test_whoever_may_only_read_reads_with_one_request(
    provider: VaultProvider, vault: FakeKv
) -> None:
    provider.write("a", ONE, token="one")
    before = len(vault.requests)

    provider.read("a")

    assert len(vault.requests) == before + 1


def test_candidate_that_is_replaced_while_it_is_read_is_not_mistaken(
    provider: VaultProvider, vault: FakeKv
) -> None:
    provider.write("a", ONE, stage=PENDING, token="one")
    number = provider.history("a")[0].number
    provider.write("a", TWO, stage=PENDING, token="one")

    with pytest.raises(UnknownSecretError):
        provider.read("a", version=number)


def test_candidate_can_be_destroyed(provider: VaultProvider, vault: FakeKv) -> None:
    provider.write("a", ONE, stage=PENDING, token="one")

    provider.destroy("a", "pending")

    assert vault.kept == {}


def test_token_of_a_destroyed_version_gives_that_one_again(provider: VaultProvider) -> None:
    provider.write("a", ONE, token="one")
    provider.destroy("a", "current")
    provider.destroy("a", "current")

    assert provider.write("a", ONE, token="one").stage is SecretStage.RETIRED
    with pytest.raises(SecretRevokedError):
        provider.read("a")


def test_version_destroyed_by_another_tool_while_it_is_compared_is_no_match(
    provider: VaultProvider, vault: FakeKv
) -> None:
    vault.kept["a"] = Kept(current=1, versions={1: {"value": ONE.decode()}})
    vault.answers["secret/data/a"] = (404, {"data": {"data": None, "metadata": {"version": 1}}})

    with pytest.raises(SecretConflictError):
        provider.write("a", ONE, expect="", token="one")


# Names -----------------------------------------------------------------------------------------------


def test_names_are_those_of_all_folders_without_what_is_not_ours(
    provider: VaultProvider, vault: FakeKv
) -> None:
    for path in ("a", "b/c/d", "b/e", "b/e.pending", "bad name", "-x/y", "dynamic/x/creds/y"):
        vault.kept[path] = Kept(current=1, versions={1: {}})

    assert provider.names() == ("a", "b/c/d", "b/e")


def test_names_without_end_are_cut(
    provider: VaultProvider, vault: FakeKv, clock: FakeClock
) -> None:
    vault.answers["secret/metadata"] = (
        200,
        {"data": {"keys": [f"n{n:05d}" for n in range(10_050)]}},
    )
    assert len(provider.names()) == 10_000

    def slow(_: object) -> tuple[int, object]:
        clock.advance(9)
        return 200, {"data": {"keys": [f"f{n}/" for n in range(9)]}}

    vault.answers["secret/metadata"] = slow
    for number in range(9):
        vault.answers[f"secret/metadata/f{number}"] = slow
    with pytest.raises(ProviderDownError, match="lists only 4 folders"):
        provider.names()


def test_path_of_a_candidate_is_no_name(provider: VaultProvider) -> None:
    uses: tuple[Callable[[], object], ...] = (
        lambda: provider.read("a.pending"),
        lambda: provider.history("a.pending"),
        lambda: provider.write("a.pending", ONE, token="one"),
    )
    for use in uses:
        with pytest.raises(UnknownSecretError, match=r"a\.pending"):
            use()


# Whether it works ------------------------------------------------------------------------------------


def health(**changes: Any) -> dict[str, Any]:
    at = {"server_time_utc": 1893456005, "version": "2.7.2"}
    return {"initialized": True, "sealed": False, "standby": False, **at, **changes}


def test_check_passes_and_tells_the_time_of_the_server(
    provider: VaultProvider, vault: FakeKv
) -> None:
    vault.answers["sys/health"] = (200, health())
    assert provider.clock_skew_s() is None

    provider.check()

    assert provider.clock_skew_s() == 5.0


@pytest.mark.parametrize(
    ("status", "changes", "words"),
    [
        (503, {"sealed": True}, "is sealed"),
        (501, {"sealed": True, "initialized": False}, "was never initialised"),
    ],
)
def test_check_tells_of_a_server_that_serves_nothing(
    provider: VaultProvider, vault: FakeKv, status: int, changes: dict[str, Any], words: str
) -> None:
    vault.answers["sys/health"] = (status, health(**changes))

    with pytest.raises(ProviderDownError, match=words):
        provider.check()


def test_check_tells_of_a_login_that_is_denied(provider: VaultProvider, vault: FakeKv) -> None:
    vault.answers["sys/health"] = (200, health())
    vault.answers["auth/approle/login"] = (400, {"errors": ["invalid role or secret ID"]})

    with pytest.raises(SecretDeniedError, match="log in by approle"):
        provider.check()


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"ttl": 3600, "expire_time": "x", "renewable": False}, "ends in 1h"),
        ({"ttl": 3600, "expire_time": "x", "renewable": True}, ""),
        ({"ttl": 0, "expire_time": None}, ""),
    ],
)
def test_token_that_nobody_replaces_is_told_of_before_it_ends(
    vault: FakeKv, clock: FakeClock, tmp_path: Path, about: dict[str, Any], words: str
) -> None:
    path = tmp_path / "token"
    path.touch(0o600)
    path.write_text("s.given")
    vault.answers["sys/health"] = (200, health())
    vault.answers["auth/token/lookup-self"] = (200, {"data": about})
    transport = httpx.MockTransport(vault.handle)
    provider = VaultProvider(Target(ADDRESS), TokenFile(path), clock=clock, transport=transport)

    advice = provider.examine()

    assert [words in one.message for one in advice] == ([True] if words else [])


def test_nothing_is_said_of_a_token_that_is_replaced(
    provider: VaultProvider, vault: FakeKv
) -> None:
    vault.answers["sys/health"] = (200, health())

    assert provider.examine() == ()


# Opening ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "table",
    [
        {"token_file": "/t"},
        {"role_id": "r", "secret_id_file": "/s", "mount": "kv", "namespace": "team"},
        {"kubernetes_role": "r", "address": "http://127.0.0.1:1"},
    ],
)
def test_each_way_to_log_in_is_opened(table: dict[str, str]) -> None:
    provider = open_provider({"provider": "vault", "vault": table}, environ={})

    assert provider.kind == "vault"
    provider.close()


@pytest.mark.parametrize(
    "table",
    [
        None,
        {},
        {"role_id": "r"},
        {"secret_id_file": "/s"},
        {"token_file": "/t", "kubernetes_role": "r"},
    ],
)
def test_exactly_one_way_to_log_in_is_needed(table: dict[str, str] | None) -> None:
    with pytest.raises(ConfigError, match="needs one"):
        open_provider({"provider": "vault", "vault": table}, environ={})


def test_server_that_is_away_is_told_as_such(provider: VaultProvider, vault: FakeKv) -> None:
    vault.trouble = httpx.ConnectError("refused")
    uses: tuple[Callable[[], object], ...] = (
        lambda: provider.read("a"),
        lambda: provider.history("a"),
        provider.names,
        lambda: provider.write("a", ONE, token="one"),
        lambda: provider.promote("a", token="one", expect=None),
        lambda: provider.discard("a", token="one"),
        lambda: provider.destroy("a", "1"),
        lambda: provider.read("dynamic/database/creds/app"),
        lambda: provider.renew("database/creds/app/x", for_s=1),
        lambda: provider.revoke("database/creds/app/x"),
        provider.check,
    )
    for use in uses:
        with pytest.raises(SecretError) as caught:
            use()
        assert isinstance(caught.value, ProviderDownError)
