"""An incident as the API, the command and the page show it: plain JSON data. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from resile.core.codec import encode
from resile.core.journal.port import Record
from resile.incidents.model import Incident, Problem
from resile.incidents.timeline import timeline


def incident_view(
    incident: Incident,
    records: Iterable[Record],
    now: datetime,
    *,
    crashes: Iterable[Problem] = (),
) -> dict[str, Any]:
    """Give the shape of `/api/incidents`.

    `duration_s` is the time of trouble so far, without the good times between. `is_within_rto`
    is None while it cannot be told: the trouble goes on, and the objective is not yet missed;
    or it was withdrawn before that. `is_withdrawn` tells the second from the first.

    Args:
        incident: The incident.
        records: What its timeline is told from; see `timeline`.
        now: For a duration that is not over.
        crashes: The problems of which crashes were seen in it.
    """
    spell_s = 0.0
    if incident.restored_at is None:
        spell_s = max(0.0, (now - incident.spell_began_at).total_seconds())
    rto_s = incident.objective.rto_s
    longest_s = max(incident.longest_s, spell_s)
    is_missed = longest_s > rto_s
    is_over = incident.restored_at is not None and not incident.is_withdrawn
    return {
        "id": incident.incident_id,
        "title": incident.title,
        "severity": incident.severity.value,
        "state": incident.state.value,
        "target": incident.target,
        "began_at": encode(incident.began_at),
        "opened_at": encode(incident.opened_at),
        "restored_at": encode(incident.restored_at),
        "resolved_at": encode(incident.resolved_at),
        "acknowledged_by": incident.acknowledged_by or None,
        "flapping": incident.is_flapping,
        "absorbed_into": incident.absorbed_into or None,
        "duration_s": round(incident.down_s + spell_s, 3),
        "rto_s": rto_s,
        "is_within_rto": not is_missed if is_over or is_missed else None,
        "is_withdrawn": incident.is_withdrawn,
        "is_security": incident.is_security,
        "faults": list(incident.faults),
        "members": list(incident.members),
        "crashes": [encode(problem) for problem in crashes],
        "timeline": [encode(line) for line in timeline(incident, records)],
    }
