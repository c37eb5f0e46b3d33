"""Telling the journal of a system what a command did to its store."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from resile.cli.output import say
from resile.cli.places import find_places
from resile.cli.stores import StoreOptions, place_of
from resile.core.clock import SYSTEM_CLOCK
from resile.core.events import (
    Payload,
    StoreDamaged,
    StoreLost,
    StoreMended,
    StoreReplicated,
    StoreVerified,
    announce,
)
from resile.errors import ConfigError, ResileError
from resile.store import (
    Backend,
    Lag,
    Origin,
    Repaired,
    Replicated,
    Repository,
    Verified,
    open_backend,
)

ACTOR = "command"


def record(options: StoreOptions, store: Repository, *payloads: Payload) -> None:
    """Append events to the journal of the system whose store this is; nothing where there is none.

    What was done is done: if the journal cannot be written, that is said and no more.
    """
    journal = _journal_of(options, store)
    if journal is None or not payloads:
        return
    from resile.core.journal import open_journal

    now = SYSTEM_CLOCK.now()
    try:
        with contextlib.closing(open_journal(journal)) as opened:
            opened.append(*(announce(one, at=now, actor=ACTOR) for one in payloads))
    except ResileError as exc:
        say(f"not in the journal: {exc.message}")


@contextlib.contextmanager
def stopwatch() -> Iterator[list[float]]:
    """Measure how long something takes: the list has the seconds afterwards."""
    took: list[float] = []
    began_s = SYSTEM_CLOCK.monotonic()
    try:
        yield took
    finally:
        took.append(SYSTEM_CLOCK.monotonic() - began_s)


def verified(store: Repository, found: Verified, *, is_full: bool, took_s: float) -> StoreVerified:
    """Tell what verifying found."""
    return StoreVerified(
        place=store.backend.url,
        is_full=is_full,
        files=found.files,
        bytes=found.size_bytes,
        flaws=len(found.flaws),
        duration_s=took_s,
    )


def repaired(store: Repository, done: Repaired, *, took_s: float) -> list[Payload]:
    """Tell what was wrong, what mended it, and what is lost."""
    place = store.backend.url
    damaged = {flaw.name: flaw.what for flaw in done.before.flaws if flaw.is_of_file}
    events: list[Payload] = [
        StoreDamaged(place=place, file=name, what=what) for name, what in damaged.items()
    ]
    events += [
        StoreMended(place=place, file=one.name, origin=one.origin.value, duration_s=took_s)
        for one in done.mended
        if one.origin is not Origin.NONE
    ]
    if done.after is not None:
        if done.after.affected:
            first = done.after.affected[0]
            path = first.path.decode("utf-8", "backslashreplace")
            events.append(StoreLost(place=place, paths=len(done.after.affected), first=path))
        events.append(verified(store, done.after, is_full=bool(damaged), took_s=took_s))
    return events


def replicated(
    store: Repository, target: Backend, done: Replicated, behind: Lag
) -> StoreReplicated:
    """Tell what was copied to a second store."""
    now = SYSTEM_CLOCK.now()
    return StoreReplicated(
        place=store.backend.url,
        replica=target.url,
        copied=done.copied,
        copied_bytes=done.copied_bytes,
        lag_s=(now - behind.oldest_at).total_seconds() if behind.oldest_at else 0.0,
    )


def _journal_of(options: StoreOptions, store: Repository) -> Path | None:
    """Find the journal of the nearest system, if this is its store and it was ever up."""
    try:
        journal = find_places(options.config).journal
        own, _ = place_of(StoreOptions(place=None, key_file=None, config=options.config))
    except (ConfigError, OSError):
        return None
    if not os.path.isdir(journal):  # noqa: PTH112 - a system that was never up has none
        return None
    return journal if open_backend(own).url == store.backend.url else None
