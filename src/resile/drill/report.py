"""Write a drill as one HTML page that needs nothing else: no script, no file, no network. Pure.

Whatever comes from outside is escaped, and characters that are not seen are spelt out: a target's name, a reason and a
line of the journal may hold what a stranger wrote.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path

from resile.core.units import format_duration
from resile.core.vocabulary import DrillVerdict
from resile.drill.compare import CellChange, Change, Comparison, spelt
from resile.drill.model import CellResult, Drill, Moment

_STYLE = Path(__file__).with_name("report.css")
_TONES = {
    DrillVerdict.PASSED: "ok",
    DrillVerdict.SLOW: "warn",
    DrillVerdict.SKIPPED: "calm",
    DrillVerdict.INTERRUPTED: "calm",
}
"""Of a verdict; every other one is bad."""
_NONE = "\N{EN DASH}"
_GLYPHS = {"ok": "✔", "calm": _NONE, "warn": "▲", "bad": "✖"}
_GOOD_POINTS, _FAIR_POINTS = 90, 60
"""As in the health score: healthy from 90 on, degraded from 60 on."""
_HEADS = ("Scenario", "Fault", "Detected", "Recovered", "Target", "Lost", "Verdict")

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head><body><main>
<header><h1>{system}</h1><p>Drill of {day}, by {who}</p></header>
<section class="card hero" data-tone="{tone}">
<p class="score"><b>{points}</b><span>of 100</span></p>
<div><p class="verdict">{verdict}</p><p class="soft">{sub}</p></div>
<dl>{figures}</dl></section>
{early}{changes}
<h2>Scenarios <small>open one for its time line</small></h2>
<section class="card cells"><p class="heads" aria-hidden="true">{heads}</p>{cells}</section>
<footer>{id} · began {began}, ended {ended} · written {now} by resile. All times are UTC.</footer>
</main></body></html>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a report tells.

    Args:
        system: The name of the system.
        drill: The drill, with the time lines of its scenarios.
        points: The score after it.
        proven: Cells of the matrix that are proven.
        cells: How many the matrix has.
        comparison: With what was known before.
        now: When the report is written.
    """

    system: str
    drill: Drill
    points: int
    proven: int
    cells: int
    comparison: Comparison
    now: datetime


def report_html(report: Report) -> str:
    """Write the page."""
    drill = report.drill
    changes = {change.cell: change for change in report.comparison.cells}
    return _PAGE.format(
        title=_text(f"Drill of {report.system}, {drill.began_at:%Y-%m-%d}"),
        style=_STYLE.read_text(),
        system=_text(report.system),
        day=f"{drill.began_at:%Y-%m-%d %H:%M}",
        who=_text(drill.who or "somebody"),
        tone=_score_tone(report.points),
        points=report.points,
        verdict=_verdict(report),
        sub=f"{report.proven} of {report.cells} cells of the matrix are proven",
        figures=_figures(drill),
        early=f'<p class="card note bad">It ended early: {_text(drill.why)}</p>'
        if drill.why
        else "",
        changes=_changes(report.comparison),
        heads="".join(f"<span>{head}</span>" for head in _HEADS),
        cells="".join(_cell(result, changes.get(result.cell)) for result in drill.results),
        id=_text(drill.id),
        began=_moment(drill.began_at),
        ended=_moment(drill.ended_at),
        now=_moment(report.now),
    )


def _verdict(report: Report) -> str:
    worse = len(report.comparison.worse)
    if failed := report.drill.failed:
        return f"{_counted(failed, 'scenario')} of {len(report.drill.results)} did not pass"
    if worse:
        return f"{_counted(worse, 'scenario')} got worse"
    if not report.drill.count(DrillVerdict.PASSED):
        return "Nothing was proven"
    return "Everything that was tried mends itself"


def _figures(drill: Drill) -> str:
    acked = sum(max(0, result.acked) for result in drill.results)
    lost = sum(max(0, result.lost) for result in drill.results)
    figures = {
        "Passed": drill.count(DrillVerdict.PASSED),
        "Failed": drill.failed,
        "Skipped": drill.count(DrillVerdict.SKIPPED),
        "Not tried": drill.untried,
        "Writes lost": f"{lost:,} of {acked:,}" if acked else "",
        "Took": format_duration((drill.ended_at - drill.began_at).total_seconds()),
    }
    return "".join(
        f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in figures.items() if value
    )


