"""`resile playbooks`: what is done about which fault, what would be done now, and a person's word on it."""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from resile.cli.api import Api
from resile.cli.options import config_option, json_option
from resile.cli.output import print_json, print_table, say
from resile.cli.places import find_places
from resile.cli.targets import full_target
from resile.cli.who import operator
from resile.core.units import format_duration
from resile.errors import ConfigError, RejectedError

_HEADS = ("playbook", "for", "steps", "priority", "approval", "helped", "from")
_SHORT_MAX = 60

Row = Mapping[str, Any]


@click.group()
def command() -> None:
    """Show what is done about which fault, rehearse it, and use it.

    Playbooks come with resile, and from *.toml files of the folder playbooks/ beside resile.toml.
    """


@command.command("list")
@config_option
@json_option
def list_all(config: Path | None, *, as_json: bool) -> None:
    """List every playbook, and the plans that wait for approval. Works without a daemon, too."""
    found = _overview(config)
    if as_json:
        print_json(found)
        return
    print_table(_HEADS, [_row(book) for book in found["playbooks"]])
    for proposal in found["proposals"]:
        print(f"\n{proposal['plan_id']} waits: {proposal['playbook']} for {proposal['target']}")
        print(f"  {_steps(proposal['steps'])}")
        print(f"  resile playbooks approve {proposal['plan_id']}")


@command.command()
@click.argument("name")
@config_option
@json_option
def show(name: str, config: Path | None, *, as_json: bool) -> None:
    """Show one playbook with everything that is declared. Works without a daemon, too."""
    books = {book["name"]: book for book in _overview(config)["playbooks"]}
    if name not in books:
        raise ConfigError(
            f"there is no playbook {name!r}", hint=f"there are: {', '.join(sorted(books))}"
        )
    if as_json:
        print_json(books[name])
        return
    for line in _told(books[name]):
        print(line)


@command.command()
@click.argument("name")
@click.option("--fault", default="", help="A kind of fault. Default: those that it is for.")
@click.option("--target", default="", help="A service or check. Default: those with such a fault.")
@config_option
@json_option
def test(name: str, config: Path | None, *, fault: str, target: str, as_json: bool) -> None:
    """Tell what NAME would do in the system as it is now, and what keeps it from that.

    Nothing is done. Where no fault is open that it is for, one is supposed.
    """
    api = Api(find_places(config))
    full = _full_target(api, target) if target else ""
    found = api.get(f"/api/playbooks/{name}/rehearsal", fault=fault, target=full)
    if as_json:
        print_json(found)
        return
    for rehearsal in found["rehearsals"]:
        _tell_rehearsal(rehearsal)


@command.command()
@click.argument("name")
@click.argument("target")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
@json_option
def run(name: str, target: str, config: Path | None, *, yes: bool, as_json: bool) -> None:
    """Use NAME on TARGET, a service or check, now: whatever it matches and its budget says.

    Where something is wrong with the machine, a store or anything else that an incident names, that may be the
    TARGET, too: write it as the incident does, such as store/PLACE.
    Asks first on a terminal; elsewhere it wants --yes. Returns when it is in the journal;
    `resile events -f` shows how it goes on.
    """
    api = Api(find_places(config))
    full = _full_target(api, target)
    if not yes:
        _confirm(api, f"run {name} {full}", f"uses {name} on {full}")
    answer = api.post(f"/api/playbooks/{name}/run", {"target": full, "who": operator()})
    if as_json:
        print_json(answer)
    else:
        print(f"{answer['plan_id']}: {_steps(answer['steps'])}")


@command.command()
@click.argument("name", default="")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
@json_option
def forget(name: str, config: Path | None, *, yes: bool, as_json: bool) -> None:
    """Forget what was learned of NAME, or of every playbook: each is tried in its first place again.

    Asks first on a terminal; elsewhere it wants --yes.
    """
    api = Api(find_places(config))
    if not yes:
        _confirm(
            api, f"forget {name}".rstrip(), f"forgets how often {name or 'every playbook'} helped"
        )
    answer = api.post("/api/playbooks/forget", {"name": name, "who": operator()})
    if as_json:
        print_json(answer)
    else:
        print(f"forgotten: {', '.join(answer['forgotten']) or 'nothing had been learned'}")


@command.command()
@click.argument("plan")
@config_option
@json_option
def approve(plan: str, config: Path | None, *, as_json: bool) -> None:
    """Let a plan that waits be done. `resile playbooks list` shows those that wait."""
    _answer(plan, config, is_approved=True, as_json=as_json)


@command.command()
@click.argument("plan")
@config_option
@json_option
def refuse(plan: str, config: Path | None, *, as_json: bool) -> None:
    """Refuse a plan that waits; its playbook is not proposed again for the fault."""
    _answer(plan, config, is_approved=False, as_json=as_json)


def _answer(plan: str, config: Path | None, *, is_approved: bool, as_json: bool) -> None:
    api = Api(find_places(config))
    body = {"is_approved": is_approved, "who": operator()}
    answer = api.post(f"/api/playbooks/proposals/{plan}/answer", body)
    if as_json:
        print_json(answer)
    else:
        word = "approved" if is_approved else "refused"
        print(f"{answer['plan_id']} is {word}: {_steps(answer['steps'])}")


