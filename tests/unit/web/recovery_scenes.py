"""A coordinated plan over several faults, for the page and its tests."""

from tests.unit.web import scenes

from resile.testing.view import FakeSystemView

HOSTILE = '<img src=x onerror="document.body.dataset.pwned=1">\u202e'


def several() -> FakeSystemView:
    """A database that is started, a shop that waits for it, one that a person must look at."""
    view = scenes.one_down()
    recovery = view.recovery
    recovery.taken = 1
    recovery.put_fault(
        "service/database",
        urgency="P0",
        why="P1, as urgent as shop (P0), which it explains",
        steps=[
            {
                "action": "stop",
                "target": "service/database",
                "text": "stop database",
                "state": "done",
            },
            {
                "action": "start",
                "target": "service/database",
                "text": "start database",
                "state": "doing",
            },
        ],
        done=1,
        total=3,
    )
    recovery.put_fault(
        "service/shop",
        priority="P0",
        urgency="P0",
        why="P0, after what may explain it: database",
        causes=["service/database"],
        standing="cause",
        waits_for="database must work first",
        steps=[{"action": "start", "target": "service/shop", "text": "start shop", "state": "due"}],
        rto_s=30.0,
        rto_left_s=4.0,
        is_at_risk=True,
        expected=recovery.expected(6.5),
    )
    recovery.put_fault(
        "service/reports",
        fault="crash_loop",
        priority="P1",
        standing="person",
        waits_for="no remedy may be used; a person must look: it is quarantined",
        steps=[],
        total=1,
        playbook="",
        expected=None,
        rto_left_s=-40.0,
        is_late=True,
    )
    return view


def hostile() -> FakeSystemView:
    """What processes say may be markup, and long."""
    view = scenes.one_down()
    view.recovery.put_fault(
        f"service/{HOSTILE}", why=HOSTILE, waits_for=HOSTILE * 3, reason="x" * 500, fault="hang"
    )
    return view
