"""`resile events`: what happened, from the daemon, or from the journal itself without one."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from resile.cli.api import Api
from resile.cli.options import config_option, json_option, time
from resile.cli.output import clean, print_json, print_json_line, say
from resile.cli.places import Places, find_places
from resile.errors import DaemonUnreachableError

LIMIT_MAX = 1000
"""The most that the daemon gives in one answer."""
_IDLE_S = 60.0

Event = dict[str, Any]


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens, until Ctrl-C.")
@click.option(
    "-k",
    "--kind",
    "kinds",
    multiple=True,
    metavar="KIND",
    help="Only this kind, or `incident.*` for all of a part. May be given several times.",
)
@click.option("-s", "--subject", default="", help="Only what is about this: service/NAME.")
@click.option("--since", type=time, help="Only what happened since: 10m, or an ISO time.")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1, LIMIT_MAX),
    default=100,
    show_default=True,
    help="At most so many, the newest.",
)
@config_option
@json_option
def command(
    config: Path | None,
    *,
    follow: bool,
    kinds: tuple[str, ...],
    subject: str,
    since: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show what happened, oldest first.

    Without a daemon the journal is read directly. With --follow --json each event is one line.
    """
    places = find_places(config)
    source: _Daemon | _File = _Daemon(places)
    wanted: dict[str, Any] = {"kinds": kinds, "subject": subject, "since": since, "limit": limit}
    try:
        events, last_seq = source.newest(**wanted)
    except DaemonUnreachableError:
        source = _File(places)
        events, last_seq = source.newest(**wanted)
        say("no daemon answers; this is read from the journal")
    if as_json and not follow:
        print_json({"events": events})
        return
    for event in events:
        _print(event, as_json=as_json)
    if follow:
        for event in source.follow(last_seq):
            if _matches(event, kinds, subject):
                _print(event, as_json=as_json)


class _Daemon:
    """The events that the daemon gives."""

    def __init__(self, places: Places) -> None:
        self._api = Api(places)

    def newest(
        self, *, kinds: tuple[str, ...], subject: str, since: datetime | None, limit: int
    ) -> tuple[list[Event], int]:
        """Give the newest ones that match, oldest first, and the last sequence number of all."""
        last_seq = self._api.get("/api/status")["journal"]["seq"]
        answer = self._api.get(
            "/api/events",
            kinds=",".join(kinds),
            subject=subject,
            since=since.isoformat() if since else None,
            limit=limit,
            newest_first="true",
        )
        events = answer["events"][::-1]
        return events, max([last_seq, *(event["seq"] for event in events)])

    def follow(self, after_seq: int) -> Iterator[Event]:
        """Give what comes."""
        return self._api.follow(after_seq=after_seq)


class _File:
    """The events that stand in the journal."""

    def __init__(self, places: Places) -> None:
        from resile.core.journal import open_journal

        self._journal = open_journal(places.journal, create=False)

    def newest(
        self, *, kinds: tuple[str, ...], subject: str, since: datetime | None, limit: int
    ) -> tuple[list[Event], int]:
        """Give the newest ones that match, oldest first, and the last sequence number of all."""
        from resile.core.journal import Query, record_json

        last_seq = self._journal.head().seq
        query = Query(kinds=kinds, subject=subject, since=since, limit=limit, is_newest_first=True)
        events = [record_json(record) for record in reversed(self._journal.read(query))]
        return events, max([last_seq, *(event["seq"] for event in events)])

    def follow(self, after_seq: int) -> Iterator[Event]:
        """Give what another process appends, for ever."""
        from resile.core.journal import record_json

        while True:
            for record in self._journal.follow(after_seq=after_seq, timeout_s=_IDLE_S):
                after_seq = record.seq
                yield record_json(record)


def _matches(event: Event, kinds: tuple[str, ...], subject: str) -> bool:
    kind = event["kind"]
    is_kind = not kinds or any(
        kind == wanted or (wanted.endswith(".*") and kind.startswith(wanted[:-1]))
        for wanted in kinds
    )
    return is_kind and subject in ("", event["subject"])


def _print(event: Event, *, as_json: bool) -> None:
    if as_json:
        print_json_line(event)
        return
    at = datetime.fromisoformat(event["at"]).astimezone().isoformat(" ", "milliseconds")
    text = event.get("text", "")
    line = f"{at[:23]}  {event['kind']:<22} {event['subject']:<24} {text}"
    print(clean(line.rstrip()), flush=True)
