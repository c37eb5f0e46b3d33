"""The whole watch: what is told when, what excuses, who has read what, and what outlives the process."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from resile.core.vocabulary import AccessOutcome, SecretResponse
from resile.secrets.anomaly import SECRETKEEPER, Finding, Note, NoteKind, Signal
from resile.secrets.anomaly.model import DAY_S, TEXT_LENGTH_MAX

from .conftest import GIVEN, SETTINGS, Scene

QUARANTINE = SecretResponse.QUARANTINE


def only(found: tuple[Finding, ...]) -> Finding:
    (one,) = found
    return one


def note(scene: Scene, kind: NoteKind, client: str = "service/a") -> tuple[Finding, ...]:
    return scene.watch.noted(Note(client=client, name="db/password", kind=kind, at=scene.now))


# What is told --------------------------------------------------------------------------------------


def test_a_canary_is_a_compromise_at_once_from_the_first_access_on(scene: Scene) -> None:
    found = only(scene.see(name="root/key", outcome=AccessOutcome.DENIED))

    assert found.client == "service/a"
    assert found.response is QUARANTINE
    assert found.score == 100
    assert found.names == ("root/key",)


def test_a_canary_is_told_each_time(scene: Scene) -> None:
    for _ in range(3):
        assert only(scene.see(name="root/key")).response is QUARANTINE


def test_a_retired_version_is_a_compromise_while_all_is_learnt_and_in_maintenance(
    scene: Scene,
) -> None:
    scene.watch.maintain({"service/a"})

    assert only(scene.see(outcome=AccessOutcome.REVOKED)).response is QUARANTINE


def test_what_is_learnt_is_no_finding(scene: Scene) -> None:
    assert all(scene.see(name=f"secret-{number}") == () for number in range(9))


def test_after_learning_a_first_reader_is_logged_once(scene: Scene) -> None:
    scene.learn()

    found = only(scene.see(name="other"))

    assert found.signals == (Signal.FIRST_SEEN,)
    assert found.response is SecretResponse.LOG
    assert scene.see(name="other") == ()
    assert "new" in only(scene.see(client="service/b")).why


def test_a_known_client_with_another_user_is_an_alert(scene: Scene) -> None:
    scene.learn()

    found = only(scene.see(uid=1000))

    assert found.signals == (Signal.UNKNOWN_UID,)
    assert found.response is SecretResponse.ALERT
    assert scene.see(uid=1000) == ()


def test_what_is_odd_about_a_new_client_is_only_logged(scene: Scene) -> None:
    scene.learn()
    scene.see(client="service/b")

    found = only(scene.see(client="service/b", uid=1000))

    assert found.score == 60
    assert found.response is SecretResponse.LOG


def test_a_search_for_secrets_is_cut_off(scene: Scene) -> None:
    scene.learn()

    found = [
        one
        for number in range(20)
        for one in scene.see(name=f"guess-{number}", outcome=AccessOutcome.DENIED)
    ]

    assert found[-1].response is QUARANTINE
    assert set(found[-1].signals) == {Signal.DENIALS, Signal.BREADTH}
    assert len(found) == 1


def test_a_signal_that_goes_on_is_told_once_and_again_after_an_hour_without(scene: Scene) -> None:
    scene.learn()

    def burst() -> int:
        return sum(len(scene.see(outcome=AccessOutcome.DENIED)) for _ in range(30))

    assert burst() == 1
    scene.wait(3599)
    assert burst() == 0
    scene.wait(3600)
    assert burst() == 1


def test_what_gets_worse_is_told_again(scene: Scene) -> None:
    scene.learn()
    assert only(scene.see(name="other")).response is SecretResponse.LOG

    for _ in range(5):
        found = note(scene, NoteKind.AUTH_FAILED)

    assert only(found).response is SecretResponse.STEP_UP
    assert only(found).signals == (Signal.AUTH_FAILURES, Signal.FIRST_SEEN)
    assert "; " in only(found).why


def test_a_retired_login_steps_up_and_is_told_from_the_first_day_on(scene: Scene) -> None:
    assert only(note(scene, NoteKind.RETIRED_LOGIN)).response is SecretResponse.STEP_UP


def test_a_client_speaks_only_of_itself(scene: Scene) -> None:
    scene.learn()

    found = [one for _ in range(20) for one in note(scene, NoteKind.AUTH_FAILED, "user/0/liar")]

    assert {one.client for one in found} == {"user/0/liar"}
    assert scene.see() == ()


def test_maintenance_excuses_and_its_evidence_does_not_count_afterwards(scene: Scene) -> None:
    scene.learn()
    scene.watch.maintain({"service/a"})
    in_maintenance = only(scene.see(uid=1000))
    scene.watch.maintain(set())

    afterwards = only(scene.see(name="other"))

    assert in_maintenance.response is afterwards.response is SecretResponse.LOG
    assert afterwards.score == 60


def test_what_goes_on_after_maintenance_counts(scene: Scene) -> None:
    scene.learn()
    scene.watch.maintain({"service/a"})
    for _ in range(30):
        scene.see(outcome=AccessOutcome.DENIED)
    scene.watch.maintain(set())

    assert only(scene.see(outcome=AccessOutcome.DENIED)).response is SecretResponse.ALERT


def test_what_was_forgiven_does_not_count_any_more(scene: Scene) -> None:
    scene.learn()
    scene.see(name="root/key")

    scene.watch.forgive("service/a")
    scene.watch.forgive("service/unknown")

    assert only(scene.see(name="other")).response is SecretResponse.LOG


def test_a_finding_names_some_secrets_and_not_all(scene: Scene) -> None:
    scene.learn()

    found = [one for number in range(100) for one in scene.see(name=f"other-{number}", uid=number)]

    assert {len(one.names) for one in found} <= set(range(1, 21))


# Rates ---------------------------------------------------------------------------------------------


@pytest.fixture
def steady(open_scene: Callable[..., Scene]) -> Scene:
    """A scene with a client that has read twice a minute for five days, of which four were to learn."""
    scene = open_scene(replace(SETTINGS, learn_s=4 * DAY_S))
    assert scene.run(5 * 1440, 2) == []
    return scene


def test_a_flood_rotates_what_was_read_and_cuts_nobody_off(steady: Scene) -> None:
    began = steady.now

    found = steady.run(120, 60)

    assert (found[0][0] - began).total_seconds() < 600
    assert found[-1][1].response is SecretResponse.ROTATE
    assert Signal.FLOOD in found[-1][1].signals
    assert found[-1][1].names == ("db/password",)
    assert len(found) <= 2, "it was told again and again"


def test_a_flood_in_maintenance_is_logged(steady: Scene) -> None:
    steady.watch.maintain({"service/a"})

    assert {one.response for _, one in steady.run(60, 60)} == {SecretResponse.LOG}


def test_what_was_learnt_outlives_the_process(steady: Scene) -> None:
    steady.restart()

    assert steady.run(120, 60)[-1][1].response is SecretResponse.ROTATE
    assert steady.see() == ()


def test_who_has_to_ask_for_each_use_is_no_flood_for_it(steady: Scene) -> None:
    before = steady.watch._clients["service/a"].series.profile.pack()

    for _ in range(120):
        assert steady.see(is_cached=False, count=60) == ()
        steady.wait(60)
    steady.wait(7200)
    steady.look()

    assert steady.watch._clients["service/a"].series.profile.pack() == before
    assert steady.run(60, 2) == []
    assert steady.run(30, 60)


def test_a_flood_of_a_client_that_is_new_is_logged(scene: Scene) -> None:
    scene.run(4 * 1440, 2)

    assert {one.response for _, one in scene.run(60, 60)} == {SecretResponse.LOG}


# Who has read what ---------------------------------------------------------------------------------


def test_the_blast_radius_is_what_opens_something_still(scene: Scene) -> None:
    for name, number in (("a", "1"), ("a", "2"), ("b", "1"), ("c", "1")):
        scene.see(name=name, version_number=number)
    scene.see(name="denied", outcome=AccessOutcome.DENIED)
    scene.see(name="d", client="service/b")

    scene.watch.retired("a", "1")
    scene.watch.retired("b", "1")
    scene.watch.retired("c")

    assert scene.watch.blast_radius("service/a") == ("a",)
    assert scene.watch.blast_radius("service/nobody") == ()


def test_who_read_what_and_when_can_be_asked(scene: Scene) -> None:
    first = scene.now
    scene.see(count=3)
    scene.wait(60)
    scene.see()
    scene.see(client="service/b", name="other")

    (read,) = scene.watch.reads(client="service/a")

    assert (read.name, read.version_number, read.count, read.is_open) == (
        "db/password", "3", 4, True,
    )  # fmt: skip
    assert (read.first_at, read.last_at) == (first, scene.now)
    assert [one.client for one in scene.watch.reads(name="other")] == ["service/b"]
    assert len(scene.watch.reads(limit=1)) == 1


def test_clients_are_bounded_and_the_least_recent_one_is_forgotten(
    open_scene: Callable[..., Scene],
) -> None:
    scene = open_scene(replace(SETTINGS, clients_max=3))
    for client in ("a", "b", "c", "a", "d"):
        scene.wait(1)
        scene.see(client=client)
    scene.restart()

    assert [row.name for row in scene.memory.clients()] == ["c", "a", "d"]
    assert scene.watch.blast_radius("b") == ()
    assert len(scene.watch._clients) == 3


def test_texts_that_cannot_be_kept_are_made_so(scene: Scene) -> None:
    scene.see(program="/opt/\udcff\ud800", client="user/0/ü", name="x" * 1000, home="h" * 1000)
    scene.restart()

    (read,) = scene.watch.reads()

    assert read.client == "user/0/ü"
    assert len(read.name) == TEXT_LENGTH_MAX
    assert GIVEN.cleaned() is GIVEN


# Damage --------------------------------------------------------------------------------------------


def test_a_damaged_memory_is_an_alert_and_learning_begins_anew(scene: Scene) -> None:
    scene.learn()
    scene.watch.close()
    scene.path.write_bytes(b"rubbish" * 1000)
    scene.open()

    found = only(scene.see(name="other"))

    assert found.client == SECRETKEEPER
    assert found.signals == (Signal.MEMORY_LOST,)
    assert found.response is SecretResponse.ALERT
    assert "access.db.damaged" in found.why
    assert scene.see(name="one-more") == ()
    assert scene.path.with_name("access.db.damaged").read_bytes()[:7] == b"rubbish"


def test_a_damaged_memory_is_told_by_a_look_too(scene: Scene) -> None:
    scene.watch.close()
    scene.path.write_bytes(b"rubbish" * 1000)
    scene.open()

    assert only(scene.look()).signals == (Signal.MEMORY_LOST,)
    assert scene.look() == ()
