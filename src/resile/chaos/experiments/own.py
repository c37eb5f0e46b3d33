"""Reads experiments in the format of resile: TOML with probes, steps, and the time for recovery."""

from collections.abc import Mapping
from typing import Any, Final

from resile.chaos.arguments import read_arguments
from resile.chaos.catalogue import find_fault
from resile.chaos.experiments.model import (
    Activity,
    Call,
    Experiment,
    HttpCall,
    Injection,
    Pause,
    Probe,
    ProcessCall,
    PythonCall,
    ServiceCall,
    Settle,
    Step,
    Tolerance,
    ToleranceKind,
)
from resile.chaos.experiments.tables import Table
from resile.chaos.experiments.tolerances import read_tolerance
from resile.chaos.model import TTL_S_MAX, TTL_S_MIN, Wish
from resile.chaos.port import Fault
from resile.core.vocabulary import CheckState
from resile.errors import ConfigError

VERSION: Final = 1
PROBES_MAX: Final = 50
STEPS_MAX: Final = 200
HOLD_S: Final = 5.0
"""A fault that lasts is held for so long if nobody says."""
SPARE_S: Final = 30.0
"""The watchdog ends a fault so long after its engine should have."""
RECOVERS_S: Final = 30.0
_CALL_S: Final = 10.0
_EXPECTED: Final[Mapping[type, Any]] = {
    HttpCall: 200,
    ProcessCall: 0,
    PythonCall: True,
    ServiceCall: CheckState.UP.value,
}
"""What a call gives when all is well."""
_NOTHING: Final = PythonCall(module="-", func="-")


def read_own(data: Any, faults: Mapping[str, Fault], problems: list[str]) -> Experiment:
    """Read an experiment; what is wrong with it is noted, all at once.

    Args:
        data: What the file has.
        faults: The catalogue.
        problems: Where what is wrong is noted.
    """
    file = Table(data, "", problems)
    if file.raw("version") != VERSION:
        file.wrong("version", f"has to be {VERSION}")
    recovery = Table(file.mapping("recovery"), "recovery", problems)
    within_s = recovery.duration("within", RECOVERS_S, high=3600)
    experiment = Experiment(
        title=file.text("title"),
        description=file.text("description", ""),
        probes=tuple(_probes(file)),
        method=tuple(_steps(file, faults)),
        rollbacks=tuple(_rollbacks(file)),
        recovers_within_s=within_s,
    )
    if not file.raw("step"):
        file.wrong("step", "there is no [[step]]: nothing would happen")
    if not file.raw("probe"):
        file.wrong("probe", "there is no [[probe]]: nobody could tell what is normal")
    recovery.finish()
    file.finish()
    return experiment


def _probes(file: Table) -> list[Probe]:
    found = []
    for table in file.tables("probe", max_count=PROBES_MAX):
        call = _call(table, "a probe")
        probe = Probe(
            name=table.text("name", _shown(call)),
            call=call,
            tolerance=_expected(table, call),
            is_guard=table.flag("guard", default=False),
            patience_s=table.duration("patience", 0.0, high=3600),
        )
        table.finish()
        found.append(probe)
    return found


def _steps(file: Table, faults: Mapping[str, Fault]) -> list[Step]:
    found: list[Step] = []
    for table in file.tables("step", max_count=STEPS_MAX):
        step: Step | None
        if table.has("fault"):
            step = _injection(table, faults)
        elif table.has("pause"):
            seconds = table.duration("pause", 0.0, high=3600)
            step = Pause(name=table.text("name", "pause"), pause_s=seconds)
        elif table.has("steady"):
            seconds = table.duration("steady", 0.0, high=3600)
            step = Settle(name=table.text("name", "steady again"), within_s=seconds)
        else:
            step = _activity(table, is_action=table.flag("action", default=True))
        table.finish()
        found += [step] if step is not None else []
    return found


