"""`resile policies`: what it prints, what it asks the daemon, and how it ends."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from resile.testing.steered import FakePolicies

PATH = ("GET", "/api/policies")
ORDERS = ("POST", "/api/policies/orders")


def policies(*rows: dict[str, Any], processes: int = 1) -> dict[str, Any]:
    plain = [{**row, "connected_at": "x", "at": "x"} for row in rows]
    return {"policies": plain, "processes": processes, "orders": [], "may_decide": True}


def row(guard: str, state: str = "closed", **facts: Any) -> dict[str, Any]:
    return FakePolicies().put(guard, state, **facts)


def obeyed(**facts: Any) -> dict[str, Any]:
    answer = {"guard": "payments", "order": "trip", "order_id": "ord_1", "until": None}
    return {**answer, "done": 2, "failed": [], "silent": 0, **facts}


def test_the_guards_are_a_table(resile, daemon):
    failed = {"last_failure": "OSError: no\nroute", "failures": 15, "success_rate": 0.951}
    at = (datetime.now(UTC) - timedelta(seconds=125)).isoformat()
    daemon.routes[PATH] = (
        200,
        policies(
            row("bank", "open", left_s=12.0, rejected=3, last_failed_at=at, **failed),
            row("db", "half_open", service="", program="job.py", pid=7),
            row("ipc", "open", mode="forced_open", left_s=240.0, reason="INC-12", shared="local"),
            row("queue", "", calls=0, success_rate=None, mode="automatic"),
        ),
    )

    lines = resile("policies").out.splitlines()

    assert lines[0].split("  ")[0] == "GUARD"
    assert lines[1].split()[:7] == ["bank", "dispatcher", "(4312)", "OPEN", "12s", "95.1%", "15"]
    assert "2m5s ago: OSError: no route" in lines[1]
    assert lines[2].split()[:4] == ["db", "job.py", "(7)", "HALF_OPEN"]
    assert lines[3].endswith("forced_open for 4m, local: INC-12")
    assert lines[4].split()[:6] == ["queue", "dispatcher", "(4312)", "-", "-", "0"]


@pytest.mark.parametrize(
    ("processes", "said"), [(0, "no process with a guard is connected"), (2, "no guard has a name")]
)
def test_nothing_to_list_says_what_to_write(resile, daemon, processes, said):
    daemon.routes[PATH] = (200, policies(processes=processes))

    assert said in resile("policies").out
    assert resile("policies", "--json").data["policies"] == []


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--for", "999d", "999d is not above 0 and at most 30d"),
        ("--for", "0s", "0ms is not above 0"),
        ("--why", "x" * 201, "201 characters; write 200 at most"),
    ],
)
def test_what_no_daemon_would_take_is_told_in_the_words_of_the_command(
    resile, daemon, option, value, told
):
    done = resile("policies", "trip", "payments", option, value)

    assert done.code == 2
    assert f"Invalid value for '{option}': {told}" in done.err
    assert daemon.asked == []


def test_an_order_asks_with_time_reason_and_name(resile, daemon):
    daemon.routes[ORDERS] = (200, obeyed())

    done = resile("policies", "trip", "payments", "--for", "5m", "--why", "bank is down")

    assert done.out == "payments: trip for 5m, in 2 of 2 processes\n"
    (_, _, body) = daemon.asked[-1]
    assert body["for_s"] == 300.0
    assert (body["guard"], body["order"], body["why"]) == ("payments", "trip", "bank is down")
    assert body["who"]


@pytest.mark.parametrize("order", ["reset", "automatic"])
def test_what_has_no_end_takes_no_time(resile, daemon, order):
    daemon.routes[ORDERS] = (200, obeyed(order=order, done=0))

    assert resile("policies", order, "payments").out.endswith("no process has it now\n")
    assert resile("policies", order, "payments", "--for", "5m").code == 2


@pytest.mark.parametrize("order", ["force-open", "disable", "metrics-only"])
def test_modes_are_given(resile, daemon, order):
    daemon.routes[ORDERS] = (200, obeyed(order=order))

    assert resile("policies", order, "payments", "--json").data["order"] == order


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"done": 1, "silent": 1}, "1 did not answer"),
        ({"done": 0, "failed": ["billing (7): it has no breaker"]}, "it has no breaker"),
    ],
)
def test_an_order_that_not_all_carried_out_ends_with_1(resile, daemon, facts, said):
    daemon.routes[ORDERS] = (200, obeyed(**facts))

    done = resile("policies", "trip", "payments")

    assert done.code == 1
    assert said in done.err
    as_json = resile("policies", "trip", "payments", "--json")
    assert as_json.code == 1
    assert as_json.data["silent"] == facts.get("silent", 0)


def test_a_wrong_name_shows_the_nearest_and_ends_with_2(resile, daemon):
    error = {"error": "There is no guard 'paiments'.", "hint": "did you mean 'payments'?"}
    daemon.routes[ORDERS] = (404, error)

    done = resile("policies", "trip", "paiments")

    assert done.code == 2
    assert "did you mean 'payments'?" in done.err


def test_without_a_daemon_it_ends_with_6(resile, places):
    assert resile("policies").code == 6
