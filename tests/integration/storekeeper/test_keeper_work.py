"""What the storekeeper tells of its work, and what it does before it can begin any."""

from tests.support.storekeeper_bench import (
    COLLECT,
    REPLICATE,
    SCRUB,
    SNAPSHOT,
    Bench,
)

from resile.daemon.storekeeper import memory as memories
from resile.daemon.storekeeper.model import STORE, Pass


def test_lost_format_of_the_store_comes_back(bench: Bench) -> None:
    bench.do(SNAPSHOT)
    (bench.place / "format").unlink()
    bench.born()

    bench.do(SNAPSHOT)

    assert len(bench.snapshots()) == 2
    (mended,) = bench.told("store.mended")
    assert (mended.file, mended.origin) == ("format", "stored again")


def test_figures_are_sent(bench: Bench) -> None:
    bench.do(SNAPSHOT)
    bench.clock.advance(2)
    bench.through(SCRUB)

    assert bench.figures["snapshots"][""] == 1
    assert bench.figures["source_bytes"]["kb"] == 5000
    assert bench.figures["stored_bytes"][""] > 5000


def test_what_is_done_is_told_as_long_as_it_lasts(bench: Bench) -> None:
    bench.do(SNAPSHOT, REPLICATE, COLLECT)

    told = [[one["kind"] for one in work["jobs"]] for work in bench.work]
    assert [kinds for kinds in told if kinds] == [["snapshot"], ["replicate"], ["collect"]]
    assert bench.work[-1]["jobs"] == []
    bench.clock.advance(2)
    bench.do(SNAPSHOT)
    begun = next(work["jobs"][0] for work in reversed(bench.work) if work["jobs"])
    assert (begun["name"], begun["total_bytes"]) == ("kb", 5000)
    assert bench.work[-1]["next"]["kind"] in ("replicate", "snapshot", "collect")


def test_a_job_that_fails_is_not_told_any_more(bench: Bench) -> None:
    bench.source.rename(bench.source.with_name("elsewhere"))

    bench.do(SNAPSHOT)

    assert [len(work["jobs"]) for work in bench.work][:2] == [1, 0]
    assert bench.work[-1]["jobs"] == []


def test_a_pass_is_told_between_its_pieces_until_it_is_over(bench: Bench) -> None:
    bench.do(SNAPSHOT)
    seen = []
    while not (memories.load(bench.state).passes.get(STORE) or Pass()).is_over:
        bench.clock.advance(2)
        bench.do(SCRUB)
        seen.append(bench.work[-1]["jobs"])

    assert seen[-1] == []
    for jobs in seen[:-1]:
        assert (jobs[0]["kind"], jobs[0]["name"]) == ("scrub", "store")
        assert jobs[0]["total_bytes"] > 5000
