"""Reads experiments as the Chaos Toolkit writes them: JSON, or the same in YAML.

Title, hypothesis, method, rollbacks, configuration, secrets from the environment, the providers python,
http and process, pauses, background, references. Controls, extensions and the runtime's own settings are
not done, which is told.

Source: https://chaostoolkit.org/reference/api/experiment/
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from resile.chaos.experiments.model import (
    Activity,
    Call,
    Experiment,
    HttpCall,
    Probe,
    ProcessCall,
    PythonCall,
    Tolerance,
    Variables,
)
from resile.chaos.experiments.tables import Table
from resile.chaos.experiments.tolerances import read_tolerance

STEPS_MAX: Final = 500
_UNDONE: Final = ("controls", "extensions", "runtime", "strategies", "dependencies")
_QUIET: Final = ("version", "tags", "contributions")
"""For people; nothing follows from them."""
_CASTS: Final[Mapping[str, Callable[[str], Any]]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": lambda text: text.strip().lower() in ("1", "true", "yes", "on"),
}


def read_toolkit(data: Any, environ: Mapping[str, str], problems: list[str]) -> Experiment:
    """Read an experiment; what is wrong with it is noted, all at once.

    Args:
        data: What the file has.
        environ: For configuration and secrets that are in the environment.
        problems: Where what is wrong is noted.
    """
    file = Table(data, "", problems)
    title = file.text("title")
    description = file.text("description", "")
    for key in _QUIET:
        file.has(key)
    warnings = [f"{key} of the file is not done by resile" for key in _UNDONE if file.has(key)]
    variables = _variables(file, environ)
    hypothesis = file.mapping("steady-state-hypothesis")
    reader = _Reader(problems)
    probes = reader.probes(Table(hypothesis, "steady-state-hypothesis", problems))
    method = reader.steps(file.tables("method", max_count=STEPS_MAX))
    rollbacks = reader.steps(file.tables("rollbacks", max_count=STEPS_MAX))
    if not method and not rollbacks:
        file.wrong("method", "has no step")
    return Experiment(
        title=title,
        description=description,
        probes=probes,
        method=method,
        rollbacks=rollbacks,
        variables=variables,
        is_judged_before_rollbacks=True,
        warnings=(*warnings, *reader.warnings),
    )


class _Reader:
    """Reads activities, and knows those that have a name, as others refer to them."""

    def __init__(self, problems: list[str]) -> None:
        self.warnings: list[str] = []
        self._problems = problems
        self._named: dict[str, Activity] = {}

    def probes(self, table: Table) -> tuple[Probe, ...]:
        """Read a hypothesis."""
        found = []
        for one in table.tables("probes", max_count=STEPS_MAX):
            activity = self._activity(one)
            if one.raw("tolerance") is None:
                one.wrong("tolerance", "is missing: a probe of the hypothesis needs one")
            if activity is not None and activity.tolerance is not None:
                found.append(
                    Probe(name=activity.name, call=activity.call, tolerance=activity.tolerance)
                )
        return tuple(found)

    def steps(self, tables: list[Table]) -> tuple[Activity, ...]:
        """Read steps; one may refer to another that comes later."""
        own = {table.where: self._activity(table) for table in tables if not table.has("ref")}
        found = (own[t.where] if t.where in own else self._referred(t) for t in tables)
        return tuple(activity for activity in found if activity is not None)

    def _referred(self, table: Table) -> Activity | None:
        name = table.text("ref")
        if name not in self._named:
            table.wrong("ref", f"nothing is named {name!r}")
        return self._named.get(name)

    def _activity(self, table: Table) -> Activity | None:
        """Read an activity; None if its provider is wrong."""
        name = table.text("name")
        kind = table.text("type", "probe")
        if kind not in ("probe", "action"):
            table.wrong("type", f"is {kind!r}, and has to be probe or action")
        if table.has("controls"):
            self.warnings.append(f"controls of {name} are not done by resile")
        call = self._call(table.raw("provider"), f"{table.where}.provider")
        tolerance = self._tolerance(table) if table.raw("tolerance") is not None else None
        pauses = Table(table.mapping("pauses"), f"{table.where}.pauses", self._problems)
        is_background = table.flag("background", default=False)
        if call is None:
            return None
        activity = Activity(
            name=name,
            call=call,
            is_action=kind == "action",
            tolerance=tolerance,
            pause_before_s=pauses.duration("before", 0.0),
            pause_after_s=pauses.duration("after", 0.0),
            is_background=is_background,
        )
        self._named.setdefault(name, activity)
        return activity

    def _tolerance(self, table: Table) -> Tolerance:
        return read_tolerance(
            table.raw("tolerance"),
            lambda data: self._call(data.get("provider"), f"{table.where}.tolerance.provider"),
            lambda problem: table.wrong("tolerance", problem),
        )

    def _call(self, data: Any, where: str) -> Call | None:
        table = Table(data, where, self._problems)
        kind = table.text("type", "")
        reader = {"python": _python, "http": _http, "process": _process}.get(kind)
        if reader is None:
            table.wrong("type", f"is {kind!r}, and has to be python, http or process")
            return None
        return reader(table)


def _python(table: Table) -> Call:
    secrets = table.raw("secrets", [])
    return PythonCall(
        module=table.text("module"),
        func=table.text("func"),
        arguments=table.mapping("arguments"),
        secrets=tuple(secrets) if isinstance(secrets, list) else (str(secrets),),
    )


def _http(table: Table) -> Call:
    timeout = table.raw("timeout")
    if isinstance(timeout, list):  # The first is for the connection alone.
        timeout = sum(one for one in timeout if isinstance(one, int | float))
    usual = HttpCall(url="").timeout_s
    return HttpCall(
        url=table.text("url"),
        method=table.text("method", "GET").upper(),
        headers=table.mapping("headers"),
        arguments=table.raw("arguments"),
        timeout_s=float(timeout) if isinstance(timeout, int | float) else usual,
        verifies_tls=table.flag("verify_tls", default=True),
    )


def _process(table: Table) -> Call:
    timeout = table.raw("timeout")
    arguments = table.raw("arguments", ())
    if not isinstance(arguments, str | list | tuple | Mapping):
        table.wrong("arguments", "has to be a text, a list or a table")
    usual = ProcessCall(path="").timeout_s
    return ProcessCall(
        path=table.text("path"),
        arguments=arguments,
        timeout_s=float(timeout) if isinstance(timeout, int | float) else usual,
        env={str(name): str(value) for name, value in table.mapping("env").items()},
    )


def _variables(file: Table, environ: Mapping[str, str]) -> Variables:
    configuration = {
        name: _value(file, f"configuration.{name}", value, environ)
        for name, value in file.mapping("configuration").items()
    }
    secrets = {
        group: {
            name: _value(file, f"secrets.{group}.{name}", value, environ)
            for name, value in (values if isinstance(values, Mapping) else {}).items()
        }
        for group, values in file.mapping("secrets").items()
    }
    return Variables(configuration=configuration, secrets=secrets)


def _value(file: Table, where: str, value: Any, environ: Mapping[str, str]) -> Any:
    """Give a value that is written in the file, or is in the environment."""
    if not isinstance(value, Mapping) or "type" not in value:
        return value
    if value["type"] != "env":
        file.wrong(
            where, f"comes from {value['type']!r}; resile takes values of the file and of env"
        )
        return None
    key = str(value.get("key", ""))
    if key not in environ and "default" not in value:
        file.wrong(where, f"the environment has no {key!r}, and there is no default")
        return None
    found = environ.get(key, value.get("default"))
    cast = _CASTS.get(str(value.get("env_var_type", "str")), str)
    try:
        return cast(found) if isinstance(found, str) else found
    except ValueError:
        file.wrong(where, f"{key} is not of the type {value['env_var_type']}")
        return None
