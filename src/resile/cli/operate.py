"""Start, stop and restart: ask the daemon, then wait until it has been done."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from resile.cli.api import Api, service_path
from resile.cli.options import config_option, json_option, wait_options
from resile.cli.output import print_json, say
from resile.cli.places import find_places
from resile.cli.who import operator
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.vocabulary import CheckState, Phase, Verb
from resile.errors import OperationError

_POLL_S = 0.1

Service = Mapping[str, Any]


def operating_command(verb: Verb, *, text: str) -> click.Command:
    """Make the subcommand that does one thing to the services that are named, and waits for it.

    Args:
        verb: What it does.
        text: Its help.
    """

    @click.command(help=text)
    @click.argument("services", nargs=-1, required=True)
    @wait_options
    @config_option
    @json_option
    def command(
        services: tuple[str, ...],
        config: Path | None,
        *,
        timeout_s: float,
        no_wait: bool,
        as_json: bool,
    ) -> None:
        api = Api(find_places(config))
        operate(api, verb, services, timeout_s=None if no_wait else timeout_s, as_json=as_json)

    return command


def operate(
    api: Api,
    verb: Verb,
    names: Sequence[str],
    *,
    timeout_s: float | None,
    as_json: bool,
    clock: Clock = SYSTEM_CLOCK,
) -> None:
    """Ask for a change of these services, all of them if none is named, and wait until it is done.

    Args:
        api: Whom to ask.
        verb: Start, stop or restart.
        names: The services; every one is looked up before anything is asked.
        timeout_s: How long to wait for all together; None does not wait.
        as_json: Print the services afterwards as JSON.
        clock: Bounds the wait.

    Raises:
        ConfigError: If a service is unknown; nothing was asked then.
        OperationError: If a service is quarantined meanwhile, or the time is over.
    """
    if names:
        before = {name: dict(api.get(service_path(name))) for name in names}
        for name in before:
            api.post(service_path(name, verb), {"who": operator()})
    else:
        before = {service["name"]: service for service in api.get("/api/status")["services"]}
        api.post(f"/api/{verb}", {"who": operator()})
    if timeout_s is None:
        _tell(api, before, f"{verb} is asked for", as_json=as_json)
        return
    _wait(api, verb, before, deadline=clock.monotonic() + timeout_s, clock=clock, quiet=as_json)
    _tell(api, before, {Verb.STOP: "stopped"}.get(verb, "running"), as_json=as_json)


def _wait(
    api: Api,
    verb: Verb,
    before: Mapping[str, Service],
    *,
    deadline: float,
    clock: Clock,
    quiet: bool,
) -> None:
    is_done = _DONE[verb]
    left = dict(before)
    while True:
        now = {service["name"]: service for service in api.get("/api/status")["services"]}
        for name in [name for name in left if name in now and is_done(left[name], now[name])]:
            del left[name]
            if left and not quiet:
                say(f"{name}: {now[name]['phase']}")
        if not left:
            return
        _refuse_failed(verb, left, now)
        if clock.monotonic() >= deadline:
            states = ", ".join(f"{name} is {now[name]['phase']}" for name in left if name in now)
            raise OperationError(
                f"not done in time: {states or 'the services are gone'}",
                hint="it goes on; look with `resile status`, or wait longer with --timeout",
            )
        clock.sleep(_POLL_S)


def _refuse_failed(verb: Verb, left: Mapping[str, Service], now: Mapping[str, Service]) -> None:
    for name, before in left.items():
        service = now.get(name, {})
        if verb is Verb.STOP or not _is_new(before, service):
            continue
        if service.get("phase") == Phase.STOPPED and service.get("state") == CheckState.DOWN:
            raise OperationError(
                f"{name} {service.get('reason', 'failed')}",
                hint=f"see why with `resile logs {name}`",
            )
        if service.get("phase") == Phase.QUARANTINED:
            raise OperationError(
                f"{name} ended too often and is quarantined: {service.get('reason', '')}",
                hint=f"see why with `resile logs {name}`, then `resile start {name}`",
            )


def _is_new(before: Service, now: Service) -> bool:
    return bool(now.get("generation", 0) > before.get("generation", 0))


def _is_running(before: Service, now: Service) -> bool:
    """Tell whether it runs, or was a job that has ended well meanwhile."""
    has_finished = now["phase"] == Phase.STOPPED and now.get("state") == CheckState.MAINTENANCE
    return bool(now["phase"] == Phase.RUNNING) or (_is_new(before, now) and has_finished)


def _is_stopped(_before: Service, now: Service) -> bool:
    return bool(now["phase"] == Phase.STOPPED)


def _is_renewed(before: Service, now: Service) -> bool:
    return _is_new(before, now) and _is_running(before, now)


_DONE: Mapping[Verb, Callable[[Service, Service], bool]] = {
    Verb.START: _is_running,
    Verb.STOP: _is_stopped,
    Verb.RESTART: _is_renewed,
}


def _tell(api: Api, names: Mapping[str, Service], text: str, *, as_json: bool) -> None:
    if not as_json:
        print(f"{', '.join(names) or 'no service'}: {text}")
        return
    services = [s for s in api.get("/api/status")["services"] if s["name"] in names]
    print_json({"services": services})
