"""Switch parts off and on: by the daemon, or here where none answers and that makes sense.

Without a daemon there are contained runs and faults on purpose all the same: for them the switch is
journalled and written for other processes by the command itself. The next brain finds both.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from resile.chaos import Story
from resile.cli.api import PATIENCE_S, TIMEOUT_S, Api
from resile.cli.chaos_home import ACTOR, own_state
from resile.cli.places import Places, find_places
from resile.cli.who import operator
from resile.contain import runs_folder
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.codec import encode
from resile.core.events import Payload, SwitchSet
from resile.core.files import make_private_dir, try_lock
from resile.core.switch_file import read_switches, switches_file, write_switches
from resile.core.switches import Switches, done_text, part_of, until_of
from resile.core.units import format_duration, parse_duration
from resile.core.vocabulary import Part
from resile.errors import ConfigError, DaemonUnreachableError

HERE = frozenset({Part.RUNS, Part.CHAOS})
"""What there is without a daemon, too."""
_ALONE_S = 2.0
"""A file is written within milliseconds; who takes longer hangs."""
_POLL_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """Whose switches they are.

    Args:
        places: Of a system; None: this user's own, outside of any.
        states: The folders whose file other processes read.
    """

    places: Places | None
    states: tuple[Path, ...]

    @property
    def root(self) -> Path:
        """The folder of the system."""
        return self.places.config.resolve().parent if self.places else Path.cwd()

    def api(self, *, timeout_s: float = TIMEOUT_S, patience_s: float = PATIENCE_S) -> Api:
        """Give the way to the daemon.

        Raises:
            DaemonUnreachableError: If there is no system that could have one.
        """
        if self.places is None:
            raise DaemonUnreachableError(
                "there is no resile.toml here or above", hint="name it with -c FILE"
            )
        return Api(self.places, timeout_s=timeout_s, patience_s=patience_s)

    def known(self) -> Switches:
        """Read what is off here.

        Raises:
            OperationError: If that cannot be read.
        """
        return read_switches(self.states[0])

    def note(self, payloads: Sequence[Payload], *, clock: Clock = SYSTEM_CLOCK) -> Switches:
        """Journal what is switched, then tell other processes; give what is off now. Durable.

        Two commands at once wait for each other, as each adds to what it has read.

        Raises:
            OperationError: If it cannot be written.
        """
        for state in self.states:
            with contextlib.closing(Story(state / "journal", clock=clock, actor=ACTOR)) as story:
                for payload in payloads:
                    story.tell(payload)
            with _alone(state, clock):
                switches = read_switches(state)
                for payload in payloads:
                    switches = switches.apply(payload, clock.now())
                write_switches(state, switches)
        return self.known()


@contextlib.contextmanager
def _alone(state: Path, clock: Clock) -> Iterator[None]:
    """Let one command at a time change the file. A switch of an emergency waits for no hanging one."""
    path = switches_file(state).with_suffix(".lock")
    make_private_dir(path.parent)
    deadline_s = clock.monotonic() + _ALONE_S
    while (lock := try_lock(path)) is None and clock.monotonic() < deadline_s:
        clock.sleep(_POLL_S)
    with lock or contextlib.nullcontext():
        yield


def find_home(config: Path | None) -> Home:
    """Find the system, or this user's own folders where there is none.

    Raises:
        ConfigError: If the configuration that is named is not there.
    """
    try:
        places = find_places(config)
    except ConfigError:
        if config is not None:
            raise
        own = {runs_folder(os.environ).parent, own_state(os.environ)}
        return Home(places=None, states=tuple(sorted(own)))
    return Home(places=places, states=(places.state,))


def switch(
    home: Home, words: Sequence[str], *, is_on: bool, for_text: str = "", why: str = ""
) -> Mapping[str, Any]:
    """Switch parts off or on, and give what is off then; durable, and known to every process.

    Args:
        home: Whose.
        words: Parts, or `playbook/NAME`.
        is_on: On; else off.
        for_text: Off, for how long; a duration.
        why: For whoever misses them; off, it is required.

    Raises:
        ConfigError: If anything is wrong; all of it is told, and nothing was done.
        DaemonUnreachableError: If no daemon answers, and a part is none without one.
    """
    clock = SYSTEM_CLOCK
    parts, problems = _read(words)
    until = None
    if not is_on:
        try:
            for_s = parse_duration(for_text)
            until = until_of(for_s, clock.now())
        except ValueError as exc:
            problems.append(f"--for {for_text}: {exc}")
        if not why.strip():
            problems.append("nobody says why it is switched off: say --why TEXT")
    if problems:
        raise ConfigError(
            "nothing was switched", hint="see `resile switches`", problems=tuple(problems)
        )
    body = {"parts": list(words), "is_on": is_on, "why": why, "who": operator()}
    if not is_on:
        body["for_s"] = for_s
    try:
        return dict(home.api().post("/api/switches", body))
    except DaemonUnreachableError as exc:
        if not is_on and (elsewhere := [p for p, _ in parts if p not in HERE]):
            raise _needs_daemon(elsewhere, exc) from exc
    switches = home.note(
        [
            SwitchSet(part=part, name=name, is_on=is_on, until=until, why=why, who=operator())
            for part, name in parts
        ]
    )
    return overview(switches, clock=clock)


def overview(switches: Switches, *, clock: Clock = SYSTEM_CLOCK) -> Mapping[str, Any]:
    """Give what is off as the daemon does."""
    offs = switches.active(clock.now())
    return {
        "switches": [{"word": off.word, **encode(off)} for off in offs],
        "emergency": encode(switches.emergency) if switches.emergency else None,
    }


def now_off(home: Home) -> tuple[Mapping[str, Any], bool]:
    """Give what is off, and whether the daemon says so; else the file does.

    Raises:
        OperationError: If nobody can tell.
    """
    try:
        status = home.api().get("/api/status")
    except DaemonUnreachableError:
        return overview(home.known()), False
    return {key: status.get(key) for key in ("switches", "emergency")}, True


def lines_of(found: Mapping[str, Any]) -> Iterator[str]:
    """Tell what an emergency stop did, and what ends it; nothing where none holds."""
    stop = found.get("emergency")
    if not stop:
        return
    services = "are stopped" if stop["is_stopping_services"] else "are kept"
    why = f": {stop['why']}" if stop["why"] else ""
    yield f"EMERGENCY STOP by {stop['who'] or 'somebody'}; services {services}{why}"
    if stop["is_carried_out"]:
        yield done_text(stop["killed"], stop["undone"])
    else:
        yield "it is being carried out"
    for problem in stop["problems"]:
        yield f"NOT done: {problem}"


def left_of(until: str | None, *, clock: Clock = SYSTEM_CLOCK) -> str:
    """Tell how long something is off still."""
    if until is None:
        return "until it is ended"
    left_s = (datetime.fromisoformat(until) - clock.now()).total_seconds()
    return f"for {format_duration(max(left_s, 0.0))}"


def _read(words: Iterable[str]) -> tuple[list[tuple[Part, str]], list[str]]:
    """Read the parts; names of playbooks are for the daemon to know."""
    parts, problems = [], []
    for word in words:
        try:
            parts.append(part_of(word))
        except ValueError as exc:
            problems.append(str(exc))
    return parts, problems


def _needs_daemon(parts: Sequence[Part], cause: DaemonUnreachableError) -> DaemonUnreachableError:
    return DaemonUnreachableError(
        f"{cause.message}: there is no {', '.join(parts)} to switch off",
        hint=f"without a daemon only {' and '.join(sorted(HERE))} can be switched off",
    )
