"""The example system under the daemon: what is kept is mended by itself, and the page tells of it."""

import pytest
from tests.e2e.example_daemon import Example

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180), pytest.mark.xdist_group("example")]


def test_flipped_bits_are_mended_and_each_run_has_a_checkpoint(example: Example) -> None:
    example.wait("kept twice", lambda: example.kinds().count("store.replicated") >= 2)

    example.dispatch("open('old.md', 'w').write('hello')")  # So that the next one finds a change.
    answer = example.dispatch("open('new.md', 'w').write('hello')")

    assert (answer["is_committed"], answer["no_checkpoint"]) == (True, "")
    shown = example.get("/api/store")["snapshots"]
    (checkpoint,) = [one for one in shown if one["id"] == answer["checkpoint"]]
    assert set(checkpoint["tags"]) == {"before-dispatch", "checkpoint", answer["run_id"]}
    back = example.resile("restore", answer["checkpoint"], "--to", "before")
    assert back.returncode == 0, back.stderr
    knowledge = {path.name for path in (example.data / "knowledge").iterdir()}
    assert {path.name for path in (example.folder / "before").iterdir()} == knowledge - {"new.md"}

    assert example.resile("down").returncode == 0
    pack, pack_before, file, file_before = example.harm()
    example.up()

    example.wait("both mended", lambda: {"store.mended", "data.mended"} <= set(example.kinds()))
    assert pack.read_bytes() == pack_before
    assert file.read_bytes() == file_before
    example.wait("the dispatcher's start", lambda: example.service("dispatcher")["state"] == "UP")
    example.wait("the end of two incidents", lambda: states(example) <= {"monitoring", "resolved"})
    assert {incident["severity"] for incident in example.incidents()} == {"P1", "P3"}
    health = example.get("/api/store")["health"]
    assert (health["found"], health["mended"]) == (2, 2)


def states(example: Example) -> set[str]:
    return {incident["state"] for incident in example.incidents()}
