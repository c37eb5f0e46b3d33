"""What the storekeeper found is an incident, and is over when it mended it."""

from datetime import timedelta

import pytest
from tests.support.desk import Kept as Keeper

from resile.core.codec import decode, encode
from resile.core.events import (
    DataMended,
    DataMismatched,
    IncidentOpened,
    IncidentRaised,
    IncidentResolved,
    Payload,
    SnapshotFailed,
    SnapshotTaken,
    StoreDamaged,
    StoreLost,
    StoreMended,
    StoreReplicated,
    StoreUnreachable,
    StoreVerified,
    SwitchEnded,
    SwitchSet,
    TroubleEnded,
    TroubleNoticed,
    announce,
)
from resile.core.sentences import sentence
from resile.core.vocabulary import FaultKind, Part, Priority
from resile.incidents import (
    IncidentBook,
    IncidentState,
    incident_view,
    troubles_in,
)
from resile.incidents.model import MONITORING_S
from resile.incidents.store_troubles import PERIODS_MAX, UNREACHABLE_S
from resile.incidents.troubles import OPEN_MAX
from resile.recover.points import RecoveryPoints

PLACE, REPLICA, FOLDER = "/place", "/replica", "/data/kb"


class Kept(Keeper):
    """A desk that knows of a folder."""

    def __init__(self) -> None:
        super().__init__(periods_s={FOLDER: 60.0})


def damaged(file: str = "packs/a") -> StoreDamaged:
    return StoreDamaged(place=PLACE, file=file, what="has another hash than its name")


def mended(file: str = "packs/a") -> StoreMended:
    return StoreMended(place=PLACE, file=file, origin="replica", duration_s=0.1)


def verified(flaws: int = 0) -> StoreVerified:
    return StoreVerified(place=PLACE, is_full=True, files=3, bytes=10, flaws=flaws, duration_s=1.0)


def taken() -> SnapshotTaken:
    return SnapshotTaken(
        source=FOLDER,
        snapshot_id="1" * 64,
        place=PLACE,
        files=1,
        bytes=1,
        new_bytes=1,
        stored_bytes=1,
        duration_s=0.1,
    )


def failed(reason: str = "it is away") -> SnapshotFailed:
    return SnapshotFailed(source=FOLDER, place=PLACE, reason=reason)


def lost() -> StoreLost:
    return StoreLost(place=PLACE, paths=2, first="a/b")


def mismatched() -> DataMismatched:
    return DataMismatched(source=FOLDER, path="policy.db", what="has other content")


def test_damaged_file_is_a_p3_until_it_is_mended() -> None:
    desk = Kept()

    desk.read(damaged())
    (incident,) = desk.book.active()
    assert (incident.severity, incident.target) == (Priority.P3, f"store/{PLACE}")
    assert incident.title.startswith("/place has a damaged file: packs/a has another hash")
    desk.read(mended())

    assert incident_state(desk) is IncidentState.MONITORING
    desk.run(MONITORING_S + 1)
    assert incident_state(desk) is IncidentState.RESOLVED


def incident_state(desk: Kept) -> IncidentState:
    return desk.only().state


def test_damage_that_was_mended_before_anybody_read_is_one_resolved_incident() -> None:
    desk = Kept()

    noticed, ended = desk.read(damaged(), mended())
    desk.run(MONITORING_S + 1)

    assert (noticed.read_seq, ended.read_seq) == (0, 2)
    assert [type(one) for one in desk.of(IncidentOpened, IncidentResolved)] == [
        IncidentOpened,
        IncidentResolved,
    ]


def test_several_files_are_one_incident_which_lasts_until_all_are_mended() -> None:
    desk = Kept()
    desk.read(damaged("packs/a"), damaged("packs/b"))

    desk.read(mended("packs/a"))
    assert incident_state(desk) is IncidentState.OPEN
    desk.read(mended("packs/b"))

    assert incident_state(desk) is IncidentState.MONITORING


def test_what_is_lost_raises_it_until_nothing_is_wrong() -> None:
    desk = Kept()
    desk.read(damaged())

    desk.read(lost(), verified(flaws=2))
    (raised,) = desk.of(IncidentRaised)
    assert raised.severity is Priority.P1
    assert incident_state(desk) is IncidentState.OPEN
    desk.read(verified())

    assert incident_state(desk) is IncidentState.MONITORING


def test_rot_in_live_data_is_a_p1_until_it_is_mended() -> None:
    desk = Kept()
    desk.read(mismatched())
    assert desk.book.active()[0].severity is Priority.P1

    desk.read(DataMended(source=FOLDER, path="policy.db", snapshot_id="1", duration_s=2.0))

    assert incident_state(desk) is IncidentState.MONITORING


