"""Look over a provider and its secrets for what is not as it should be."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from resile.core.clock import Clock
from resile.core.units import format_duration
from resile.core.vocabulary import SecretStage
from resile.errors import SecretError
from resile.secrets.advice import Advice, AdviceLevel, Examined, TellsTime
from resile.secrets.model import Version
from resile.secrets.port import Provider
from resile.secrets.rotation import Rotations, RotationView

SKEW_S_MAX = 60.0
"""Leases and signatures of AWS allow for minutes; more than one is a clock that nobody sets."""
OVERDUE_S = 3600.0
"""Within it a rotation that is due begins by itself, spread over time, or after another one."""
NAMES_MAX = 500
"""Of a remote provider, each is a question of its own."""
_SHOWN_MAX = 10
_ORDER = tuple(AdviceLevel)


def advise(provider: Provider, rotations: Rotations | None, *, clock: Clock) -> tuple[Advice, ...]:
    """Give all advice, the worst first. A provider that fails is the only advice then.

    Args:
        provider: Keeps the secrets.
        rotations: What rotates them; None if nothing does.
        clock: Tells what is late.
    """
    found: list[Advice] = []
    try:
        provider.check()
        if isinstance(provider, Examined):
            found += provider.examine()
        found += _skew(provider)
        found += _of_secrets(provider, rotations, clock.now())
    except SecretError as exc:
        found.append(
            Advice(level=AdviceLevel.ERROR, about=provider.kind, message=exc.message, hint=exc.hint)
        )
    return tuple(sorted(found, key=lambda one: _ORDER.index(one.level)))


def _skew(provider: Provider) -> Iterator[Advice]:
    skew_s = provider.clock_skew_s() if isinstance(provider, TellsTime) else None
    if skew_s is not None and abs(skew_s) > SKEW_S_MAX:
        yield Advice(
            level=AdviceLevel.WARNING,
            about=provider.kind,
            message=f"the clock of {provider.kind} is {_apart(skew_s)} ours",
            hint="set both by NTP: leases and logins end by them",
        )


def _of_secrets(provider: Provider, rotations: Rotations | None, now: datetime) -> Iterator[Advice]:
    names = provider.names()
    views = rotations.open() if rotations is not None else ()
    if rotations is not None:
        rotations.ended()  # A book that is damaged says so.
    for name in names[:NAMES_MAX]:
        history = provider.history(name)
        yield from _candidates(name, history, {view.rotation_id for view in views})
        yield from _stamps(name, history, now)
    if len(names) > NAMES_MAX:
        yield Advice(
            level=AdviceLevel.NOTE,
            about=provider.kind,
            message=f"there are {len(names)} secrets; the first {NAMES_MAX} were looked at",
            hint="look at the others one by one: resile secrets history NAME",
        )
    yield from map(_waiting, (view for view in views if view.waits_for or view.why))
    if rotations is not None:
        yield from _overdue(names, rotations, now)
        if provider.abilities.can_write:
            yield from _unrotated(names, rotations)


def _candidates(name: str, history: tuple[Version, ...], open_ids: set[str]) -> Iterator[Advice]:
    for version in history:
        if version.stage is SecretStage.PENDING and version.token not in open_ids:
            yield Advice(
                level=AdviceLevel.WARNING,
                about=name,
                message=f"{name} has a candidate, version {version.number}, of no rotation that is open "
                "here: another tool rotates it, or was cut off",
                hint=f"let it finish, or destroy it: resile secrets revoke {name} {version.number} "
                "--why stray",
            )
    if history and not any(version.stage is SecretStage.CURRENT for version in history):
        yield Advice(
            level=AdviceLevel.WARNING,
            about=name,
            message=f"{name} has no current version: whoever asks for it gets none",
            hint=f"put a new one: resile secrets put {name}",
        )


def _stamps(name: str, history: tuple[Version, ...], now: datetime) -> Iterator[Advice]:
    """Tell of a version from the future, which also a provider that tells no time gives away."""
    stamps = [version.created_at for version in history if version.created_at is not None]
    ahead_s = (max(stamps) - now).total_seconds() if stamps else 0.0
    if ahead_s > SKEW_S_MAX:
        yield Advice(
            level=AdviceLevel.WARNING,
            about=name,
            message=f"{name} was written in the future: its clock was {_apart(ahead_s)} ours",
            hint="set both clocks by NTP: rotations are due by them",
        )


def _waiting(view: RotationView) -> Advice:
    whom = f" for {', '.join(view.waits_for)}" if view.waits_for else ""
    why = f": {view.why}" if view.why else ""
    return Advice(
        level=AdviceLevel.WARNING,
        about=view.name,
        message=f"the rotation of {view.name} waits at {view.step}{whom}{why}",
        hint=f"see to it, or call it off: resile secrets rollback {view.name}",
    )


def _overdue(names: tuple[str, ...], rotations: Rotations, now: datetime) -> Iterator[Advice]:
    for name in names:
        at = rotations.next_at(name)
        if at is not None and now - at > timedelta(seconds=OVERDUE_S):
            yield Advice(
                level=AdviceLevel.WARNING,
                about=name,
                message=f"{name} should have been rotated {format_duration((now - at).total_seconds())} ago",
                hint=f"see why not: resile secrets rotate {name} --dry-run",
            )


def _unrotated(names: tuple[str, ...], rotations: Rotations) -> Iterator[Advice]:
    found = [name for name in names if rotations.next_at(name) is None]
    if found:
        shown = ", ".join(found[:_SHOWN_MAX]) + (", ..." if len(found) > _SHOWN_MAX else "")
        many = f"{len(found)} secrets are not rotated by themselves"
        yield Advice(
            level=AdviceLevel.NOTE,
            about="rotation",
            message=f"{'1 secret is not rotated by itself' if len(found) == 1 else many}: {shown}",
            hint='a rotator does that: [secret."NAME".rotator]',
        )


def _apart(seconds: float) -> str:
    return f"{format_duration(abs(seconds))} {'ahead of' if seconds > 0 else 'behind'}"
