"""What is done about a client that looks odd."""

from collections.abc import Set as AbstractSet
from datetime import datetime
from pathlib import Path

import pytest

from resile.core.events import ClientQuarantined, ClientReleased, Payload, SecretAnomaly
from resile.core.vocabulary import AccessOutcome, RotationReason, SecretResponse
from resile.daemon.secretkeeper.consumers import Registry
from resile.daemon.secretkeeper.model import Client
from resile.daemon.secretkeeper.quarantine import FILE_NAME, Quarantine
from resile.daemon.secretkeeper.renewing import WHO
from resile.daemon.secretkeeper.warden import NOTES_MAX, Warden
from resile.errors import ProviderDownError
from resile.secrets.anomaly import Access, Finding, Note, NoteKind, Read, Settings, Signal
from resile.testing.clock import FakeClock

CLIENT = Client(name="service/web", pid=1, uid=0, service="web", program="app.py")


class Told:
    """A watch that finds what it is told to."""

    def __init__(self) -> None:
        self.found: list[Finding] = []
        self.accesses: list[Access] = []
        self.notes: list[Note] = []
        self.maintained: AbstractSet[str] = frozenset()
        self.forgiven: list[str] = []
        self.retired_ones: list[tuple[str, str]] = []

    def seen(self, access: Access) -> list[Finding]:
        self.accesses.append(access)
        return self.found

    def noted(self, note: Note) -> list[Finding]:
        self.notes.append(note)
        return []

    def look(self, now: datetime) -> list[Finding]:
        return self.found

    def blast_radius(self, client: str) -> tuple[str, ...]:
        return ("api/key", "db/password") if client == CLIENT.name else ()

    def maintain(self, clients: AbstractSet[str]) -> None:
        self.maintained = clients

    def forgive(self, client: str) -> None:
        self.forgiven.append(client)

    def retired(self, name: str, version_number: str = "") -> None:
        self.retired_ones.append((name, version_number))

    def reads(self, *, client: str = "", name: str = "", limit: int = 1000) -> list[Read]:
        return []


class Scene:
    def __init__(self, folder: Path) -> None:
        clock = FakeClock()
        self.folder = folder
        self.watch = Told()
        self.told: list[Payload] = []
        self.is_journal_down = False
        self.is_off = False
        self.rotated: list[tuple[str, RotationReason]] = []
        self.quarantine = Quarantine(folder, clock=clock)
        registry = Registry(
            folder,
            clock=clock,
            push=lambda *_: None,
            on_change=lambda _: None,
            on_revoke=lambda *_: None,
        )
        self.warden = Warden(
            self.watch,
            quarantine=self.quarantine,
            registry=registry,
            rotate=lambda name, reason, _: self.rotated.append((name, reason)),
            end_leases=lambda _: frozenset(),
            is_off=lambda: self.is_off,
            tell=self.tell,
            clock=clock,
        )

    def tell(self, *payloads: Payload) -> None:
        if self.is_journal_down:
            raise ProviderDownError("could not be recorded")
        self.told.extend(payloads)

    def find(self, response: SecretResponse) -> None:
        """Let the next access be found odd."""
        self.watch.found = [
            Finding(
                client=CLIENT.name,
                names=("db/password",),
                signals=(Signal.CANARY,),
                score=100.0,
                response=response,
                why="a test",
            )
        ]
        self.warden.saw(CLIENT, "db/password", "3", AccessOutcome.GIVEN)
        self.watch.found = []


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_intruder_is_cut_off_even_if_neither_journal_nor_disk_can_be_written(
    scene: Scene,
) -> None:
    scene.is_journal_down = True
    (scene.folder / FILE_NAME).mkdir()

    scene.find(SecretResponse.QUARANTINE)

    assert scene.quarantine.why(CLIENT.name)
    assert [name for name, _ in scene.rotated] == ["api/key", "db/password"]


@pytest.mark.parametrize("response", [SecretResponse.LOG, SecretResponse.ALERT])
def test_mild_answers_are_only_told(scene: Scene, response: SecretResponse) -> None:
    scene.find(response)

    (odd,) = scene.told
    assert isinstance(odd, SecretAnomaly)
    assert (odd.client, odd.signals, odd.response) == (CLIENT.name, ("canary",), response)
    assert not scene.quarantine.must_ask(CLIENT.name)
    assert scene.rotated == []


def test_step_up_lets_the_client_ask_each_time(scene: Scene) -> None:
    scene.find(SecretResponse.STEP_UP)

    assert scene.quarantine.must_ask(CLIENT.name)
    assert (scene.rotated, scene.quarantine.why(CLIENT.name)) == ([], "")


def test_rotate_renews_all_that_it_read_and_cuts_nobody_off(scene: Scene) -> None:
    scene.find(SecretResponse.ROTATE)

    assert scene.rotated == [
        ("api/key", RotationReason.ANOMALY),
        ("db/password", RotationReason.ANOMALY),
    ]
    assert scene.quarantine.must_ask(CLIENT.name)
    assert scene.quarantine.why(CLIENT.name) == ""


def test_quarantine_cuts_off_and_renews_as_compromised(scene: Scene) -> None:
    scene.find(SecretResponse.QUARANTINE)

    assert scene.quarantine.owed().keys() == {"api/key", "db/password"}
    _, cut = scene.told
    assert isinstance(cut, ClientQuarantined)
    assert (cut.client, cut.who, cut.why) == (CLIENT.name, WHO, "a test")
    assert {reason for _, reason in scene.rotated} == {RotationReason.COMPROMISE}


def test_release_forgives_and_is_told_once(scene: Scene) -> None:
    scene.warden.cut_off(CLIENT.name, why="a test", who="ada")
    scene.told.clear()

    scene.warden.release(CLIENT.name, who="ada")
    scene.warden.release(CLIENT.name, who="ada")

    assert scene.told == [ClientReleased(client=CLIENT.name, who="ada")]
    assert scene.watch.forgiven == [CLIENT.name] * 2


def test_large_count_of_notes_costs_few_looks(scene: Scene) -> None:
    scene.warden.noted(CLIENT, "db/password", NoteKind.AUTH_FAILED, 10**9)

    assert Settings().failures <= len(scene.watch.notes) == NOTES_MAX <= 20


def test_what_is_known_goes_to_the_watch(scene: Scene) -> None:
    scene.warden.maintain(["service/web", "check/db"])
    scene.warden.retired("db/password", "2")
    scene.warden.noted(CLIENT, "db/password", NoteKind.AUTH_FAILED, 2)
    scene.warden.look()

    assert scene.watch.maintained == {"service/web", "check/db"}
    assert scene.watch.retired_ones == [("db/password", "2")]
    assert [one.client for one in scene.watch.notes] == [CLIENT.name] * 2


def test_nothing_is_found_odd_while_that_is_switched_off(scene: Scene) -> None:
    scene.is_off = True
    scene.find(SecretResponse.QUARANTINE)
    assert scene.told == []
    assert not scene.rotated

    scene.is_off = False
    scene.find(SecretResponse.QUARANTINE)
    assert scene.told
