"""Secrets to look at: all well, one that is being rotated, trouble, none, and hostile ones."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.unit.web import scenes

from resile.core.vocabulary import RotationOutcome, RotationReason, RotationStep, SecretResponse
from resile.testing.view import FakeSystemView

DB, KEY, CANARY = "db/password", "reasoner/api-key", "backup/root"
THIEF = "service/scanner"
STEPS = tuple(RotationStep)


def reached(step: RotationStep, *, began_at: datetime, gap_s: float = 0.03) -> list[dict[str, Any]]:
    """List the steps up to one, as the engine reaches them."""
    found = STEPS[: STEPS.index(step) + 1]
    return [
        {"step": one, "at": began_at + timedelta(seconds=gap_s * n)} for n, one in enumerate(found)
    ]


def holder(label: str, version: str, *, is_live: bool = True) -> dict[str, Any]:
    return {"label": label, "version": version, "is_live": is_live}


def well() -> FakeSystemView:
    """Four secrets, and nothing wrong with them."""
    view = scenes.all_up()
    now = datetime.now(UTC)
    put = view.secrets.put
    put(
        DB,
        version="12",
        created_at=now - timedelta(days=2, hours=3),
        age_s=2.125 * 86_400,
        next_rotation_at=now + timedelta(days=4, hours=20),
        rotator="postgres",
        services=["dispatcher", "reasoner"],
        holders=[holder("dispatcher (pid 4312)", "12"), holder("reasoner (pid 4326)", "12")],
    )
    put(
        KEY,
        version="3",
        created_at=now - timedelta(days=11),
        age_s=11 * 86_400,
        next_rotation_at=now + timedelta(hours=7),
        services=["reasoner"],
        deliver="file",
        holders=[holder("reasoner (pid 4326)", "3")],
    )
    put(
        "smtp/relay",
        version="1",
        created_at=now - timedelta(days=210),
        age_s=210 * 86_400,
        next_rotation_at=None,
        rotator="",
        services=["archive"],
        deliver="env",
        holders=[],
    )
    put(
        CANARY,
        version="1",
        created_at=now - timedelta(days=40),
        age_s=40 * 86_400,
        next_rotation_at=None,
        rotator="",
        services=[],
        is_canary=True,
        holders=[],
    )
    for number, (name, ago) in enumerate([(DB, timedelta(days=2)), (KEY, timedelta(days=11))]):
        view.secrets.rotations.append(ended(f"rot_{number}", name, now - ago))
    return view


def ended(rotation_id: str, name: str, at: datetime, **facts: Any) -> dict[str, Any]:
    return {
        "rotation_id": rotation_id,
        "name": name,
        "outcome": RotationOutcome.ROTATED,
        "reason": RotationReason.SCHEDULED,
        "ended_at": at,
        "duration_s": 0.298,
        "cut": [],
    } | facts


def waiting(view: FakeSystemView | None = None) -> FakeSystemView:
    """The rotation of the database's password waits for one of its two consumers."""
    view = view or well()
    now = datetime.now(UTC)
    row = view.secrets.rows[0]
    row.update(
        version="13",
        created_at=now - timedelta(seconds=94),
        age_s=94.0,
        holders=[holder("dispatcher (pid 4312)", "13"), holder("reasoner (pid 4326)", "12")],
        rotation={
            "rotation_id": "rot_2",
            "step": RotationStep.PROMOTED,
            "steps": reached(RotationStep.PROMOTED, began_at=now - timedelta(seconds=94)),
            "reason": RotationReason.SCHEDULED,
            "waits_for": ["reasoner (pid 4326)"],
            "why": "1 of 2 consumers has not acknowledged version 13",
        },
    )
    return view


def in_trouble() -> FakeSystemView:
    """A waiting rotation, an overdue one, a client that was cut off, and a provider that is away."""
    view = waiting()
    now = datetime.now(UTC)
    secrets = view.secrets
    secrets.provider = {
        "kind": "vault",
        "is_well": False,
        "reason": "https://vault.internal:8200 is sealed",
    }
    secrets.rows[1]["next_rotation_at"] = now - timedelta(hours=5)
    secrets.rows[1]["holders"].append(holder("reasoner (pid 4120)", "2", is_live=False))
    secrets.anomalies += [
        {
            "at": now - timedelta(minutes=3),
            "client": THIEF,
            "names": [CANARY],
            "signals": ["canary"],
            "score": 100.0,
            "response": SecretResponse.QUARANTINE,
            "why": "it read a secret that nobody needs",
        },
        {
            "at": now - timedelta(minutes=26),
            "client": "user/1000/psql",
            "names": [DB, KEY],
            "signals": ["first_seen", "breadth"],
            "score": 58.0,
            "response": SecretResponse.ALERT,
            "why": "it has never read these",
        },
    ]
    secrets.quarantined.append(
        {"client": THIEF, "why": "it read backup/root", "at": now - timedelta(minutes=3)}
    )
    secrets.rotations[:0] = [
        ended(
            "rot_3",
            KEY,
            now - timedelta(minutes=2),
            reason=RotationReason.COMPROMISE,
            duration_s=3.06,
            cut=["scanner (pid 4319)"],
        ),
        ended(
            "rot_4",
            KEY,
            now - timedelta(hours=5),
            outcome=RotationOutcome.ABORTED,
            duration_s=41.2,
        ),
    ]
    return view


def none() -> FakeSystemView:
    """No secret is declared."""
    return scenes.all_up()


def hostile() -> FakeSystemView:
    """Markup, turned text and long words wherever text comes from outside."""
    view = in_trouble()
    now = datetime.now(UTC)
    text = scenes.HOSTILE + scenes.TURNED
    long = f"{text}{'x' * 200}"
    secrets = view.secrets
    secrets.provider = {"kind": long[:80], "is_well": False, "reason": long}
    secrets.put(
        long,
        version=long[:60],
        rotator=text,
        services=[long, text],
        deliver=text,
        holders=[holder(long, long[:60]), holder(text, "1", is_live=False)],
        age_s=10.0**12,
        rotation={
            "rotation_id": text,
            "step": RotationStep.BEGUN,
            "steps": reached(RotationStep.BEGUN, began_at=now),
            "reason": RotationReason.COMPROMISE,
            "waits_for": [long],
            "why": long,
        },
    )
    secrets.anomalies.insert(
        0,
        {
            "at": now,
            "client": long,
            "names": [long] * 30,
            "signals": [long],
            "score": 99.999,
            "response": SecretResponse.ROTATE,
            "why": long,
        },
    )
    secrets.quarantined.append({"client": f"user/0/{long}", "why": long, "at": now})
    secrets.rotations.insert(0, ended(text, long, now, cut=[long, text]))
    return view
