"""Which parts are switched off: folded from the journal. Pure; `core.switch_file` tells other processes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from resile.core.events.envelope import Payload
from resile.core.events.switches import (
    EmergencyBegun,
    EmergencyCarriedOut,
    SwitchEnded,
    SwitchSet,
)
from resile.core.vocabulary import Part
from resile.errors import RejectedError

OFF_S_DEFAULT = 3600.0
OFF_S_MAX = 30 * 86_400.0
"""Whoever wants a part off for longer says so in `resile.toml`."""
OFFS_MAX = 200
"""Each part once, and more playbooks than a system has; what comes above it is not taken."""
FROZEN = (Part.RECOVERY, Part.CHAOS)
"""What an emergency stop switches off; it is over when a person has switched both on again."""
_ENDS = "`resile enable recovery chaos` and `resile resume` end it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Off:
    """A part that is switched off.

    Args:
        part: Which.
        name: Of the playbook; else empty.
        since: When it was switched off.
        until: When it is on again by itself; None: an emergency stop holds it.
        why: For whoever misses it.
        who: Switched it off.
    """

    part: Part
    since: datetime
    name: str = ""
    until: datetime | None = None
    why: str = ""
    who: str = ""

    @property
    def word(self) -> str:
        """What a person types: `snapshots`, `playbook/restart`."""
        return word_of(self.part, self.name)

    @property
    def reason(self) -> str:
        """Say in one line that it is off, by whom, for how long and why."""
        until = f" until {self.until:%Y-%m-%d %H:%M:%S} UTC" if self.until else ""
        by = f" by {self.who}" if self.who else ""
        why = f": {self.why}" if self.why else ""
        return f"{self.word} is switched off{by}{until}{why}"

    def holds(self, now: datetime) -> bool:
        """Tell whether its time is not over."""
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class Emergency:
    """An emergency stop that nobody has ended.

    Args:
        at: When it was asked for.
        who: By whom.
        why: For whoever wonders.
        is_stopping_services: Services are stopped, too, and stay so.
        is_carried_out: Runs are killed and held, faults on purpose are taken back.
        killed: How many runs, however often it was asked for.
        undone: How many faults.
        problems: What could not be done.
    """

    at: datetime
    who: str = ""
    why: str = ""
    is_stopping_services: bool = False
    is_carried_out: bool = False
    killed: int = 0
    undone: int = 0
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """What is off. Immutable: `apply` gives the next state.

    Args:
        offs: The parts that were switched off and not on again, each once.
        emergency: The emergency stop that holds; None if none does.
        changed_at: When anything of it changed last; None: nothing was ever switched.
    """

    offs: tuple[Off, ...] = ()
    emergency: Emergency | None = None
    changed_at: datetime | None = None

    def find(self, part: Part, name: str = "", *, now: datetime) -> Off | None:
        """Give what switches a part off now; None if it is on."""
        found = (o for o in self.offs if (o.part, o.name) == (part, name) and o.holds(now))
        return next(found, None)

    def is_off(self, part: Part, name: str = "", *, now: datetime) -> bool:
        """Tell whether a part is off now."""
        return self.find(part, name, now=now) is not None

    def check(self, part: Part, name: str = "", *, now: datetime) -> None:
        """Refuse what a part would do.

        Raises:
            RejectedError: If it is off; the message says by whom, until when and why.
        """
        off = self.find(part, name, now=now)
        if off is not None:
            raise RejectedError(off.reason, hint=f"`resile enable {off.word}` switches it on again")

    def active(self, now: datetime) -> tuple[Off, ...]:
        """List what is off now, in the order in which it was switched off."""
        return tuple(off for off in self.offs if off.holds(now))

    def over(self, now: datetime) -> Iterator[SwitchEnded]:
        """Yield the end of each switch whose time is over."""
        for off in self.offs:
            if not off.holds(now):
                yield SwitchEnded(part=off.part, name=off.name, why=off.why)

    def apply(self, payload: Payload, at: datetime) -> "Switches":
        """Give the state after what happened at `at`; other kinds of payload change nothing."""
        if isinstance(payload, SwitchSet):
            return self._set(payload, at)
        if isinstance(payload, SwitchEnded):
            return self._without(payload.part, payload.name, at)
        if isinstance(payload, EmergencyBegun):
            return self._stop(payload, at)
        if isinstance(payload, EmergencyCarriedOut) and self.emergency is not None:
            done = replace(
                self.emergency,
                is_carried_out=True,
                killed=self.emergency.killed + payload.killed,
                undone=self.emergency.undone + payload.undone,
                problems=payload.problems,
            )
            return replace(self, emergency=done, changed_at=at)
        return self

    def changes_to(self, other: "Switches") -> Iterator[Payload]:
        """Yield what makes this state into another, who and why included."""
        words = {off.word for off in other.offs}
        for off in self.offs:
            if off.word not in words:
                yield SwitchSet(part=off.part, name=off.name, is_on=True)
        stop = other.emergency
        if stop is not None and (self.emergency is None or stop.at > self.emergency.at):
            yield EmergencyBegun(
                is_stopping_services=stop.is_stopping_services, why=stop.why, who=stop.who
            )
        for off in other.offs:
            if off not in self.offs and off.until is not None:
                yield SwitchSet(
                    part=off.part,
                    name=off.name,
                    is_on=False,
                    until=off.until,
                    why=off.why,
                    who=off.who,
                )

    def _set(self, payload: SwitchSet, at: datetime) -> "Switches":
        rest = self._without(payload.part, payload.name, at)
        if payload.is_on:
            is_over = not any(off.part in FROZEN for off in rest.offs)
            return replace(rest, emergency=None if is_over else rest.emergency)
        is_held = self.emergency is not None and payload.part in FROZEN
        off = Off(
            part=payload.part,
            name=payload.name,
            since=at,
            until=None if is_held else payload.until,
            why=payload.why,
            who=payload.who,
        )
        return replace(rest, offs=(*rest.offs, off)[:OFFS_MAX])

    def _stop(self, payload: EmergencyBegun, at: datetime) -> "Switches":
        """Freeze; asked for again it is carried out again, and services once stopped stay so."""
        before = self.emergency
        is_stopping = payload.is_stopping_services or (
            before is not None and before.is_stopping_services
        )
        kept = tuple(off for off in self.offs if off.part not in FROZEN)
        frozen = tuple(
            Off(part=part, since=at, why=payload.why, who=payload.who) for part in FROZEN
        )
        return Switches(
            offs=(*frozen, *kept)[:OFFS_MAX],
            emergency=Emergency(
                at=at,
                who=payload.who,
                why=payload.why,
                is_stopping_services=is_stopping,
                killed=0 if before is None else before.killed,
                undone=0 if before is None else before.undone,
            ),
            changed_at=at,
        )

    def _without(self, part: Part, name: str, at: datetime) -> "Switches":
        offs = tuple(off for off in self.offs if (off.part, off.name) != (part, name))
        return replace(self, offs=offs, changed_at=at)


def emergency_hint(*, is_stopping_services: bool) -> str:
    """Tell what ends an emergency stop, and what starts the services that it stopped: nothing else does."""
    return (
        f"{_ENDS}; afterwards `resile start` starts the services" if is_stopping_services else _ENDS
    )


def done_text(killed: int, undone: int) -> str:
    """Tell what an emergency stop did."""
    runs = f"{killed} run{'' if killed == 1 else 's'}"
    faults = f"{undone} fault{'' if undone == 1 else 's'}"
    return f"{runs} killed, {faults} on purpose taken back"


def word_of(part: Part, name: str = "") -> str:
    """Give what a person types for a part."""
    return f"{part}/{name}" if name else str(part)


def part_of(word: str, *, playbooks: Iterable[str] | None = None) -> tuple[Part, str]:
    """Read what a person typed.

    Args:
        word: `snapshots`, or `playbook/NAME`.
        playbooks: The names that there are; None if nobody knows here.

    Raises:
        ValueError: If it is no part, with the nearest one as hint.
    """
    head, slash, name = word.partition("/")
    if head == Part.PLAYBOOK:
        return Part.PLAYBOOK, _playbook(name, playbooks)
    if slash or head not in list(Part):
        words = [str(part) for part in Part if part is not Part.PLAYBOOK]
        near = _nearest(word, [*words, *(f"playbook/{n}" for n in playbooks or ())])
        known = f"{', '.join(words)} and playbook/NAME"
        meant = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"there is no part {word!r}{meant}; the parts are {known}")
    return Part(head), ""


def _playbook(name: str, playbooks: Iterable[str] | None) -> str:
    known = None if playbooks is None else sorted(playbooks)
    if name and (known is None or name in known):
        return name
    near = _nearest(name, known or ())
    meant = f"; did you mean playbook/{near[0]}?" if near else ""
    what = f"there is no playbook {name!r}{meant}" if name else "a playbook is named"
    raise ValueError(what if name else f"{what}: playbook/NAME; `resile playbooks list` has them")


def until_of(for_s: float, now: datetime) -> datetime:
    """Give when a switch ends.

    Raises:
        ValueError: If that is not within 1 s to 30 days.
    """
    if not 1.0 <= for_s <= OFF_S_MAX:
        raise ValueError("a part is switched off for 1s to 30d")
    return now + timedelta(seconds=for_s)


def _nearest(word: str, known: Iterable[str]) -> list[str]:
    from difflib import get_close_matches  # Only who mistypes pays for it.

    return get_close_matches(word, list(known), n=1)
