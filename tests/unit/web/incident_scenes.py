"""Incidents to look at: open, resolved, withdrawn, and one of security."""

from datetime import datetime, timedelta
from typing import Any

from resile.core.vocabulary import Priority

ESCAPED = "run_01ESCAPED"
"""The run that tried."""


def opened(at: datetime) -> dict[str, Any]:
    """An open incident, three seconds old."""
    return {
        "id": "inc_1",
        "title": "scanner crashed: killed by SIGKILL",
        "severity": Priority.P1,
        "state": "open",
        "target": "service/scanner",
        "began_at": at.isoformat(),
        "opened_at": at.isoformat(),
        "restored_at": None,
        "resolved_at": None,
        "acknowledged_by": None,
        "flapping": False,
        "absorbed_into": None,
        "duration_s": None,
        "rto_s": 120.0,
        "is_within_rto": None,
        "is_withdrawn": False,
        "faults": ["flt_1"],
        "members": ["service/scanner"],
        "crashes": [
            {
                "service": "scanner",
                "fingerprint": "200b513da9cb",
                "count": 3,
                "first_at": (at - timedelta(days=2)).isoformat(),
                "last_at": at.isoformat(),
                "text": "killed by SIGKILL",
                "place": "scanner/rules.py:match",
                "bundle": "/srv/.resile/crashes/scanner-3.json",
            }
        ],
        "timeline": [
            step(at, 0, "process.exited", "pid 4319 killed by SIGKILL", 21),
            step(at, 0.002, "fault.opened", "P1 crash: killed by SIGKILL", 23),
            step(at, 0.004, "plan.decided", "restart, attempt 1: start scanner", 25),
            step(at, 0.2, "action.started", "start scanner", 26),
            step(at, 0.214, "action.finished", "done in 14ms", 27),
        ],
    }


def resolved(at: datetime) -> dict[str, Any]:
    """An incident that was over after 1.3 s."""
    over = at + timedelta(seconds=1.28)
    return opened(at) | {
        "id": "inc_0",
        "title": "reasoner hangs: live check timed out",
        "state": "resolved",
        "target": "service/reasoner",
        "severity": Priority.P2,
        "restored_at": over.isoformat(),
        "resolved_at": over.isoformat(),
        "duration_s": 1.28,
        "rto_s": 300.0,
        "is_within_rto": True,
        "timeline": [
            step(at, 0, "check.changed", "UP → DOWN: no answer in 1s", 12),
            step(at, 0.01, "plan.decided", "restart, attempt 1: kill reasoner, start reasoner", 13),
            step(at, 1.28, "fault.closed", "recovered in 1.3s, within its 5m", 18),
        ],
    }


def withdrawn(at: datetime) -> dict[str, Any]:
    """An incident whose target an operator stopped after 1.3 s."""
    lasted = "withdrawn: an operator took its target out; it had lasted 1.3s"
    return resolved(at) | {
        "is_within_rto": None,
        "is_withdrawn": True,
        "timeline": [
            step(at, 0, "check.changed", "UP → DOWN: no answer in 1s", 12),
            step(at, 1.28, "fault.closed", "reasoner: hang withdrawn after 1.3s", 18),
            step(at, 11.28, "incident.resolved", lasted, 19),
        ],
    }


def escaped(at: datetime) -> dict[str, Any]:
    """A run that tried to get out, was killed 40 ms later, and waits for a person."""
    tried = "syscall mount /dev/sda"
    return opened(at) | {
        "id": "inc_01ESCAPE",
        "title": f"a run under strict tried what its sandbox prevents: {tried}; it was killed",
        "state": "monitoring",
        "target": "profile/strict",
        "restored_at": (at + timedelta(seconds=0.04)).isoformat(),
        "duration_s": 0.04,
        "is_within_rto": True,
        "is_security": True,
        "faults": [ESCAPED],
        "members": ["profile/strict"],
        "timeline": [
            step(at, 0.9, "escape.noticed", f"{ESCAPED} (./agent) tried {tried} by evil (42)", 31),
            step(at, 0.9, "escape.contained", f"nothing of {ESCAPED} lives any more", 32),
            step(at, 0.91, "incident.opened", "incident opened (P1)", 33),
            step(at, 10.9, "notice.sent", "notice opened: P1: a run under strict tried", 34),
        ],
    }


def step(at: datetime, after_s: float, kind: str, text: str, seq: int) -> dict[str, Any]:
    moment = (at + timedelta(seconds=after_s)).isoformat()
    return {"at": moment, "kind": kind, "subject": "service/scanner", "text": text, "seq": seq}
