"""What an experiment is made of, whatever the format of its file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from resile.chaos.model import Wish


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonCall:
    """A function of a module that Python can import.

    Args:
        module: The module.
        func: Its function.
        arguments: By keyword; `${name}` is filled in.
        secrets: The groups of secrets that it wants as an argument.
    """

    module: str
    func: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCall:
    """A request; its value has `status`, `headers` and `body`.

    Args:
        url: Where to.
        method: How.
        headers: With it.
        arguments: The query of a GET, else the body.
        timeout_s: For all of it.
        verifies_tls: A certificate must be good.
    """

    url: str
    method: str = "GET"
    headers: Mapping[str, Any] = field(default_factory=dict)
    arguments: Any = None
    timeout_s: float = 10.0
    verifies_tls: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessCall:
    """A command; its value has `status`, `stdout` and `stderr`.

    Args:
        path: The program.
        arguments: A text is split as a shell would; a table gives each name and its value.
        timeout_s: After it, the command is killed and has failed.
        env: What is added to the environment.
    """

    path: str
    arguments: Any = ()
    timeout_s: float = 60.0
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceCall:
    """A look at a service of this system; its value is its state, such as `UP`."""

    service: str


Call = PythonCall | HttpCall | ProcessCall | ServiceCall


class ToleranceKind(StrEnum):
    """How a value is judged."""

    EQUAL = "equal"
    """It is this one; of a request or a command, its status."""
    ONE_OF = "one_of"
    RANGE = "range"
    """Between two numbers, both allowed."""
    REGEX = "regex"
    JSONPATH = "jsonpath"
    PROBE = "probe"
    """Another call says so, which gets the value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What a value must be.

    Args:
        kind: How it is judged.
        value: The value, the values, the two bounds, the pattern or the path.
        target: The part of the value that is judged, such as `stdout`; empty: all of it.
        expect: What the path must give; None: anything.
        count: How much the path must give; None: at least one.
        call: Who judges.
    """

    kind: ToleranceKind
    value: Any = None
    target: str = ""
    expect: Any = None
    count: int | None = None
    call: Call | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A look at the system that tells whether it is in its steady state.

    Args:
        name: For people.
        call: The look.
        tolerance: What it must give.
        is_guard: It is looked at all the time, and the experiment is aborted when it does not hold.
        patience_s: It may not hold for less than that.
    """

    name: str
    call: Call
    tolerance: Tolerance
    is_guard: bool = False
    patience_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """A step that calls something.

    Args:
        name: For people.
        call: What.
        is_action: It changes something: a failure makes the experiment prove nothing.
        tolerance: What it should give, for the report; None: anything.
        pause_before_s: Before it.
        pause_after_s: After it.
        is_background: The next step does not wait for its end.
    """

    name: str
    call: Call
    is_action: bool
    tolerance: Tolerance | None = None
    pause_before_s: float = 0.0
    pause_after_s: float = 0.0
    is_background: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """A step that injects a fault.

    Args:
        name: For people.
        wish: The fault.
        hold_s: It is taken back after so long.
        is_background: The next step begins at once; it is taken back when the method ends.
    """

    name: str
    wish: Wish
    hold_s: float
    is_background: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A step that waits."""

    name: str
    pause_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """A step that waits until the steady state holds again; if it does not, the system has deviated."""

    name: str
    within_s: float


Step = Activity | Injection | Pause | Settle


@dataclass(frozen=True, slots=True, kw_only=True)
class Variables:
    """What `${name}` stands for. Secrets are in no text that is made of it.

    Args:
        configuration: Values by name; these win.
        secrets: Values by name, in groups.
    """

    configuration: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """What is normal, what is broken, and what must be normal again.

    Args:
        title: For people.
        description: For people.
        probes: The steady state.
        method: The steps.
        rollbacks: Afterwards, always.
        variables: For `${name}`.
        recovers_within_s: The steady state must hold so long after the end at the latest; 0: at once.
        is_judged_before_rollbacks: The steady state must hold at the end of the method, too.
        warnings: What of the file is not done.
    """

    title: str
    description: str = ""
    probes: tuple[Probe, ...] = ()
    method: tuple[Step, ...] = ()
    rollbacks: tuple[Activity, ...] = ()
    variables: Variables = field(default_factory=Variables)
    recovers_within_s: float = 0.0
    is_judged_before_rollbacks: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def injections(self) -> tuple[Injection, ...]:
        """The steps that inject a fault."""
        return tuple(step for step in self.method if isinstance(step, Injection))
