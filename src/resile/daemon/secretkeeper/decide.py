"""Who is who, and who may do what. Pure.

A process of a supervised service is that service, and gets what `[secret.NAME] services` says. Every
other process of this user is an operator's: it could read the key file, so it may do everything, and all
of it is recorded. Contained runs, other users and other pid namespaces get nothing.
"""

from resile.core.vocabulary import AccessOutcome
from resile.daemon.secretkeeper.model import Client, Facts, Plan
from resile.errors import (
    ProviderDownError,
    ResileError,
    SecretDeniedError,
    SecretRevokedError,
    UnknownSecretError,
)

PARENT = "resile"
"""The group that holds those of all daemons and of all runs."""
RUN_PREFIX = "run_"
"""What the group of a contained run begins with."""
OF_SERVICES = frozenset(
    {
        "read",
        "names",
        "history",
        "watch",
        "unwatch",
        "ack",
        "note",
        "hand",
        "handed",
        "renew",
        "let_go",
    }
)
"""What a service may ask for; all else is an operator's."""
OF_ONE = frozenset({"read", "history", "watch", "ack", "note"})
"""What a service may do with a secret that it is granted."""
STAGES_OF_SERVICES = frozenset({"pending"})
"""What no service gets: a candidate may never become current."""


def client_of(facts: Facts, *, uid: int, unit: str, places: tuple[str, ...]) -> Client:
    """Name a process.

    Args:
        facts: What the kernel tells of it.
        uid: Our own user.
        unit: The daemon's, in marks.
        places: Where the daemon's groups are, as the paths of groups say it.
    """
    denied, program = _outside(facts, uid)
    name, place = ("", "") if denied else _group(facts, unit, places)
    service, _, generation = name.rpartition("-")
    return Client(
        name=f"service/{service}" if service else f"user/{facts.uid}/{program}",
        pid=facts.pid,
        uid=facts.uid,
        start_ticks=facts.start_ticks,
        program=program,
        service=service,
        generation=int(generation) if generation.isdigit() else 0,
        place=place,
        denied=denied,
    )


def refusal(client: Client, verb: str, name: str, version: str, plan: Plan) -> str:
    """Tell why a client may not do this; empty if it may.

    Args:
        client: Who asks.
        verb: For what.
        name: About which secret; empty: about none.
        version: Which one is asked for; empty: none.
        plan: What is declared.
    """
    if not client.denied and verb == "read" and plan.secret(name).is_canary:
        return f"nobody is given {name}"
    if client.denied or not client.service:
        return client.denied
    if verb not in OF_SERVICES:
        return f"a service may not {verb} secrets"
    if verb in OF_ONE and client.service not in plan.secret(name).services:
        return f"service {client.service!r} is not granted {name!r}"
    if version in STAGES_OF_SERVICES:
        return f"a service does not get a version that is {version}"
    return ""


def outcome_of(error: ResileError) -> AccessOutcome:
    """Tell what came of a question that failed."""
    if isinstance(error, UnknownSecretError):
        return AccessOutcome.UNKNOWN
    if isinstance(error, SecretRevokedError):
        return AccessOutcome.REVOKED
    if isinstance(error, SecretDeniedError):
        return AccessOutcome.DENIED
    return AccessOutcome.FAILED


def retry_after_s(error: ResileError) -> float:
    """Tell after how long the same question may succeed; 0 if nobody knows."""
    return error.retry_after_s if isinstance(error, ProviderDownError) else 0.0


def _group(facts: Facts, unit: str, places: tuple[str, ...]) -> tuple[str, str]:
    """Give the name and the path of the daemon's group that a process is in; empty if in none."""
    for path in facts.groups:
        for place in places:
            # Whole paths, as anybody may make a group of the same name elsewhere.
            name = path.removeprefix(f"{place}/").partition("/")[0]
            if path.startswith(f"{place}/") and name:
                return name, f"{place}/{name}"
    marked_unit, _, name = facts.mark.partition("/")
    if name and marked_unit == unit:
        return name, facts.mark
    return "", ""


def _is_run(path: str) -> bool:
    parts = path.split("/")
    return PARENT in parts and any(part.startswith(RUN_PREFIX) for part in parts)


def _outside(facts: Facts, uid: int) -> tuple[str, str]:
    """Tell why a process is none of those that are served, empty if it is one; and its program's name.

    What is outside has a name of its own, so that it brings no program of an operator into disrepute.
    """
    program = facts.program or "unknown"
    if facts.uid != uid:
        return f"these secrets are user {uid}'s, and it is user {facts.uid}", program
    if any(_is_run(path) for path in facts.groups):
        return "a contained run gets no secrets", "contained-run"
    if not facts.pid or not facts.is_near:
        return "a process in another pid namespace gets no secrets", "other-namespace"
    return "", program
