import threading
from collections.abc import Callable
from pathlib import Path

from tests.support.file_transactions import CREATE, DELETE, MODIFY, Place, operation

from resile.errors import ConflictError, TransactionError
from resile.store.transactions import FileTransaction, TransactionStatus

THREADS = 6
ROUNDS = 12


def in_threads(work: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=target) for target in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=50)
    assert not any(thread.is_alive() for thread in threads)


def test_threads_with_paths_of_their_own_do_not_disturb_each_other(tmp_path: Path) -> None:
    place = Place(tmp_path / "place")
    log = place.open(segment_bytes_max=10_000)
    faults: list[Exception] = []

    def work(number: int) -> None:
        try:
            for turn in range(ROUNDS):
                transaction = log.begin()
                path = f"file-{number}"
                kind = CREATE if turn == 0 else MODIFY
                transaction.apply([operation(kind, path, f"{turn}".encode())])
                transaction.apply(
                    [operation(CREATE, f"{path}-new", b"x"), operation(DELETE, f"{path}-new")]
                )
                transaction.commit()
                transaction = log.begin()
                transaction.delete(path)
                transaction.abort()
        except Exception as exc:  # noqa: BLE001
            faults.append(exc)

    in_threads([lambda number=number: work(number) for number in range(THREADS)])
    log.close()

    assert faults == []
    for number in range(THREADS):
        assert (place.tree / f"file-{number}").read_text() == f"{ROUNDS - 1}"
    with place.open() as log:
        done = [item.path for item in log.replay()]
        assert log.recovered.undone == ()
    assert len(done) == THREADS * ROUNDS * 3


def test_two_that_make_the_stage_at_once_share_it(tmp_path: Path) -> None:
    place = Place(tmp_path / "place")

    class OtherIsFaster:
        def before(self, effect: str, name: str) -> None:
            if effect == "make_folder" and name.startswith(".resile-tx-"):
                (place.tree / name).mkdir(mode=0o700)

    with place.open(OtherIsFaster()) as log, log.begin() as transaction:
        transaction.create("new", b"x")

    assert (place.tree / "new").read_bytes() == b"x"


def test_threads_that_want_one_path_get_it_one_after_the_other(tmp_path: Path) -> None:
    place = Place(tmp_path / "place")
    log = place.open()
    wins: list[int] = []
    faults: list[Exception] = []

    def work() -> None:
        won = 0
        try:
            for _ in range(ROUNDS * 4):
                transaction = log.begin()
                try:
                    count = int(transaction.read("a").decode().rpartition(" ")[2].replace("a", "0"))
                    transaction.modify("a", f"count {count + 1}".encode())
                    transaction.commit()
                    won += 1
                except (ConflictError, TransactionError):
                    transaction.abort()
        except Exception as exc:  # noqa: BLE001
            faults.append(exc)
        wins.append(won)

    in_threads([work] * THREADS)
    log.close()

    assert faults == []
    assert sum(wins) > 0
    content = (place.tree / "a").read_text()
    assert 0 < int(content.removeprefix("count ")) <= sum(wins)
    assert place.stages() == []


def test_aborts_from_several_threads_take_their_dependents_along_once(tmp_path: Path) -> None:
    place = Place(tmp_path / "place")
    before = place.contents()
    faults: list[Exception] = []
    with place.open() as log:
        for _ in range(ROUNDS):
            first, second = log.begin(), log.begin()
            first.make_folder("folder")
            second.create("folder/x", b"x")
            second.make_folder("folder/in")
            third = log.begin(depends_on=[first])
            third.create("folder/in/y", b"y")

            def end(transaction: FileTransaction) -> None:
                try:
                    transaction.abort()
                except Exception as exc:  # noqa: BLE001
                    faults.append(exc)

            in_threads([lambda t=t: end(t) for t in (first, second, third)])

            assert faults == []
            for transaction in (first, second, third):
                assert transaction.status is TransactionStatus.ABORTED
    assert place.contents() == before
