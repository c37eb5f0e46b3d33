"""The brain's side of the secretkeeper: what it takes from it, and what the pages get."""

import asyncio
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from resile.core.config import load_config
from resile.core.events import (
    OperatorRequested,
    Payload,
    RotationEnded,
    SecretAccessed,
    SecretAnomaly,
    announce,
)
from resile.core.metrics import Registry
from resile.core.vocabulary import AccessOutcome, RotationOutcome, RotationReason, SecretResponse
from resile.daemon import secret_keeping
from resile.daemon.secret_keeping import SecretKeeping, error_of, payloads_of
from resile.daemon.secret_measures import SecretMeasures
from resile.daemon.secrets_desk import ANOMALIES_MAX, SecretsDesk
from resile.daemon.wiring import system_spec
from resile.errors import (
    JournalError,
    OperationError,
    ProviderDownError,
    RateLimitedError,
    RejectedError,
    SecretConflictError,
)
from resile.recover import World
from resile.testing.journal import MemoryJournal

DECLARED = '[service.web]\ncommand = ["true"]\n[secret.db]\nservices = ["web"]\n'
ACCESS = SecretAccessed(
    name="db", number="1", client="service/web", pid=1, uid=0, outcome=AccessOutcome.GIVEN, count=3
)
ACCESS_BODY: dict[str, Any] = {
    "name": "db",
    "number": "1",
    "client": "service/web",
    "pid": 1,
    "uid": 0,
    "outcome": "given",
    "count": 3,
}
ANOMALY = SecretAnomaly(
    anomaly_id="ano_1",
    client="service/web",
    names=("db",),
    signals=("rate",),
    score=55.0,
    response=SecretResponse.ALERT,
    why="a test",
)


class Loop:
    """Keeps what it is told, or fails."""

    def __init__(self) -> None:
        self.told: list[tuple[Payload, str]] = []
        self.is_behind = False

    def tell(self, *payloads: Payload, actor: str = "brain") -> None:
        self.told += [(one, actor) for one in payloads]

    async def record_all(self, payloads: list[Payload], *, actor: str = "brain") -> None:
        if self.is_behind:
            raise JournalError("the inbox is full")
        self.tell(*payloads, actor=actor)


