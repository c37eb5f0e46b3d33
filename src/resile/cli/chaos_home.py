"""Where the command keeps faults on purpose, and whom it asks before it breaks something."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resile.chaos import Host, Story, Wish, open_host, watch_again
from resile.cli.output import say
from resile.cli.places import find_places
from resile.core.clock import SYSTEM_CLOCK
from resile.core.events import Payload, announce
from resile.core.sentences import sentence
from resile.errors import ConfigError, RejectedError

if TYPE_CHECKING:
    from resile.chaos import Engine

ACTOR = "cli"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The system that is broken, or this user's own folder where there is none.

    Args:
        host: The machine.
        story: Its journal.
    """

    host: Host
    story: Story

    def tell(self, payload: Payload) -> None:
        """Append to the journal, and say it on stderr."""
        self.story.tell(payload)
        say(sentence(announce(payload, at=SYSTEM_CLOCK.now(), actor=ACTOR)))


@contextlib.contextmanager
def opened_home(config: Path | None, *, is_outside_allowed: bool = False) -> Iterator[Home]:
    """Find and open it; what was left there that nobody watches is watched from now on.

    Raises:
        ConfigError: If the configuration that is named is not there.
    """
    try:
        places = find_places(config)
        state, root = places.state, places.config.resolve().parent
    except ConfigError:
        if config is not None:
            raise
        state, root = own_state(os.environ), Path.cwd()
    host = open_host(state, root, is_outside_allowed=is_outside_allowed)
    if watch_again(host):
        say("faults were left that nobody watched: they are being ended")
    story = Story(state / "journal", clock=host.clock, actor=ACTOR)
    try:
        yield Home(host=host, story=story)
    finally:
        story.close()


def confirm(wishes: Sequence[Wish], *, is_sure: bool, as_json: bool) -> None:
    """Ask whether something shall really be broken.

    Raises:
        RejectedError: If not, or nobody can be asked.
    """
    if is_sure or not wishes:
        return
    what = ", ".join(f"{wish.fault} on {wish.target or 'this machine'}" for wish in wishes)
    if as_json or not sys.stdin.isatty():
        raise RejectedError(f"this breaks something on purpose: {what}", hint="say --yes")
    if not click.confirm(f"Break on purpose: {what}?", err=True):
        raise RejectedError("nothing was broken", hint="say --yes to break it")


@contextlib.contextmanager
def interruptible(engine: "Engine") -> Iterator[None]:
    """Let a signal end the experiment in order, instead of this process."""

    def interrupt(number: int, _frame: Any) -> None:
        engine.interrupt(f"{signal.Signals(number).name} came")

    before = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def given_arguments(words: Sequence[str]) -> dict[str, str]:
    """Read `name=value` words.

    Raises:
        ConfigError: If one is none.
    """
    wrong = [word for word in words if "=" not in word or word.startswith("=")]
    if wrong:
        raise ConfigError(f"{wrong[0]!r} is no option", hint="write name=value")
    return dict(word.split("=", 1) for word in words)


def own_state(environ: Mapping[str, str]) -> Path:
    """Give the folder of a user who breaks things without a system."""
    if os.geteuid() == 0:
        return Path("/var/lib/resile")
    return Path(environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()) / "resile"
