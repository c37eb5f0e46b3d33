"""Guards to look at: source 002's four breakers, many of them, none, and hostile ones."""

from datetime import UTC, datetime, timedelta

from tests.unit.web import scenes

from resile.testing.steered import FakePolicies
from resile.testing.view import FakeSystemView

BREAKER = "Retry(attempts=3) + Breaker(failures=5, open_for=30.0)"


def with_breakers() -> FakeSystemView:
    """The table of source 002: two that work, one that probes, one that is open; and a mode."""
    view = scenes.all_up()
    now = datetime.now(UTC)
    put = view.policies.put
    put("database", calls=18_240, policy=BREAKER)
    put("scanner", service="scanner", pid=4319, calls=902, policy="Breaker(failures=3)")
    put(
        *("ipc", "half_open"),
        service="scanner",
        pid=4319,
        calls=160,
        failures=8,
        success_rate=0.95,
        opened=2,
        last_failure="ConnectionResetError: [Errno 104] Connection reset by peer",
        last_failed_at=now - timedelta(seconds=14),
    )
    put(
        *("external-api", "open"),
        calls=15,
        failures=15,
        success_rate=0.0,
        rejected=412,
        retries=30,
        opened=1,
        left_s=42.0,
        ends_at=now + timedelta(seconds=42),
        last_failure="TimeoutError: the request took longer than 2 s",
        last_failed_at=now - timedelta(seconds=18),
        policy="Retry(attempts=3) + Breaker(failures=3, open_for=60.0) + Timeout(2.0)",
    )
    put(
        "reasoner",
        service="",
        program="batch.py",
        pid=9001,
        mode="forced_open",
        reason="INC-12: the model answers nonsense",
        state="open",
        left_s=240.0,
        ends_at=now + timedelta(minutes=4),
        success_rate=None,
        calls=0,
        shared="this machine",
    )
    put("cache", "", service="", program="batch.py", pid=9001, policy="Cache(ttl=60.0)")
    view.policies.standing.append(
        {
            "order_id": "ord_1",
            "guard": "reasoner",
            "order": "force-open",
            "until": now + timedelta(minutes=4),
            "why": "INC-12: the model answers nonsense",
            "who": "ann",
            "at": now,
        }
    )
    return view


def well() -> FakeSystemView:
    """Nothing is wrong."""
    view = scenes.all_up()
    for name in ("database", "scanner", "ipc"):
        view.policies.put(name)
    return view


def none() -> FakeSystemView:
    """No process has a guard."""
    view = scenes.all_up()
    view.policies = FakePolicies()
    return view


def hostile() -> FakeSystemView:
    """Markup, turned text and long words wherever text comes from outside."""
    view = with_breakers()
    text = scenes.HOSTILE + scenes.TURNED
    view.policies.put(
        f"{text}{'x' * 200}",
        "open",
        service=f"{text}{'s' * 100}",
        mode="forced_open",
        reason=f"{text}{'r' * 200}",
        last_failure=f"{text}{'f' * 200}",
        last_failed_at=datetime.now(UTC),
        policy=f"{text}{'p' * 300}",
        shared=text,
        calls=10**15,
        failures=10**15,
        rejected=10**15,
        success_rate=1 / 3,
    )
    return view