class Writer:
    """Takes lines."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.lines.append(data)


def keeping_of(folder: Path, toml: str) -> tuple[SecretKeeping, Loop]:
    path = folder / "resile.toml"
    path.write_text(toml)
    config = load_config(path, environ={})
    loop = Loop()
    keeping = SecretKeeping(config, folder, loop=loop, world=World(system_spec(config)))  # type: ignore[arg-type]
    return keeping, loop


def test_keeper_that_is_silent_for_too_long_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secret_keeping, "SILENCE_S_MAX", 0.05)
    keeping, _ = keeping_of(tmp_path, DECLARED)

    async def scenario() -> None:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        theirs.sendall(b'{"status": {"secrets": []}}\n')
        await asyncio.wait_for(keeping._talk(reader, writer), 20)
        writer.close()
        theirs.close()

    asyncio.run(scenario())

    assert keeping.status == {"secrets": []}


def hear(keeping: SecretKeeping, *messages: dict[str, Any]) -> list[bytes]:
    """Let the keeper say something; give what it was answered."""
    writer = Writer()

    async def scenario() -> None:
        for message in messages:
            keeping._hear(message, writer)  # type: ignore[arg-type]
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(scenario())
    return writer.lines


@pytest.mark.parametrize(
    "told",
    [
        ["operator.requested", {"verb": "shutdown", "services": [], "who": "x"}],
        ["nonsense", {}],
        ["secret.accessed", {"name": "db"}],
        ["secret.accessed", {**ACCESS_BODY, "outcome": "nonsense"}],
    ],
)
def test_keeper_may_have_nothing_journalled_but_its_own(told: list[Any]) -> None:
    with pytest.raises(OperationError):
        payloads_of([told])


def test_what_is_not_durable_is_not_answered(tmp_path: Path) -> None:
    keeping, loop = keeping_of(tmp_path, DECLARED)
    loop.is_behind = True

    assert hear(keeping, {"tell": [["secret.accessed", ACCESS_BODY]], "id": 1}) == []


def test_what_it_tells_is_journalled_in_order_and_answered(tmp_path: Path) -> None:
    keeping, loop = keeping_of(tmp_path, DECLARED)
    other = {**ACCESS_BODY, "number": "2"}

    lines = hear(
        keeping,
        {"tell": [["secret.accessed", ACCESS_BODY]], "id": 1},
        {"tell": [["secret.accessed", other]], "id": 2},
    )

    assert lines == [b'{"told": 1}\n', b'{"told": 2}\n']
    assert [(one.number, actor) for one, actor in loop.told if isinstance(one, SecretAccessed)] == [
        ("1", "secretkeeper"),
        ("2", "secretkeeper"),
    ]


def test_only_declared_services_are_restarted_for_it(tmp_path: Path) -> None:
    keeping, loop = keeping_of(tmp_path, DECLARED)

    hear(keeping, {"restart": ["web", "other"]}, {"restart": ["other"]})

    ((asked, actor),) = loop.told
    assert isinstance(asked, OperatorRequested)
    assert (asked.services, asked.verb, asked.who, actor) == (
        ("web",),
        "restart",
        "secretkeeper",
        "secretkeeper",
    )


@pytest.mark.parametrize(
    ("toml", "is_wanted"),
    [
        ('[service.web]\ncommand = ["true"]\n', False),
        ('[service.web]\ncommand = ["true"]\n[secrets]\nprovider = "local"\n', True),
        (DECLARED, True),
    ],
)
def test_keeper_is_wanted_where_a_secret_is_declared(
    tmp_path: Path, toml: str, is_wanted: bool
) -> None:
    keeping, _ = keeping_of(tmp_path, toml)

    assert keeping.is_wanted is is_wanted
    if not is_wanted:
        asyncio.run(keeping.run())  # It returns at once.


def test_question_without_a_keeper_is_refused(tmp_path: Path) -> None:
    keeping, _ = keeping_of(tmp_path, DECLARED)
    with pytest.raises(OperationError):
        asyncio.run(keeping.ask("rotate", name="db"))

    nobody, _ = keeping_of(tmp_path, '[service.web]\ncommand = ["true"]\n')
    with pytest.raises(RejectedError):
        asyncio.run(SecretsDesk(nobody).release("service/web", who="ada"))


def test_question_ends_when_its_keeper_does_or_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping, _ = keeping_of(tmp_path, DECLARED)
    keeping._writer = Writer()  # type: ignore[assignment]

    async def ended() -> None:
        asked = asyncio.create_task(keeping.ask("rotate", name="db"))
        await asyncio.sleep(0)
        await keeping._ended()
        with pytest.raises(OperationError):
            await asked

    asyncio.run(ended())
    keeping._writer = Writer()  # type: ignore[assignment]
    monkeypatch.setattr(secret_keeping, "ASK_TIMEOUT_S", 0.001)
    with pytest.raises(OperationError):
        asyncio.run(keeping.ask("rotate", name="db"))


def test_page_gets_what_the_keeper_answers(tmp_path: Path) -> None:
    keeping, _ = keeping_of(tmp_path, DECLARED)
    desk = SecretsDesk(keeping)
    writer = Writer()
    keeping._writer = writer  # type: ignore[assignment]

    async def scenario() -> list[Any]:
        asked = [
            asyncio.create_task(
                desk.rotate("db", who="ada", reason=RotationReason.MANUAL, why="spring")
            ),
            asyncio.create_task(desk.rollback("db", who="ada")),
            asyncio.create_task(desk.release("service/web", who="ada")),
        ]
        await asyncio.sleep(0)
        keeping._hear({"answer": 1, "rotation": {"name": "db"}}, writer)  # type: ignore[arg-type]
        keeping._hear({"answer": 2, "version": {"number": "3"}}, writer)  # type: ignore[arg-type]
        error = {"sort": "SecretConflictError", "message": "no", "hint": "", "retry_after_s": 0}
        keeping._hear({"answer": 3, "error": error}, writer)  # type: ignore[arg-type]
        keeping._hear({"answer": 99}, writer)  # type: ignore[arg-type]
        return await asyncio.gather(*asked, return_exceptions=True)

    rotated, rolled_back, released = asyncio.run(scenario())
    assert rotated == {"name": "db"}
    assert rolled_back == {"name": "db", "version": "3"}
    assert isinstance(released, SecretConflictError)
    assert b'"reason": "manual"' in writer.lines[0]


def test_errors_keep_their_sort() -> None:
    told = {"message": "no", "hint": "wait", "retry_after_s": 2.0}

    limited = error_of({**told, "sort": "RateLimitedError"})
    assert isinstance(limited, RateLimitedError)
    assert limited.retry_after_s == 2.0
    assert isinstance(error_of({**told, "sort": "ProviderDownError"}), ProviderDownError)
    for sort in ("SystemExit", "nonsense", "JournalBrokenError", ""):
        assert type(error_of({**told, "sort": sort})) is OperationError


def test_overview_says_what_is_being_started_and_what_was_odd(tmp_path: Path) -> None:
    keeping, _ = keeping_of(tmp_path, DECLARED)
    desk = SecretsDesk(keeping)
    journal = MemoryJournal()
    at = datetime(2030, 1, 1, tzinfo=UTC)
    journal.append(*(announce(ANOMALY, at=at, actor="secretkeeper") for _ in range(ANOMALIES_MAX)))
    desk.read(journal)

    before = desk.overview()
    assert not before["provider"]["is_well"]
    assert len(before["anomalies"]) == ANOMALIES_MAX
    assert before["anomalies"][0]["signals"] == ["rate"]

    hear(keeping, {"status": {"provider": {"kind": "local", "is_well": True, "reason": ""}}})
    assert desk.overview()["provider"]["kind"] == "local"
    asyncio.run(keeping._ended())
    assert not desk.overview()["provider"]["is_well"]


def test_metrics_follow_the_records_and_the_overview() -> None:
    registry = Registry()
    measures = SecretMeasures(registry)
    ended = RotationEnded(
        rotation_id="r", name="db", outcome=RotationOutcome.ROTATED, number="2", duration_s=0.2
    )
    for payload in (ACCESS, ACCESS, ended, ANOMALY, None):
        measures.apply(payload)
    rows = [
        {"rotator": "random", "age_s": 9.0, "holders": [1, 2], "rotation": {}},
        {"rotator": "", "age_s": 99.0, "holders": [], "rotation": None},
    ]
    measures.take({"provider": {"is_well": True}, "secrets": rows, "quarantined": [1]})

    text = registry.text()
    for line in (
        'resile_secrets_accesses_total{outcome="given"} 6',
        'resile_secrets_rotations_total{outcome="rotated"} 1',
        'resile_secrets_anomalies_total{response="alert"} 1',
        "resile_secrets_age_seconds 9",
        "resile_secrets_provider_up 1",
        "resile_secrets_consumers_count 2",
        "resile_secrets_rotations_open_count 1",
        "resile_secrets_quarantined_count 1",
    ):
        assert f"\n{line}\n" in text
