"""The state as one plain HTML page: no script, works in any browser and in `curl | w3m`."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

from resile.core.units import format_duration
from resile.web.verdict import verdict

Facts = Mapping[str, Any]

REFRESH_S = 10
_GLYPHS = {
    "UP": "●",
    "DEGRADED": "▲",
    "DOWN": "✖",
    "MAINTENANCE": "◆",
    "SUPPRESSED": "◌",
    "UNKNOWN": "○",
}

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="{refresh}">
<title>{glyph} {name}: {text}</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="/static/app.css">
</head><body class="plain" data-state="{state}"><main>
<header class="top"><h1 class="brand">{name}</h1></header>
<section class="card hero"><p class="verdict">{glyph} {text}</p>
<p class="muted">As of {now}. <a href="/">Dashboard</a></p></section>
{switched}<h2>Services</h2>{services}
<h2>Expected to run out</h2>{predictions}
<h2>Checks</h2>{checks}
<h2>Incidents</h2>{incidents}
</main></body></html>
"""


def status_page(status: Facts, incidents: Sequence[Facts], *, now: datetime) -> str:
    """Write the page; everything that comes from outside is escaped."""
    said = verdict(status)
    return _PAGE.format(
        refresh=REFRESH_S,
        glyph=_glyph(said["state"]),
        state=escape(said["state"]),
        name=escape(status["name"]),
        text=escape(said["text"]),
        now=f"{now:%Y-%m-%d %H:%M:%S} UTC",
        switched=_switched(status),
        services=_table(
            ("State", "Score", "Service", "PID", "Restarts", "Since", "Reason"),
            [_service_cells(service) for service in status.get("services", ())],
        ),
        predictions=_table(
            ("Target", "Resource", "In about", "Confidence"),
            [_prediction_cells(one) for one in status.get("predictions", ())],
        ),
        checks=_table(
            ("State", "Check", "Since", "Reason"),
            [_check_cells(check) for check in status.get("checks", ())],
        ),
        incidents=_table(
            ("Severity", "Incident", "State", "Began", "Lasted"),
            [_incident_cells(incident) for incident in incidents],
        ),
    )


def _switched(status: Facts) -> str:
    """Tell of an emergency stop, and of what is switched off; nothing where all is on."""
    said = ""
    if stop := status.get("emergency"):
        text = f"EMERGENCY STOP by {stop.get('who') or 'somebody'}: {stop.get('why', '')}"
        said = f'<p class="verdict">{_glyph("DOWN")} {escape(text)}</p>'
    rows = [
        (off["word"], _time(off.get("until")), off.get("who", ""), off.get("why", ""))
        for off in status.get("switches", ())
    ]
    table = _table(("Part", "Until", "By", "Because"), rows)
    return said + (f"<h2>Switched off</h2>{table}" if rows else "")


def _service_cells(service: Facts) -> tuple[object, ...]:
    pid = service.get("pid") or "-"
    state = f"{_glyph(service['state'])} {service['state']} ({service['phase']})"
    reason = service.get("reason", "")
    return (
        state,
        (service.get("health") or {}).get("score", "-"),
        service["name"],
        pid,
        service.get("restarts", 0),
        _time(service.get("since")),
        reason,
    )


def _prediction_cells(prediction: Facts) -> tuple[object, ...]:
    resource = f"{prediction['resource']} {prediction.get('detail', '')}".rstrip()
    left = format_duration(prediction["left_s"])
    return (prediction["target"], resource, left, f"{prediction['confidence']:.0%}")


def _check_cells(check: Facts) -> tuple[object, ...]:
    state = f"{_glyph(check['state'])} {check['state']}"
    return (state, check["id"], _time(check.get("since")), check.get("reason", ""))


def _incident_cells(incident: Facts) -> tuple[object, ...]:
    duration = incident.get("duration_s")
    lasted = "-" if duration is None else format_duration(duration)
    began = _time(incident.get("began_at"))
    state = f"{incident['state']}{', withdrawn' if incident.get('is_withdrawn') else ''}"
    return (incident["severity"], incident["title"], state, began, lasted)


def _table(titles: Iterable[str], rows: Sequence[Iterable[object]]) -> str:
    if not rows:
        return '<p class="muted">None.</p>'
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(c))}</td>' for c in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _glyph(state: str) -> str:
    return _GLYPHS.get(str(state), "?")


def _time(text: str | None) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S}" if text else "-"