def _changes(comparison: Comparison) -> str:
    if all(cell.change is Change.NEW for cell in comparison.cells):
        return ""
    listed = [*comparison.worse, *comparison.of(Change.BETTER)]
    if not listed:
        return '<p class="card note ok">✔ Nothing got worse since it was last tried.</p>'
    lines = "".join(_change_line(change) for change in listed)
    return f"<h2>Since it was last tried</h2><ul class='card list'>{lines}</ul>"


def _change_line(change: CellChange) -> str:
    tone = "bad" if change.change is Change.WORSE else "ok"
    return (
        f'<li data-tone="{tone}"><b class="word">{change.change}</b>'
        f'<span class="name">{_cell_name(change.cell)}</span><small>{_text(change.why)}</small></li>'
    )


def _cell_name(cell: str) -> str:
    scenario, _, target = cell.partition(":")
    return f"<b>{_text(scenario)}</b> {_text(target)}"


def _cell(result: CellResult, change: CellChange | None) -> str:
    tone = _TONES.get(result.verdict, "bad")
    lost = f"{result.lost} of {result.acked}" if result.acked >= 0 and result.lost >= 0 else ""
    facts = (
        f'<span class="fact">{_text(result.fault)}</span>',
        _fact("detected", _time(result.detected_s)),
        _fact("recovered", _time(result.recovered_s)),
        _fact("target", _time(result.recovery_s_max or -1)),
        _fact("lost", lost),
    )
    open_mark = " open" if tone in ("bad", "warn") else ""
    return (
        f'<details data-tone="{tone}"{open_mark}><summary>'
        f'<span class="name">{_cell_name(result.cell)}</span>'
        f'{"".join(facts)}<span class="word">{_GLYPHS[tone]} {spelt(result.verdict)}</span></summary>'
        f'<div class="body">{_body(result, change)}</div></details>'
    )


def _body(result: CellResult, change: CellChange | None) -> str:
    parts = [f'<p class="why">{_text(result.why)}</p>'] if result.why else []
    if change is not None and change.why:
        parts.append(f'<p class="soft">{change.change}: {_text(change.why)}</p>')
    if result.failed >= 0:
        parts.append(f'<p class="soft">{_counted(result.failed, "request")} failed meanwhile</p>')
    parts.append(_bar(result))
    parts.append(_timeline(result))
    return "".join(parts)


def _bar(result: CellResult) -> str:
    """Draw detection and recovery on one axis with the target."""
    last_s = max(result.recovered_s, result.detected_s)
    if last_s < 0 or result.recovery_s_max <= 0:
        return ""
    whole_s = max(last_s, result.recovery_s_max) * 1.04
    end = _share(result.recovered_s if result.recovered_s >= 0 else whole_s, whole_s)
    seen = _share(result.detected_s, whole_s) if result.detected_s >= 0 else end
    target = _share(result.recovery_s_max, whole_s)
    return (
        f'<div class="bar" role="img" aria-label="Detected, recovered and the target on one line">'
        f'<i class="unseen" style="width:{seen}%"></i>'
        f'<i class="mending" style="left:{seen}%;width:{max(0.0, end - seen):.2f}%"></i>'
        f'<i class="target" style="left:{target}%"></i></div>'
        '<p class="key"><span class="unseen">not noticed yet</span>'
        '<span class="mending">being mended</span><span class="target">target</span></p>'
    )


def _timeline(result: CellResult) -> str:
    if not result.timeline:
        return '<p class="soft">The journal tells nothing of it.</p>'
    start = result.began_at or result.timeline[0].at
    return f"<ol>{''.join(_line(moment, start) for moment in result.timeline)}</ol>"


def _line(moment: Moment, start: datetime) -> str:
    after_s = (moment.at - start).total_seconds()
    return f"<li><time>{after_s:+.2f} s</time><span>{_text(moment.text)}</span></li>"


def _fact(name: str, value: str) -> str:
    return f'<span class="fact" data-name="{name}"{"" if value else " data-none"}>{value or _NONE}</span>'


def _time(seconds: float) -> str:
    return "" if seconds < 0 else format_duration(seconds)


def _share(part: float, whole: float) -> float:
    return round(100 * min(1.0, max(0.0, part / whole)), 2)


def _score_tone(points: int) -> str:
    if points >= _GOOD_POINTS:
        return "ok"
    return "warn" if points >= _FAIR_POINTS else "bad"


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _text(text: str) -> str:
    return escape("".join(_seen(text)))


def _seen(text: str) -> Iterable[str]:
    """Spell out what is not seen, or turns a line around."""
    return (char if char.isprintable() else f"⟨U+{ord(char):04X}⟩" for char in text)
