"""What only the whole file can tell: names that point nowhere, circles, services in two groups.

Works on the raw data, so that these faults are told together with those of single keys.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from resile.core.config.faults import Fault, Path, did_you_mean
from resile.core.config.playbook_checks import playbook_faults
from resile.core.config.policies import policy_faults
from resile.core.config.secret_checks import secret_faults

Need = tuple[Path, str]
"""The place of a dependency, and the name that stands there."""
_NO_NEED: Need = ((), "")


def cross_check(data: Mapping[str, Any]) -> tuple[Fault, ...]:
    """Find every fault that lies between tables. Data of the wrong type is passed over."""
    return tuple(
        fault
        for find in (
            _twice_named,
            _unknown_needs,
            _circles,
            _group_members,
            _processes,
            _unnotified,
            _unlimited,
            _halted,
            _loaded,
            secret_faults,
            policy_faults,
            playbook_faults,
        )
        for fault in find(data)
    )


def _twice_named(data: Mapping[str, Any]) -> Iterator[Fault]:
    for name in _tables(data, "check"):
        if name in _tables(data, "service"):
            yield Fault(
                path=("check", name),
                message=f'a service is called "{name}" too',
                hint="give the check another name; depends_on could not tell them apart",
            )


def _unknown_needs(data: Mapping[str, Any]) -> Iterator[Fault]:
    known = {*_tables(data, "service"), *_tables(data, "check")}
    for name, needs in _all_needs(data).items():
        for path, need in needs:
            if need not in known:
                hint = did_you_mean(need, known - {name})
                yield Fault(path=path, message=f'no service or check is called "{need}"', hint=hint)


def _circles(data: Mapping[str, Any]) -> Iterator[Fault]:
    """Report each circle of dependencies once, at the key that closes it."""
    graph = _all_needs(data)
    done: set[str] = set()
    for start in graph:
        if start not in done:
            yield from _walk(graph, start, done)


def _walk(graph: Mapping[str, list[Need]], start: str, done: set[str]) -> Iterator[Fault]:
    """Go depth first without recursion, so that a long chain cannot overflow the stack."""
    trail = [start]
    stack = [iter(graph[start])]
    while stack:
        path, need = next(stack[-1], _NO_NEED)
        if not path:
            stack.pop()
            done.add(trail.pop())
        elif need in trail:
            circle = " -> ".join([*trail[trail.index(need) :], need])
            yield Fault(
                path=path,
                message=f"the services wait for each other: {circle}",
                hint="take one of these dependencies away",
            )
        elif need in graph and need not in done:
            trail.append(need)
            stack.append(iter(graph[need]))


def _group_members(data: Mapping[str, Any]) -> Iterator[Fault]:
    services = _tables(data, "service")
    owner: dict[str, str] = {}
    for group, table in _tables(data, "group").items():
        for index, member in _texts(table.get("services")):
            path = ("group", group, "services", index)
            if member not in services:
                hint = did_you_mean(member, services)
                yield Fault(path=path, message=f'no service is called "{member}"', hint=hint)
            elif member in owner:
                yield Fault(
                    path=path,
                    message=f'"{member}" is in group "{owner[member]}" already',
                    hint="a service is in one group, once",
                )
            owner.setdefault(member, group)


def _processes(data: Mapping[str, Any]) -> Iterator[Fault]:
    services = _tables(data, "service")
    for name, table in _tables(data, "check").items():
        target = table.get("process")
        if isinstance(target, str) and target not in services:
            yield Fault(
                path=("check", name, "process"),
                message=f'no service is called "{target}"',
                hint=did_you_mean(target, services),
            )


def _unlimited(data: Mapping[str, Any]) -> Iterator[Fault]:
    for name, table in _tables(data, "service").items():
        limits = table.get("limits")
        has_limit = isinstance(limits, Mapping) and limits.get("memory") is not None
        if table.get("oom") == "restart" and not has_limit:
            yield Fault(
                path=("service", name, "oom"),
                message="needs limits.memory",
                hint='add limits = { memory = "512MiB" }; nothing is reached without a limit',
            )


def _unnotified(data: Mapping[str, Any]) -> Iterator[Fault]:
    hint = "add notify = true to the service; the ping comes through the same socket"
    for name, table in _tables(data, "service").items():
        live = table.get("live")
        if table.get("notify") is True:
            continue
        if table.get("watchdog") not in (None, 0, "0s"):
            yield Fault(
                path=("service", name, "watchdog"), message="needs notify = true", hint=hint
            )
        if isinstance(live, dict) and "heartbeat" in live:
            yield Fault(
                path=("service", name, "live", "heartbeat"),
                message="needs notify = true",
                hint=hint,
            )


def _halted(data: Mapping[str, Any]) -> Iterator[Fault]:
    services = _tables(data, "service")
    for name, table in _tables(data, "snapshot").items():
        for index, service in _texts(table.get("halt")):
            if service not in services:
                yield Fault(
                    path=("snapshot", name, "halt", index),
                    message=f'no service is called "{service}"',
                    hint=did_you_mean(service, services),
                )
        if table.get("halt") and table.get("protect") is not True:
            yield Fault(
                path=("snapshot", name, "halt"),
                message="needs protect = true",
                hint="nothing is brought back, and nobody halted, in a folder without it",
            )


def _loaded(data: Mapping[str, Any]) -> Iterator[Fault]:
    load = _tables(data, "drill").get("load", {})
    name, services = load.get("service"), _tables(data, "service")
    if isinstance(name, str) and name and name not in services:
        yield Fault(
            path=("drill", "load", "service"),
            message=f'no service is called "{name}"',
            hint=did_you_mean(name, services),
        )


def _tables(data: Mapping[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    tables = data.get(kind)
    if not isinstance(tables, dict):
        return {}
    return {name: table for name, table in tables.items() if isinstance(table, dict)}


def _all_needs(data: Mapping[str, Any]) -> dict[str, list[Need]]:
    return {
        name: [
            (("service", name, "depends_on", index), need)
            for index, need in _texts(table.get("depends_on"))
        ]
        for name, table in _tables(data, "service").items()
    }


def _texts(value: object) -> list[tuple[int, str]]:
    if not isinstance(value, list):
        return []
    return [(index, item) for index, item in enumerate(value) if isinstance(item, str)]
