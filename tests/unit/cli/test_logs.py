"""Reading a log that another process writes and rotates."""

import pytest

from resile.cli.cmd_logs import Follower, last_lines


@pytest.fixture
def log(places):
    places.logs.mkdir(parents=True)
    return places.logs / "api.log"


def test_last_lines_reach_into_rotated_files(log):
    log.write_text("e\nf\n")
    log.with_name("api.log.1").write_text("c\nd\n")
    log.with_name("api.log.2").write_text("a\nb\n")

    assert last_lines(log, 5) == ["b", "c", "d", "e", "f"]
    assert last_lines(log, 100) == ["a", "b", "c", "d", "e", "f"]
    assert last_lines(log, 1) == ["f"]
    assert last_lines(log, 0) == []


def test_last_lines_of_a_large_file_are_found_from_its_end(log):
    log.write_text("".join(f"{number:0200}\n" for number in range(2000)))

    assert last_lines(log, 1000)[0] == f"{1000:0200}"
    assert len(last_lines(log, 5000)) == 2000


def test_lines_that_are_no_text_are_shown_as_far_as_they_are(log):
    log.write_bytes(b"\xff\xfe\r\nunfinished")

    assert last_lines(log, 10) == ["\ufffd\ufffd", "unfinished"]


def test_follower_gives_whole_lines_only(log):
    log.write_text("old\n")

    with Follower(log) as follower, log.open("a") as file:
        file.write("one\ntw")
        file.flush()
        assert list(follower.read()) == ["one"]
        file.write("o\n")
        file.flush()
        assert list(follower.read()) == ["two"]
        assert list(follower.read()) == []


def test_follower_reads_a_rotated_file_to_its_end_first(log):
    log.write_text("old\n")
    with Follower(log) as follower:
        with log.open("a") as file:
            file.write("last of the old\n")
        log.rename(log.with_name("api.log.1"))

        log.write_text("first of the new\n")

        assert list(follower.read()) == ["last of the old", "first of the new"]


def test_follower_bears_the_moment_between_two_files(log):
    log.write_text("old\n")
    with Follower(log) as follower:
        log.unlink()

        assert list(follower.read()) == []


def test_command_shows_the_last_lines(resile, log):
    log.write_text("a\nb\nc\n")

    assert resile("logs", "api", "-n", "2").out == "b\nc\n"
    assert resile("logs", "api", "--json").data == {"service": "api", "lines": ["a", "b", "c"]}


@pytest.mark.parametrize("name", ["web", "../api", "/etc/passwd"])
def test_unknown_service_gets_the_known_ones_as_hint(resile, log, name):
    log.touch()

    done = resile("logs", name)

    assert done.code == 2
    assert "there is output of api" in done.err


def test_following_goes_on_until_it_is_interrupted(resile, log, monkeypatch):
    log.write_text("old\n")

    def interrupted(_seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr("resile.cli.cmd_logs.SYSTEM_CLOCK.sleep", interrupted, raising=False)

    done = resile("logs", "api", "--follow", "--json")

    assert done.code == 130
    assert done.out == '"old"\n'