def test_failing_snapshots_are_trouble_after_three_periods() -> None:
    desk = Kept()
    assert desk.read(failed()) == ()
    desk.run(PERIODS_MAX * 60 - 1)
    desk.read(failed("another reason"))
    assert desk.look() == ()

    desk.run(1)
    (told,) = desk.look()

    assert isinstance(told, TroubleNoticed)
    assert (told.priority, told.fault) == (Priority.P2, FaultKind.SNAPSHOTS_FAIL)
    assert told.began_at == desk.now - timedelta(seconds=PERIODS_MAX * 60)
    assert told.reason == "another reason"
    assert desk.look() == ()
    assert [type(one) for one in desk.read(taken())] == [TroubleEnded]
    desk.run(1000)
    assert desk.look() == ()


@pytest.mark.parametrize("is_ended", [True, False])
def test_without_snapshots_there_is_no_trouble_while_a_person_switched_them_off(
    is_ended: bool,
) -> None:
    desk = Kept()
    points = RecoveryPoints(periods_s={FOLDER: 60.0}, began_at=desk.now)
    desk.waiting.store.points = points
    desk.read(failed())
    desk.read(SwitchSet(part=Part.SNAPSHOTS, is_on=False, who="ann"))
    desk.run(1000)
    assert desk.look() == ()

    on = (
        SwitchEnded(part=Part.SNAPSHOTS) if is_ended else SwitchSet(part=Part.SNAPSHOTS, is_on=True)
    )
    desk.read(on)
    desk.run(119)
    assert desk.look() == (), "they are given the time to be taken again"

    desk.run(1)
    (told,) = desk.look()
    assert (told.target, told.fault) == (f"folder/{FOLDER}", FaultKind.SNAPSHOTS_FAIL)


def test_switch_of_another_part_excuses_no_missing_snapshot() -> None:
    desk = Kept()
    desk.read(failed(), SwitchSet(part=Part.SCRUB, is_on=False, who="ann"))
    desk.run(PERIODS_MAX * 60)

    assert len(desk.look()) == 1


def test_folder_that_is_declared_no_more_is_no_trouble() -> None:
    desk = Kept()
    desk.waiting.store.periods_s = {}

    desk.read(failed())
    desk.run(10_000)

    assert desk.look() == ()


@pytest.mark.parametrize(
    "end",
    [
        StoreReplicated(place=PLACE, replica=REPLICA, copied=1, copied_bytes=1, lag_s=1.0),
        StoreVerified(place=REPLICA, is_full=True, files=1, bytes=1, flaws=0, duration_s=1.0),
    ],
)
def test_place_out_of_reach_is_trouble_after_an_hour(end: Payload) -> None:
    desk = Kept()
    desk.read(StoreUnreachable(place=REPLICA, reason="no route"))
    desk.run(UNREACHABLE_S - 1)
    assert desk.look() == ()

    desk.run(1)
    (told,) = desk.look()

    assert isinstance(told, TroubleNoticed)
    assert (told.priority, told.target) == (Priority.P3, f"store/{REPLICA}")
    assert [type(one) for one in desk.read(end)] == [TroubleEnded]
    assert desk.look() == ()


def test_same_records_read_again_tell_nothing() -> None:
    desk = Kept()
    records = desk.records(damaged(), lost(), mismatched())
    desk.tell(*troubles_in(records, desk.book, desk.waiting))

    assert troubles_in(records, desk.book, desk.waiting) == ()


def test_trouble_that_comes_back_while_it_is_watched_is_the_same_incident() -> None:
    desk = Kept()
    desk.read(damaged())
    desk.read(mended())

    desk.read(damaged())

    assert incident_state(desk) is IncidentState.OPEN


def test_disk_that_dies_tells_no_endless_story() -> None:
    desk = Kept()

    told = desk.read(*(damaged(f"packs/{n}") for n in range(OPEN_MAX * 2)))

    assert len(told) == OPEN_MAX


def test_ends_of_what_was_never_told_are_nothing() -> None:
    assert Kept().read(mended(), verified(), taken()) == ()


def test_book_keeps_how_far_was_read() -> None:
    desk = Kept()
    desk.read(taken(), damaged(), taken())

    assert desk.book.trouble_seq == 3
    again = IncidentBook.restore(desk.book.spec, desk.book.snapshot())
    assert again.trouble_seq == 3
    assert again == desk.book
    assert desk.book.copy() == desk.book


def test_story_is_told_in_words() -> None:
    desk = Kept()
    told = desk.read(damaged(), mended())
    records = desk.records(*told)

    (incident,) = desk.book.newest_first()
    view = incident_view(incident, records, desk.now)

    texts = [line["text"] for line in view["timeline"]]
    assert texts[0].startswith("/place: store_damaged (P3), packs/a")
    assert texts[1] == "/place is well again: packs/a is mended, from: replica"


@pytest.mark.parametrize("payload", [damaged(), mended(), lost(), mismatched()])
def test_what_is_told_survives_the_journal(payload: Payload) -> None:
    desk = Kept()
    for told in desk.read(payload):
        assert decode(type(told), encode(told)) == told
        assert sentence(announce(told, at=desk.now, actor="brain"))
