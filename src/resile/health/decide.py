"""Decide from one result whether a check changed its state: hysteresis, pure.

The rules:
- A good result that took longer than `degraded_after_s` is DEGRADED.
- UNKNOWN ends with the first good result, or after `fall` bad ones in a row. Bad results within
  `grace_s` of the service's start do not count.
- The state gets worse after `fall` results in a row that are worse, and better after `rise` in a
  row that are better. If such a row is mixed (DEGRADED and DOWN), the state moves to DEGRADED,
  and goes on to the end once the row's tail alone is long enough.
- A result that says UNKNOWN tells nothing and changes nothing.
- What stays DOWN is told again when its reason names a cause that was not told yet: the first
  reason may be that nobody has an answer. Each cause is told once until the state changes.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from resile.core.events import CheckChanged
from resile.core.vocabulary import CheckState
from resile.health.ends import cause_of_check
from resile.health.model import CheckResult, CheckSpec, Streak

_BADNESS = {CheckState.UP: 0, CheckState.DEGRADED: 1, CheckState.DOWN: 2}


def advance(
    streak: Streak, result: CheckResult, spec: CheckSpec
) -> tuple[Streak, CheckChanged | None]:
    """Fold one result into a streak; give the streak after it, and the change if there is one.

    `CheckChanged.began_at` is the time of the first result of the row that led to the change.
    """
    seen = graded(result, spec)
    before, streak = streak, replace(streak, last=result)
    if seen not in _BADNESS:
        return streak, None
    if seen is streak.state:
        streak = _without_candidate(streak) if streak.away_count else streak
        is_news = before.last is None or before.last.reason != result.reason
        return _told_again(streak, result, spec) if is_news else (streak, None)
    if _is_excused(streak, result, seen, spec):
        return streak, None
    streak = _counted(streak, seen, result.at)
    after = _state_after(streak, spec)
    if after is streak.state:
        return streak, None
    return _moved(streak, after, result, spec)


def taken_over(known: Streak | None, change: CheckChanged) -> Streak:
    """Give where a check stands after a change that a record tells.

    Args:
        known: Where it stood before; None if nobody knows.
        change: What the record tells.
    """
    told = _causes(change.after, change.reason)
    if known is not None and change.before is change.after:
        return replace(known, told=(*known.told, *told))
    return Streak(state=change.after, since=change.began_at, told=told)


def graded(result: CheckResult, spec: CheckSpec) -> CheckState:
    """Tell what a result counts as: its own state, or DEGRADED if it is good but too slow."""
    is_slow = 0 < spec.degraded_after_s < result.latency_s
    return CheckState.DEGRADED if result.state is CheckState.UP and is_slow else result.state


def reset(
    streak: Streak, spec: CheckSpec, *, at: datetime, reason: str
) -> tuple[Streak, CheckChanged | None]:
    """Forget what was known: the process behind the check is another one, or nobody looks.

    Args:
        streak: Where the check stands.
        spec: The check.
        at: When the reset took effect; the grace of the check starts here.
        reason: Why, for the event.

    Returns:
        A streak that is UNKNOWN since `at`, and the change unless it was UNKNOWN before.
    """
    fresh = Streak(since=at)
    if streak.state is CheckState.UNKNOWN:
        return fresh, None
    change = CheckChanged(
        check=spec.id,
        service=spec.service,
        group=spec.group,
        before=streak.state,
        after=CheckState.UNKNOWN,
        reason=reason,
        began_at=at,
    )
    return fresh, change


def _is_excused(streak: Streak, result: CheckResult, seen: CheckState, spec: CheckSpec) -> bool:
    """Tell whether a bad result came too early to count. `since` of UNKNOWN is the start."""
    if streak.state is not CheckState.UNKNOWN or seen is not CheckState.DOWN:
        return False
    if streak.since is None:
        return False
    return streak.since <= result.at < streak.since + timedelta(seconds=spec.grace_s)


def _counted(streak: Streak, seen: CheckState, at: datetime) -> Streak:
    """Count a result that differs from the state: in the row of its own kind, and in the row away.

    From UP and from DOWN the other two states lie on one side. Elsewhere they do not, and the
    row away is the row of one kind.
    """
    is_same = seen is streak.candidate
    is_away = is_same or (
        streak.away_count > 0 and streak.state in (CheckState.UP, CheckState.DOWN)
    )
    return replace(
        streak,
        candidate=seen,
        candidate_count=streak.candidate_count + 1 if is_same else 1,
        candidate_since=streak.candidate_since if is_same else at,
        away_count=streak.away_count + 1 if is_away else 1,
        away_since=streak.away_since if is_away else at,
    )


def _state_after(streak: Streak, spec: CheckSpec) -> CheckState:
    """Tell where the rows lead: all the way, half the way, or nowhere yet."""
    if streak.state is CheckState.UNKNOWN:
        count_needed = spec.fall if streak.candidate is CheckState.DOWN else 1
    else:
        is_worse = _BADNESS[streak.candidate] > _BADNESS[streak.state]
        count_needed = spec.fall if is_worse else spec.rise
    if streak.away_count < count_needed:
        return streak.state
    return streak.candidate if streak.candidate_count >= count_needed else CheckState.DEGRADED


def _told_again(
    streak: Streak, result: CheckResult, spec: CheckSpec
) -> tuple[Streak, CheckChanged | None]:
    """Tell what stays DOWN once more if it is known by now what lies behind it."""
    causes = _causes(streak.state, result.reason)
    if not causes or causes[0] in streak.told:
        return streak, None
    change = CheckChanged(
        check=spec.id,
        service=spec.service,
        group=spec.group,
        before=streak.state,
        after=streak.state,
        reason=result.reason,
        began_at=streak.since or result.at,
        latency_s=result.latency_s,
    )
    return replace(streak, told=(*streak.told, *causes)), change


def _causes(state: CheckState, reason: str) -> tuple[str, ...]:
    """Name what lies behind a check; whether a secret is used is for whoever hears it."""
    cause = cause_of_check(reason, uses_secret=True) if state is CheckState.DOWN else None
    return () if cause is None else (cause.value,)


def _moved(
    streak: Streak, after: CheckState, result: CheckResult, spec: CheckSpec
) -> tuple[Streak, CheckChanged]:
    change = CheckChanged(
        check=spec.id,
        service=spec.service,
        group=spec.group,
        before=streak.state,
        after=after,
        reason=result.reason,
        began_at=streak.away_since or result.at,
        latency_s=result.latency_s,
    )
    told = _causes(after, result.reason)
    moved = replace(streak, state=after, since=result.at, told=told)
    if after is streak.candidate:
        return _without_candidate(moved), change
    # The tail of a mixed row goes on: it may reach the far end soon.
    tail = replace(moved, away_count=moved.candidate_count, away_since=moved.candidate_since)
    return tail, change


def _without_candidate(streak: Streak) -> Streak:
    return replace(
        streak,
        candidate=CheckState.UNKNOWN,
        candidate_count=0,
        candidate_since=None,
        away_count=0,
        away_since=None,
    )
