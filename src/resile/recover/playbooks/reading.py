"""From the tables that people write to playbooks; and the playbooks that resile ships."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from resile.core.vocabulary import Cause, FaultKind
from resile.recover.playbook import (
    Approval,
    Bound,
    Do,
    Match,
    Playbook,
    PlaybookStep,
    Verify,
)

if TYPE_CHECKING:
    from resile.core.config.playbooks import MatchSection, PlaybookSection, StepSection

_IS_ALIVE = {"any": None, "alive": True, "dead": False}


@cache
def shipped() -> tuple[Playbook, ...]:
    """Give the playbooks that came with this release, by name. Reads files once."""
    from resile.core.config.playbooks import PlaybookSection  # Loads pydantic: only who decides.

    folder = resources.files("resile.recover.playbooks") / "shipped"
    books = []
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if not file.name.endswith(".toml"):
            continue
        table = tomllib.loads(file.read_text(encoding="utf-8"))
        name = table.pop("name")
        books.append(_playbook(name, PlaybookSection.model_validate(table), is_shipped=True))
    return tuple(books)


def playbooks_of(sections: "Mapping[str, PlaybookSection]") -> tuple[Playbook, ...]:
    """Give all playbooks by name: the shipped ones, and those that are declared.

    A declared one takes the place of a shipped one of its name.
    """
    books = {book.name: book for book in shipped()}
    for name, section in sections.items():
        books[name] = _playbook(name, section, is_shipped=False)
    return tuple(books[name] for name in sorted(books))


def _playbook(name: str, section: "PlaybookSection", *, is_shipped: bool) -> Playbook:
    verify = section.verify
    return Playbook(
        name=name,
        why=section.why,
        match=_match(section.match),
        steps=tuple(map(_step, section.steps)),
        version=section.version,
        priority=section.priority,
        verify=Verify(
            within_s=verify.within, command=verify.command or (), timeout_s=verify.timeout
        ),
        undo=tuple(map(_step, section.undo)),
        attempts=section.attempts,
        cool_down_s=section.cool_down,
        approval=Approval(section.approval),
        blast_radius=section.blast_radius or 0,
        bound=Bound(section.bounded_by),
        then=section.then,
        calls_person=section.escalate,
        is_shipped=is_shipped,
    )


def _match(section: "MatchSection") -> Match:
    return Match(
        faults=frozenset(map(FaultKind, section.faults)),
        targets=section.targets,
        is_alive=_IS_ALIVE[section.process],
        needs_upstream=section.upstream == "works",
        after_s=section.after,
        signals=frozenset(section.signals),
        exit_codes=frozenset(section.exit_codes),
        is_oom=section.oom,
        ends=frozenset(section.ends),
        causes=frozenset(map(Cause, section.causes)),
        needs_oom_restart=section.oom_restart,
        needs_change=section.changed,
    )


def _step(section: "StepSection") -> PlaybookStep:
    return PlaybookStep(
        do=Do(section.do),
        command=section.command or (),
        timeout_s=section.timeout,
        is_repeatable=section.repeatable,
        has_backoff=section.backoff,
    )
