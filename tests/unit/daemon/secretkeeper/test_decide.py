"""Who is who, and who may do what."""

from dataclasses import replace
from pathlib import Path

import pytest

from resile.core.secret_names import variable_of
from resile.daemon.secretkeeper.decide import client_of, refusal
from resile.daemon.secretkeeper.model import Client, Facts, Plan, SecretPlan

PLACE = "/resile/0123456789ab"
FACTS = Facts(pid=42, uid=1000, start_ticks=7, groups=("/user.slice",), program="psql")
PLAN = Plan(
    state=Path("/state"),
    settings={"ttl": 300.0, "max_stale": 3600.0},
    secrets={"db/password": SecretPlan(name="db/password", services=("web",))},
)


def named(facts: Facts, *, places: tuple[str, ...] = (PLACE,)) -> Client:
    return client_of(facts, uid=1000, unit="0123456789ab", places=places)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"uid": 1001}, "user 1001"),
        ({"uid": 0}, "user 0"),
        ({"pid": 0}, "another pid namespace"),
        ({"is_near": False}, "another pid namespace"),
        ({"groups": ("/resile/ffffffffffff/run_0123", "/")}, "a contained run"),
        ({"groups": (f"{PLACE}/web-1/resile/ffffffffffff/run_0123",)}, "a contained run"),
    ],
)
def test_who_stands_outside_gets_nothing_and_has_no_name_of_others(
    change: dict[str, object], why: str
) -> None:
    client = named(replace(FACTS, **change))  # type: ignore[arg-type]

    assert why in client.denied
    assert why in refusal(client, "read", "db/password", "", PLAN)
    assert client.name != named(FACTS).name


def test_process_of_this_user_outside_of_services_is_an_operator() -> None:
    client = named(FACTS)

    assert (client.name, client.service, client.denied) == ("user/1000/psql", "", "")
    assert refusal(client, "rekey", "", "", PLAN) == ""


@pytest.mark.parametrize(
    "group",
    [f"{PLACE}/web-3", f"{PLACE}/web-3/workers/1", f"{PLACE}/web-3/resile/ffffffffffff/app-1"],
)
def test_process_in_the_group_of_a_service_is_that_service(group: str) -> None:
    client = named(replace(FACTS, groups=("/", group)))

    assert (client.name, client.generation) == ("service/web", 3)
    assert client.place == f"{PLACE}/web-3"


def test_service_may_have_a_dash_in_its_name() -> None:
    client = named(replace(FACTS, groups=(f"{PLACE}/web-api-12",)))

    assert (client.service, client.generation) == ("web-api", 12)


@pytest.mark.parametrize(
    "group", [f"/mine{PLACE}/web-3", f"{PLACE}x/web-3", "/resile/ffffffffffff/web-3", PLACE]
)
def test_group_of_the_same_name_elsewhere_is_no_service(group: str) -> None:
    assert named(replace(FACTS, groups=(group,))).service == ""


def test_mark_names_the_service_where_there_are_no_groups() -> None:
    ours, others = "0123456789ab/web-3", "ffffffffffff/web-3"

    assert named(replace(FACTS, mark=ours), places=()).name == "service/web"
    assert named(replace(FACTS, mark=others), places=()).service == ""


@pytest.mark.parametrize(
    "verb", ["put", "rotate", "rekey", "revoke", "release", "access", "nonsense"]
)
def test_service_manages_nothing(verb: str) -> None:
    web = named(replace(FACTS, groups=(f"{PLACE}/web-3",)))

    assert "may not" in refusal(web, verb, "db/password", "", PLAN)


@pytest.mark.parametrize("verb", ["read", "history", "watch", "ack", "note"])
def test_service_gets_what_it_is_granted_and_no_more(verb: str) -> None:
    web = named(replace(FACTS, groups=(f"{PLACE}/web-3",)))
    job = named(replace(FACTS, groups=(f"{PLACE}/job-1",)))

    assert refusal(web, verb, "db/password", "current", PLAN) == ""
    assert "not granted" in refusal(web, verb, "other", "current", PLAN)
    assert "not granted" in refusal(job, verb, "db/password", "current", PLAN)


def test_service_gets_no_candidate() -> None:
    web = named(replace(FACTS, groups=(f"{PLACE}/web-3",)))

    assert "pending" in refusal(web, "read", "db/password", "pending", PLAN)


def test_nobody_is_given_a_canary_and_operators_may_still_manage_it() -> None:
    bait = {"bait": SecretPlan(name="bait", is_canary=True)}
    plan = replace(PLAN, secrets=bait)

    assert "nobody" in refusal(named(FACTS), "read", "bait", "", plan)
    assert refusal(named(FACTS), "put", "bait", "", plan) == ""


@pytest.mark.parametrize(
    ("name", "variable"),
    [("db/password", "DB_PASSWORD"), ("api-key.v2", "API_KEY_V2"), ("2fa/seed", "_2FA_SEED")],
)
def test_variable_is_made_from_the_name(name: str, variable: str) -> None:
    assert variable_of(name) == variable