def _rollbacks(file: Table) -> list[Activity]:
    found = []
    for table in file.tables("rollback", max_count=STEPS_MAX):
        found.append(_activity(table, is_action=True))
        table.finish()
    return found


def _injection(table: Table, faults: Mapping[str, Fault]) -> Injection | None:
    name = table.text("fault")
    try:
        fault = find_fault(name, faults)
    except ConfigError as exc:
        table.wrong("fault", f"{exc.message}; {exc.hint}")
        return None
    arguments, problems = read_arguments(fault.parameters, table.mapping("with"))
    for problem in problems:
        table.wrong("with", problem)
    usual_s = 0.0 if fault.is_momentary else HOLD_S
    hold_s = table.duration("for", usual_s, high=TTL_S_MAX)
    ttl_s = table.duration("ttl", min(TTL_S_MAX, hold_s + SPARE_S), low=TTL_S_MIN, high=TTL_S_MAX)
    if ttl_s < hold_s:
        table.wrong("ttl", "is shorter than the fault is held: it would end before")
    target = table.text("target", "")
    return Injection(
        name=table.text("name", f"{name} {target}".strip()),
        wish=Wish(fault=name, target=target, arguments=arguments, ttl_s=ttl_s),
        hold_s=hold_s,
        is_background=table.flag("background", default=False),
    )


def _activity(table: Table, *, is_action: bool) -> Activity:
    call = _call(table, "a step")
    return Activity(
        name=table.text("name", _shown(call)),
        call=call,
        is_action=is_action,
        tolerance=_expected(table, call) if table.has("expect") else None,
        is_background=table.flag("background", default=False),
    )


def _call(table: Table, what: str) -> Call:
    """Read what is called; if that is wrong, what is given calls nothing."""
    timeout_s = table.duration("timeout", _CALL_S, low=0.01, high=3600)
    arguments = table.raw("arguments")
    method = table.text("method", "GET")
    headers = table.mapping("headers")

    def http(url: Any) -> Call:
        return HttpCall(
            url=_text(table, "http", url),
            method=method.upper(),
            headers=headers,
            arguments=arguments,
            timeout_s=timeout_s,
        )

    def run(argv: Any) -> Call:
        if not isinstance(argv, list) or not argv or not all(isinstance(a, str) for a in argv):
            table.wrong("run", 'has to be a list of texts, such as ["systemctl", "restart", "x"]')
            return _NOTHING
        return ProcessCall(path=argv[0], arguments=tuple(argv[1:]), timeout_s=timeout_s)

    def call(text: Any) -> Call:
        module, _, function = _text(table, "call", text).partition(":")
        if not module or not function:
            table.wrong("call", 'has to be "module:function"')
        more = arguments if isinstance(arguments, Mapping) else {}
        return PythonCall(module=module, func=function, arguments=more)

    def service(name: Any) -> Call:
        return ServiceCall(service=_text(table, "service", name))

    readers = {"http": http, "run": run, "call": call, "service": service}
    return table.one_of(readers, what) or _NOTHING


def _expected(table: Table, call: Call) -> Tolerance:
    if not table.has("expect"):
        return Tolerance(kind=ToleranceKind.EQUAL, value=_EXPECTED[type(call)])
    return read_tolerance(
        table.raw("expect"),
        lambda data: _call(Table(data, f"{table.where}.expect", table.problems), "a tolerance"),
        lambda problem: table.wrong("expect", problem),
    )


def _text(table: Table, key: str, value: Any) -> str:
    if isinstance(value, str) and value:
        return value
    table.wrong(key, "has to be a text")
    return "-:-"


def _shown(call: Call) -> str:
    """Name a call that nobody named."""
    match call:
        case HttpCall():
            return f"{call.method} {call.url.partition('?')[0]}"
        case ProcessCall():
            return f"run {call.path}"
        case PythonCall():
            return f"{call.module}:{call.func}"
        case ServiceCall():
            return f"service {call.service}"