def _overview(config: Path | None) -> Row:
    """Ask the daemon; where none answers, read the files."""
    places = find_places(config)
    api = Api(places)
    if api.is_answering():
        answer: Row = api.get("/api/playbooks")
        return answer
    from resile.core.codec import encode
    from resile.core.config import load_config
    from resile.recover.playbooks import playbooks_of

    loaded = load_config(places.config, environ=os.environ)
    return {"playbooks": [encode(b) for b in playbooks_of(loaded.playbook)], "proposals": []}


def _full_target(api: Api, name: str) -> str:
    """Give the whole name of a target; what need not be declared, such as a store, is named by it."""
    kind, _, rest = name.partition("/")
    is_other = name == "machine" or (rest and kind not in ("service", "check"))
    return name if is_other else full_target(api, name)


def _confirm(api: Api, words: str, does: str) -> None:
    if not sys.stdin.isatty():
        raise RejectedError("nobody can be asked here", hint=f"`resile playbooks {words} --yes`")
    say(f"this {does} of {api.places.config.parent}")
    click.confirm("Go on?", abort=True, err=True)


def _row(book: Row) -> tuple[str, ...]:
    return (
        book["name"],
        ", ".join(book["match"]["faults"]),
        _short(", ".join(_declared(step) for step in book["steps"])),
        str(book["priority"]),
        book["approval"],
        _helped(book),
        "resile" if book["is_shipped"] else "here",
    )


def _told(book: Row) -> Iterable[str]:
    match, verify = book["match"], book["verify"]
    yield f"{book['name']} (version {book['version']}): {book['why']}"
    yield f"for      {', '.join(match['faults'])} of {', '.join(match['targets'])}"
    for key, value in match.items():
        if key not in ("faults", "targets") and value not in (None, False, [], 0, 0.0):
            yield f"         {key}: {value}"
    yield from _listed("does", book["steps"])
    within = verify["within_s"]
    proof = f", and {' '.join(verify['command'])} exits with 0" if verify["command"] else ""
    time = (
        "in the time that its target needs" if within is None else f"in {format_duration(within)}"
    )
    yield f"helped   if the symptom is gone {time}{proof}"
    yield from _listed("undo", book["undo"])
    yield f"priority {book['priority']}, approval {book['approval']}, bounded by {book['bound']}"
    limits = {
        "attempts": book["attempts"],
        "cool-down": format_duration(book["cool_down_s"]) if book["cool_down_s"] else "",
        "blast radius": book["blast_radius"],
        "then": book["then"],
    }
    for key, value in limits.items():
        if value:
            yield f"         {key}: {value}"
    yield from _told_learned(book)


def _helped(book: Row) -> str:
    """Sum what was learned up: tries that helped, of all."""
    learned = book.get("learned", ())
    helped = sum(one["helped"] for one in learned)
    tries = helped + sum(one["failed"] for one in learned)
    return f"{helped} of {tries}" if tries else "-"


def _told_learned(book: Row) -> Iterable[str]:
    for index, one in enumerate(book.get("learned", ())):
        yield f"{'learned' if index == 0 else '':8} {one['fault']}: {one['why']}"
    for one in book.get("passed_over", ()):
        until = datetime.fromisoformat(one["until"]).astimezone().isoformat(" ", "seconds")
        yield f"         passed over on {one['target']} until {until}: did not help {one['count']} times in a row"


def _listed(head: str, steps: Sequence[Row]) -> Iterable[str]:
    for index, step in enumerate(steps):
        yield f"{head if index == 0 else '':8} {index + 1}. {_declared(step)}"


def _tell_rehearsal(rehearsal: Row) -> None:
    about = f"{rehearsal['fault']} of {rehearsal['target']}"
    print(f"{about} ({'open' if rehearsal['is_open'] else 'supposed'})")
    print(f"  would: {_steps(rehearsal['steps']) or 'do nothing'}")
    print(f"  helped if the symptom is gone in {format_duration(rehearsal['verify_s'])}")
    if rehearsal["undo"]:
        print(f"  undo:  {_steps(rehearsal['undo'])}")
    if rehearsal["before"]:
        print(f"  after: {', '.join(rehearsal['before'])}")
    print(f"  learned: {rehearsal['learned']['why']}")
    if rehearsal["asks"]:
        print("  a person must approve it")
    for why in rehearsal["hindrances"]:
        print(f"  not now: {why}")


def _declared(step: Row) -> str:
    return " ".join(step["command"]) if step["command"] else str(step["do"])


def _steps(steps: Sequence[Row]) -> str:
    return ", then ".join(
        f"run {' '.join(step['command'])}"
        if step["command"]
        else f"{step['action']} {step['target'].partition('/')[2]}"
        for step in steps
    )


def _short(text: str) -> str:
    return text if len(text) <= _SHORT_MAX else f"{text[:_SHORT_MAX]}..."
