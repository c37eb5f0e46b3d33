"""What the brain shows of a real store, and what it has done to it by processes of its own."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from resile.core.clock import SYSTEM_CLOCK
from resile.core.events import Payload, SnapshotRestored, StoreDamaged, announce
from resile.core.journal import SqliteJournal, open_journal
from resile.daemon import stored
from resile.daemon.stored import StoreDesk, StorePlace, run_work
from resile.errors import ConfigError, OperationError, RejectedError
from resile.store import begin_log, create, open_backend, open_log, open_store, take_snapshot
from resile.web import RestorePoint, store_models

Work = Callable[[StoreDesk], Coroutine[Any, Any, Any]]


@dataclass
class Scene:
    """A folder with a store, and the desk that shows it."""

    folder: Path
    place: Path
    cache: Path
    journal: SqliteJournal
    replica: str = ""
    told: list[tuple[Payload, str]] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.place.with_name("state")

    def commit(self, path: str, text: str) -> datetime:
        """Change the folder through its log; give a time right after it."""
        with open_log(self.state, self.folder) as log, log.begin() as transaction:
            transaction.modify(path, text.encode())
        return datetime.now(UTC)

    def at(self, moment: datetime) -> RestorePoint:
        return RestorePoint(source=str(self.folder), at=moment)

    def take(self) -> str:
        backend = open_backend(self.place)
        open_or_create = open_store if (self.place / "format").exists() else create
        store = open_or_create(backend, cache=self.cache)
        try:
            return take_snapshot(store, self.folder).snapshot.snapshot_id
        finally:
            store.close()

    def ask(self, work: Work) -> Any:
        async def run() -> Any:
            desk = StoreDesk(
                StorePlace(place=str(self.place), replica=self.replica, state=str(self.state)),
                journal=self.journal,
                tell=lambda *payloads, actor: self.told.extend((p, actor) for p in payloads),
                clock=SYSTEM_CLOCK,
            )
            try:
                return await work(desk)
            finally:
                desk.close()

        return asyncio.run(run())

    def overview(self) -> dict[str, Any]:
        answer = self.ask(lambda desk: desk.overview())
        shown = store_models.Store.model_validate({**answer, "may_decide": True})
        assert not shown.model_extra
        return dict(answer)


def snapshot(snapshot_id: str) -> RestorePoint:
    return RestorePoint(snapshot_id=snapshot_id)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "kb"
    folder.mkdir()
    (folder / "rules").write_text("deny all\n")
    journal = open_journal(tmp_path / "state" / "journal")
    yield Scene(folder, tmp_path / "store", tmp_path / "cache" / "resile" / "stores", journal)
    journal.close()


def test_a_store_that_is_missing_is_told_with_what_to_type(scene: Scene) -> None:
    answer = scene.overview()

    assert answer["trouble"]["kind"] == "missing"
    assert "resile snapshot" in answer["trouble"]["hint"]
    assert answer["read_at"] is None
    assert answer["snapshots"] == ()


def test_snapshots_are_told_newest_first_with_the_totals(scene: Scene) -> None:
    first = scene.take()
    (scene.folder / "more").write_bytes(os.urandom(5000))
    second = scene.take()

    answer = scene.overview()

    assert [one["id"] for one in answer["snapshots"]] == [second, first]
    assert answer["totals"]["snapshot_bytes"] == 5018
    stored_bytes = sum(
        path.stat().st_size
        for folder in ("packs", "snapshots")
        for path in (scene.place / folder).rglob("*")
        if path.is_file()
    )
    assert answer["totals"]["store_bytes"] == stored_bytes
    assert answer["trouble"] is None


def test_a_damaged_store_is_told_and_what_was_known_stays(scene: Scene) -> None:
    taken = scene.take()

    async def work(desk: StoreDesk) -> list[Any]:
        before = await desk.overview()
        data = bytearray((scene.place / "format").read_bytes())
        data[20] ^= 1
        (scene.place / "format").write_bytes(data)
        scene.journal.append(
            announce(
                StoreDamaged(place="s", file="format", what="x"),
                at=SYSTEM_CLOCK.now(),
                actor="test",
            )
        )
        return [before, await desk.overview()]

    before, after = scene.ask(work)

    assert before["trouble"] is None
    assert after["trouble"]["kind"] == "damaged"
    assert [one["id"] for one in after["snapshots"]] == [taken]
    assert after["health"]["found"] == 1


def test_a_replica_is_as_old_as_what_it_lacks(scene: Scene) -> None:
    scene.replica = "/nowhere"
    scene.take()

    replica = scene.overview()["replica"]

    assert replica["replicated_at"] is None
    assert replica["lag_s"] > 0


def test_an_answer_does_not_wait_for_a_slow_store(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = scene.take()
    may_go_on = threading.Event()
    read = stored.read_listing

    def slow(*args: Any, **options: Any) -> Any:
        may_go_on.wait(20)
        return read(*args, **options)

    monkeypatch.setattr(stored, "read_listing", slow)
    monkeypatch.setattr(stored, "PATIENCE_S", 0.01)

    async def work(desk: StoreDesk) -> list[Any]:
        early = await desk.overview()
        may_go_on.set()
        monkeypatch.setattr(stored, "PATIENCE_S", 20)
        return [early, await desk.overview()]

    early, late = scene.ask(work)

    assert early["trouble"]["kind"] == "slow"
    assert [one["id"] for one in late["snapshots"]] == [taken]


def test_the_way_back_is_told_and_gone_with_a_way_forth(scene: Scene) -> None:
    taken = scene.take()
    (scene.folder / "rules").write_text("allow all\n")
    (scene.folder / "new").touch()

    async def work(desk: StoreDesk) -> list[Any]:
        diff = await desk.diff(snapshot(taken), against="live")
        text = await desk.text_diff(snapshot(taken), against="live", path="rules")
        done = await desk.restore(snapshot(taken), paths=["rules"], who="ann")
        return [diff, text, done, await desk.overview()]

    diff, text, done, overview = scene.ask(work)

    assert diff["counts"] == {"deleted": 1, "modified": 1}
    assert [(one["path"], one["kind"]) for one in diff["changes"]] == [
        ("new", "deleted"),
        ("rules", "modified"),
    ]
    assert "-allow all\n+deny all\n" in text["diff"]
    assert not store_models.Restored.model_validate(done).model_extra
    assert (scene.folder / "rules").read_text() == "deny all\n"
    assert (scene.folder / "new").exists()
    safety, first = overview["snapshots"]
    assert (safety["id"], safety["is_safety"], first["id"]) == (done["before"], True, taken)
    ((payload, actor),) = scene.told
    assert isinstance(payload, SnapshotRestored)
    assert (payload.snapshot_id, payload.before_id, actor) == (taken, safety["id"], "operator:ann")


def test_everything_is_restored_and_what_came_since_is_gone(scene: Scene) -> None:
    taken = scene.take()
    (scene.folder / "new").touch()

    scene.ask(lambda desk: desk.restore(snapshot(taken), paths=[], who="ann"))

    assert [path.name for path in scene.folder.iterdir()] == ["rules"]


def test_a_folder_that_is_gone_comes_back(scene: Scene) -> None:
    taken = scene.take()
    scene.folder.rename(scene.folder.with_name("elsewhere"))

    async def work(desk: StoreDesk) -> list[Any]:
        diff = await desk.diff(snapshot(taken), against="live")
        return [diff, await desk.restore(snapshot(taken), paths=[], who="ann")]

    diff, done = scene.ask(work)

    assert diff["counts"] == {"created": 1}
    assert done["before"] is None
    assert (scene.folder / "rules").exists()


def test_no_moment_is_before_the_first_snapshot(scene: Scene) -> None:
    scene.take()
    early = scene.at(datetime.now(UTC) - timedelta(days=1))

    with pytest.raises(ConfigError, match="is so old"):
        scene.ask(lambda desk: desk.diff(early, against="live"))
    with pytest.raises(ConfigError, match="is so old"):
        scene.ask(lambda desk: desk.restore(early, paths=[], who="ann"))
    assert scene.told == []


def test_a_folder_without_snapshots_has_no_moments(scene: Scene) -> None:
    scene.take()
    other = RestorePoint(source="/srv/other", at=datetime.now(UTC))

    with pytest.raises(RejectedError, match="another machine, unknown"):
        scene.ask(lambda desk: desk.restore(other, paths=[], who="ann"))


def test_a_folder_goes_back_to_a_moment_and_on_from_there(scene: Scene) -> None:
    begin_log(scene.state, scene.folder)
    base = scene.take()
    good_at = scene.commit("rules", "deny most\n")
    scene.commit("rules", "allow all\n")

    async def work(desk: StoreDesk) -> list[Any]:
        point = scene.at(good_at)
        diff = await desk.diff(point, against="live")
        text = await desk.text_diff(point, against="live", path="rules")
        return [diff, text, await desk.restore(point, paths=[], who="ann")]

    diff, text, done = scene.ask(work)

    assert not store_models.StoreDiff.model_validate(diff).model_extra
    assert (diff["id"], diff["counts"]) == (base, {"modified": 1})
    assert (diff["moment"]["replayed"], diff["moment"]["problem"]) == (1, "")
    assert "-allow all\n+deny most\n" in text["diff"]
    assert (scene.folder / "rules").read_text() == "deny most\n"
    assert done["not_noted"] == ""
    later = scene.ask(lambda desk: desk.diff(scene.at(datetime.now(UTC)), against="live"))
    assert (later["counts"], later["moment"]["replayed"], later["moment"]["problem"]) == ({}, 3, "")


def test_a_restore_that_no_log_could_note_says_so(scene: Scene) -> None:
    begin_log(scene.state, scene.folder)
    taken = scene.take()
    (place,) = (scene.state / "changes").iterdir()
    (place / "log").write_text("no folder")

    done = scene.ask(lambda desk: desk.restore(snapshot(taken), paths=[], who="ann"))

    assert done["not_noted"]


def test_what_the_storekeeper_does_is_told(scene: Scene) -> None:
    scene.take()
    now = datetime.now(UTC).isoformat()
    job = {"kind": "scrub", "name": "store", "since": now, "files": 1, "bytes": 2}

    async def work(desk: StoreDesk) -> list[Any]:
        desk.hear_keeper({"jobs": [job], "next": {"kind": "collect", "name": "", "at": now}})
        told = [await desk.overview()]
        desk.hear_keeper(None)
        return [*told, await desk.overview()]

    working, gone = scene.ask(work)

    assert store_models.Store.model_validate({**working, "may_decide": True}).keeper is not None
    assert (working["keeper"]["jobs"], gone["keeper"]) == ([job], None)


def test_two_snapshots_are_compared(scene: Scene) -> None:
    first = scene.take()
    (scene.folder / b"\xff".decode("utf-8", "surrogateescape")).touch()
    second = scene.take()

    diff = scene.ask(lambda desk: desk.diff(snapshot(second), against=first))

    assert [(one["path"], one["kind"]) for one in diff["changes"]] == [("\udcff", "created")]


def test_a_diff_is_cut_and_all_is_counted(scene: Scene) -> None:
    taken = scene.take()
    for index in range(1005):
        (scene.folder / f"{index:04}").touch()

    diff = scene.ask(lambda desk: desk.diff(snapshot(taken), against="live"))

    assert len(diff["changes"]) == 1000
    assert diff["counts"] == {"deleted": 1005}
    assert diff["is_cut"] is True


def test_a_snapshot_is_protected(scene: Scene) -> None:
    taken = scene.take()

    async def work(desk: StoreDesk) -> list[Any]:
        seen = []
        for is_on in (True, False):
            await desk.protect(taken, is_on=is_on)
            seen.append((await desk.overview())["snapshots"][0]["is_protected"])
        return seen

    assert scene.ask(work) == [True, False]


def test_a_path_that_is_in_neither_is_an_error_of_the_caller(scene: Scene) -> None:
    taken = scene.take()

    with pytest.raises(ConfigError, match="in neither"):
        scene.ask(lambda desk: desk.text_diff(snapshot(taken), against="live", path="nothing"))
    with pytest.raises(ConfigError, match="not in the snapshot"):
        scene.ask(lambda desk: desk.restore(snapshot(taken), paths=["nothing"], who="ann"))
    assert scene.told == []


def test_a_snapshot_of_another_machine_is_not_put_here(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resile.store.snapshot._host", lambda: "elsewhere")
    taken = scene.take()

    with pytest.raises(RejectedError, match="another machine, elsewhere"):
        scene.ask(lambda desk: desk.restore(snapshot(taken), paths=[], who="ann"))


def test_one_restore_at_a_time(scene: Scene) -> None:
    taken = scene.take()

    async def work(desk: StoreDesk) -> list[Any]:
        wishes = [desk.restore(snapshot(taken), paths=[], who="ann") for _ in range(2)]
        return await asyncio.gather(*wishes, return_exceptions=True)

    done = scene.ask(work)

    assert [type(one) for one in done] == [dict, RejectedError]


def test_so_many_may_compare_at_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "ASKING_MAX", 1)
    taken = scene.take()

    async def work(desk: StoreDesk) -> list[Any]:
        questions = [desk.diff(snapshot(taken), against="live") for _ in range(2)]
        return await asyncio.gather(*questions, return_exceptions=True)

    done = scene.ask(work)

    assert [type(one) for one in done] == [dict, RejectedError]


def test_an_unknown_snapshot_is_none_and_unknown_in_a_store_that_cannot_be_read(
    scene: Scene,
) -> None:
    with pytest.raises(OperationError, match="there is no store"):
        scene.ask(lambda desk: desk.snapshot("f" * 64))
    scene.take()

    assert scene.ask(lambda desk: desk.snapshot("f" * 64)) is None


def test_a_snapshot_that_a_command_took_this_moment_is_known(scene: Scene) -> None:
    scene.take()

    async def work(desk: StoreDesk) -> Any:
        await desk.overview()
        return await desk.snapshot(await asyncio.to_thread(scene.take))

    assert scene.ask(work)["source"] == str(scene.folder)


def test_a_process_that_takes_too_long_or_dies_is_told(scene: Scene) -> None:
    taken = scene.take()
    work = {"place": str(scene.place), "key_file": "", "verb": "diff", "id": taken}

    with pytest.raises(OperationError, match="longer than"):
        run_work({**work, "against": "live"}, timeout_s=0.001)
    with pytest.raises(OperationError, match="KeyError"):
        run_work(work, timeout_s=20)
