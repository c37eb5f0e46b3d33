"""Whoever of this user connects to the daemon may say anything; the daemon bears it."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.laning import Daemon, Stranger, reading, running, wait_until

from resile.clients import wire
from resile.core.unix import Peer
from resile.daemon.lanes import line, server


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with running(tmp_path) as daemon:
        yield daemon


def refusal(daemon: Daemon, *messages: Any, hello: bool = True) -> str:
    stranger = Stranger(daemon.path)
    if hello:
        stranger.hello()
    stranger.say(*messages)
    answer = stranger.hear()
    assert answer is not None
    assert stranger.hear() is None
    stranger.close()
    return str(answer["refused"])


def test_only_this_user_may_open_the_socket(daemon: Daemon) -> None:
    assert stat.S_IMODE(daemon.path.stat().st_mode) == 0o600


def test_another_user_is_refused_though_the_socket_was_opened_to_all(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "peer_of", lambda _sock: Peer(1, os.geteuid() + 1, 1))

    assert "another user" in refusal(daemon, hello=False)


@pytest.mark.parametrize(
    ("hello", "why"),
    [
        (b"GET / HTTP/1.1\n", "no JSON"),
        (b"[]\n", "no JSON object"),
        ({"v": 2, "program": "later"}, "version 1"),
        ({"program": "none"}, "version 1"),
        ({"v": "1"}, "version 1"),
    ],
)
def test_who_speaks_something_else_is_told_so(daemon: Daemon, hello: Any, why: str) -> None:
    assert why in refusal(daemon, hello, hello=False)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"{no json}\n", "no JSON"),
        (b'{"publish": "policies", "value": [NaN]}\n', "no number"),
        ({"publish": "policies", "value": "text"}, "no list"),
        ({"publish": "policies", "value": [{}]}, "no name"),
        ({"publish": "policies", "value": [reading("")]}, "no name"),
        ({"publish": "policies", "value": [reading("a", state=["open"])]}, "in no state"),
        ({"publish": "policies", "value": [reading("a", mode="odd")]}, "in no state"),
        ({"publish": "policies", "value": [reading(f"g{i}") for i in range(501)]}, "at most 500"),
        ({"publish": "Bad Topic", "value": 1}, "a topic has no name"),
        ({"publish": ["policies"], "value": 1}, "a topic has no name"),
        ({"publish": "notes", "value": "x" * (65 << 10)}, "more than 65536 bytes"),
    ],
)
def test_what_makes_no_sense_ends_the_connection(daemon: Daemon, said: Any, why: str) -> None:
    assert why in refusal(daemon, said)
    assert daemon.rows() == []


def test_a_line_that_is_too_long_ends_the_connection(daemon: Daemon) -> None:
    stranger = Stranger(daemon.path).hello()
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        stranger.say(*[b"x" * (1 << 20)] * 100)
    stranger.close()

    assert daemon.rows() == []


def test_a_topic_too_many_ends_the_connection(daemon: Daemon) -> None:
    topics = [{"publish": f"topic_{chr(97 + i)}", "value": i} for i in range(17)]

    assert "16 topics" in refusal(daemon, *topics)


def test_what_is_not_known_is_not_heard(daemon: Daemon) -> None:
    stranger = Stranger(daemon.path).hello()
    stranger.say({"later": 1}, {"send": "later", "values": [1]}, {"done": "ord_none"}, {})
    stranger.say({"send": "signals", "values": 7}, {"send": "signals", "values": [7, {"kind": 3}]})
    stranger.say({"publish": "policies", "value": [reading("payments", later=1)]})

    (row,) = wait_until("it is heard", daemon.rows)
    assert row["guard"] == "payments"
    assert "later" not in row
    assert daemon.events("policy.*") == []
    stranger.close()


def test_numbers_and_texts_out_of_bounds_are_cut(daemon: Daemon) -> None:
    stranger = Stranger(daemon.path).hello(program="p" * 1000)
    wild = reading(
        "g" * 1000,
        calls=10**400,
        failures=-5,
        success_rate=7,
        left_s=1e300,
        last_failed_at_s=1e300,
        last_failure="\ud800" * 2,
        reason=["no", "text"],
    )
    stranger.say({"publish": "policies", "value": [wild]})

    (row,) = wait_until("it is heard", daemon.rows)
    assert (len(row["guard"]), len(row["program"])) == (300, 100)
    assert (row["calls"], row["failures"], row["success_rate"]) == (10**15, 0, 1.0)
    assert row["last_failure"] == "??"
    assert row["reason"] == ""
    assert row["last_failed_at"].year == 3000
    stranger.close()


def test_thousands_of_names_fill_neither_table_nor_metrics(daemon: Daemon) -> None:
    strangers = [Stranger(daemon.path).hello() for _ in range(12)]
    for i, stranger in enumerate(strangers):
        names = [reading(f"g{i}-{j}") for j in range(500)]
        stranger.say({"publish": "policies", "value": names})
    wait_until("they are heard", lambda: len(daemon.rows()) == 5000)
    daemon.call(daemon.desk.measure)

    assert len(daemon.call(daemon.desk.names)) <= 1000
    text = daemon.registry.text()
    assert text.count("resile_policies_calls_total{") == 1000
    assert 'resile_policies_calls_total{guard="other"}' in text
    for stranger in strangers:
        stranger.close()
    wait_until("they are forgotten", lambda: daemon.rows() == [])
    daemon.call(daemon.desk.measure)
    assert 'resile_policies_open_count{guard="g' not in daemon.registry.text()


def test_who_says_nothing_is_left(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "HELLO_S", 0.05)
    monkeypatch.setattr(wire, "SILENCE_S_MAX", 0.05)
    mute, quiet = Stranger(daemon.path), Stranger(daemon.path).hello()

    assert mute.hear() is None
    assert quiet.hear() is None
    mute.close()
    quiet.close()


def test_who_reads_nothing_is_left(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "LAST_WORD_S", 0.01)
    stranger = Stranger(daemon.path).hello()
    stranger.say({"publish": "notes", "value": 1})
    (said,) = wait_until("it is heard", lambda: daemon.call(lambda: daemon.desk.topic("notes")))
    monkeypatch.setattr("resile.daemon.lanes.desk.ANSWER_S", 0.001)

    def is_left() -> bool:
        return bool(
            daemon.wait(daemon.desk.tell(said["key"], "notes", "x" * (1 << 19)))
            == "the process is gone"
        )

    wait_until("it is left", is_left)
    assert daemon.call(lambda: daemon.desk.topic("notes")) == []
    stranger.close()


def test_who_is_one_too_many_is_sent_away(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PROCESSES_MAX", 1)
    first = Stranger(daemon.path).hello()
    second = Stranger(daemon.path)

    assert second.hear() is None
    first.say({"publish": "policies", "value": [reading("payments")]})
    wait_until("the first one is heard", daemon.rows)
    first.close()
    second.close()


def test_a_flood_of_changes_is_journalled_in_part_and_counted(daemon: Daemon) -> None:
    change = {
        "guard": "flappy",
        "kind": "opened",
        "at_s": 1.9e9,
        "detail": {"why": "x", "left_s": 3},
    }
    stranger = Stranger(daemon.path).hello()
    for _ in range(20):
        stranger.say({"send": "signals", "values": [change] * 100})
    stranger.say({"publish": "policies", "value": [reading("flappy", state="open", left_s=3.0)]})
    wait_until("all is heard", daemon.rows)

    (*_, last) = events = daemon.events("policy.opened")
    assert 10 <= len(events) <= 20
    assert last.body["reason"] == "x"
    daemon.call(daemon.desk.measure)
    text = daemon.registry.text()
    assert f"resile_policies_unsaid_count {2000 - len(events)}" in text
    assert 'resile_policies_open_count{guard="flappy"} 1' in text
    stranger.close()
