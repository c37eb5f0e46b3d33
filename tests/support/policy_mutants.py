"""Plausible mistakes in policies, planted in memory: each must be found by the simulation.

A mutant is an edit of a module's source. The edited source is compiled, and the code objects of the
module's functions and methods are replaced by its own, so that whoever imported them gets the
mistake too; afterwards they are put back. No file is written.
"""

import importlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from types import CodeType, FunctionType, ModuleType
from typing import Any


@dataclass(frozen=True)
class Mutant:
    """One mistake.

    Args:
        name: What is wrong.
        module: Below `package`.
        before: Lines that stand there once.
        after: What is put in their place.
        worlds: Where it has to be found, such as "tasks breaker".
        package: Where the module is.
    """

    name: str
    module: str
    before: str
    after: str
    worlds: tuple[str, ...] = ()
    package: str = "resile.policies"

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Have the mistake in the code inside."""
        module = importlib.import_module(f"{self.package}.{self.module}")
        source = inspect.getsource(module)
        assert source.count(self.before) == 1, f"{self.name}: the source has changed; plant it anew"
        edited = compile(source.replace(self.before, self.after), str(module.__file__), "exec")
        originals = []
        for name, code in functions_of(edited):
            function = find(module, name)
            if function is not None and not is_same(function.__code__, code):
                originals.append((function, function.__code__))
                function.__code__ = code
        assert originals, f"{self.name}: it changes no function"
        try:
            yield
        finally:
            for function, code in originals:
                function.__code__ = code


def functions_of(code: CodeType) -> Iterator[tuple[str, CodeType]]:
    """Give the functions and methods of a module's code by their full names."""
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield inner.co_qualname, inner
            yield from functions_of(inner)


def find(module: ModuleType, name: str) -> FunctionType | None:
    """Find the function of a full name, below its decorators."""
    found: Any = module
    for part in name.split("."):
        found = vars(found).get(part) if hasattr(found, "__dict__") else None
    if isinstance(found, property):
        found = found.fget
    if isinstance(found, cached_property):
        found = found.func
    return found if isinstance(found, FunctionType) and not hasattr(found, "__wrapped__") else None


def is_same(one: CodeType, other: CodeType) -> bool:
    """Tell whether two functions do the same, wherever they stand."""

    def parts(code: CodeType) -> tuple[object, ...]:
        inner = (one if not isinstance(one, CodeType) else parts(one) for one in code.co_consts)
        return code.co_code, tuple(map(repr, inner)), code.co_names, code.co_freevars

    return parts(one) == parts(other)


BREAKER = ("tasks breaker", "threads breaker")
GATE = ("tasks bulkhead", "threads bulkhead", "tasks adaptive")
RATE = ("tasks rate", "threads rate")
BUDGET = ("tasks budget", "threads budget")
HEDGE = ("tasks hedge", "threads hedge")

MUTANTS = (
    Mutant(
        "one permit too many",
        "circuit",
        "if len(self._leases) >= self.policy.permits:",
        "if len(self._leases) > self.policy.permits:",
        BREAKER,
    ),
    Mutant(
        "leases of an older generation keep their permits",
        "circuit",
        "        self._leases.clear()\n        self._successes = 0",
        "        self._successes = 0",
        BREAKER,
    ),
    Mutant(
        "good probes of an earlier half-open time count",
        "circuit",
        "        self._leases.clear()\n        self._successes = 0",
        "        self._leases.clear()",
        BREAKER,
    ),
    Mutant(
        "a stale probe is heard",
        "circuit",
        "if lease.generation != self._generation or self._leases.pop(lease.number, None) is None:",
        "if self._leases.pop(lease.number, None) is None and is_bad is None:",
        BREAKER,
    ),
    Mutant(
        "one good probe too many is needed",
        "circuit",
        "if self._successes >= self.policy.successes:",
        "if self._successes > self.policy.successes:",
        BREAKER,
    ),
    Mutant(
        "a cancelled probe counts as a good one",
        "circuit",
        "elif is_bad is False:",
        "else:",
        BREAKER,
    ),
    Mutant(
        "the open time does not grow after a bad probe",
        "circuit",
        'self._open(now, "a probe failed", is_again=True)',
        'self._open(now, "a probe failed", is_again=False)',
        BREAKER,
    ),
    Mutant(
        "the open time grows though it had closed",
        "circuit",
        "self._reopened = self._reopened + 1 if is_again else 0",
        "self._reopened += 1",
        BREAKER,
    ),
    Mutant(
        "a probe that never comes back is waited for",
        "circuit",
        "any(end <= now for end in self._leases.values())",
        "any(end + 60 <= now for end in self._leases.values())",
        BREAKER,
    ),
    Mutant(
        "it closes with the old row of failures",
        "circuit",
        "        self.open_until = -inf\n        self._start_windows(now, seq)\n        self._enter",
        "        self.open_until = -inf\n        self._enter",
        BREAKER,
    ),
    Mutant(
        "half-open calls need no permit",
        "circuit",
        "return self.state is CLOSED and self.mode is BreakerMode.AUTOMATIC",
        "return self.state is not OPEN and self.mode is BreakerMode.AUTOMATIC",
        BREAKER,
    ),
    Mutant(
        "one failure too many is borne",
        "windows",
        "return self._count >= self._limit",
        "return self._count > self._limit",
        BREAKER,
    ),
    Mutant(
        "a success does not end the row",
        "breaking",
        "self.hot = circuit.is_hot(now, seq)",
        "self.hot = False",
        BREAKER,
    ),
    Mutant(
        "a cancelled probe keeps its lease",
        "breaking",
        "            self._layer.settle(self._lease, is_bad=None)\n            self._lease = None",
        "            self._lease = None",
        BREAKER,
    ),
    Mutant(
        "an exploding call is not closed",
        "_async",
        "        probe.returned(result)\n        return result\n    finally:\n        probe.close()",
        "        probe.returned(result)\n        return result\n    finally:\n        pass",
        BREAKER,
    ),
    Mutant(
        "a failure that is over becomes a probe",
        "breaking",
        "needs_lease=self.gate and not (call and is_over(call))",
        "needs_lease=self.gate",
        BREAKER,
    ),
    Mutant(
        "failures are counted without the lock",
        "breaking",
        "        with self._lock:\n            now = self.clock.monotonic()\n"
        "            if self._circuit.mode is BreakerMode.DISABLED:",
        "        if True:\n            now = self.clock.monotonic()\n"
        "            if self._circuit.mode is BreakerMode.DISABLED:",
        BREAKER,
    ),
    Mutant("reading a counter counts", "tally", "        self._reads += 1\n", "", BREAKER),
    Mutant(
        "one caller too many is inside",
        "gate",
        "        if len(self._inside) < self.limit:\n            ticket.standing",
        "        if len(self._inside) <= self.limit:\n            ticket.standing",
        GATE,
    ),
    Mutant(
        "one caller too many is inside on the generated way",
        "gate",
        "        if len(self._inside) >= self.limit:\n            return False",
        "        if len(self._inside) > self.limit:\n            return False",
        GATE,
    ),
    Mutant(
        "a permit is not given back on the generated way",
        "gate",
        "        self._inside.discard(token)\n",
        "",
        GATE,
    ),
    Mutant(
        "one waiter too many is let in",
        "gate",
        "while self._lines and len(self._inside) < self.limit:",
        "while self._lines and len(self._inside) <= self.limit:",
        GATE,
    ),
    Mutant(
        "whoever leaves lets nobody in",
        "gate",
        "            self._unqueue(ticket)\n            return self._admit()",
        "            self._unqueue(ticket)\n            return []",
        GATE,
    ),
    Mutant(
        "a caller of equal priority is put out",
        "gate",
        "if last > level else None",
        "if last >= level and last in self._lines else None",
        GATE,
    ),
    Mutant(
        "the oldest is put out",
        "gate",
        "return next(reversed(self._lines[last]))",
        "return next(iter(self._lines[last]))",
        GATE,
    ),
    Mutant(
        "the last of a line goes first",
        "gate",
        "first = next(iter(self._lines[min(self._lines)]))",
        "first = next(reversed(self._lines[min(self._lines)]))",
        GATE,
    ),
    Mutant(
        "the least urgent goes first",
        "gate",
        "first = next(iter(self._lines[min(self._lines)]))",
        "first = next(iter(self._lines[max(self._lines)]))",
        GATE,
    ),
    Mutant(
        "a wake-up is lost",
        "admission",
        "leave(ticket)\n        if admitted:\n            self._wake(admitted)",
        "leave(ticket)\n        if admitted[1:]:\n            self._wake(admitted[1:])",
        GATE,
    ),
    Mutant(
        "a wake-up is lost on the generated way",
        "admission",
        "leave_now(token)\n        if admitted:\n            self._wake(admitted)",
        "leave_now(token)\n        if admitted[1:]:\n            self._wake(admitted[1:])",
        GATE,
    ),
    Mutant(
        "a waiter that gives up stays in the queue",
        "bulkhead",
        "            return await call()\n        finally:\n            self.admission.leave(ticket)",
        "            return await call()\n        finally:\n"
        "            if ticket.standing.name == 'INSIDE': self.admission.leave(ticket)",
        GATE,
    ),
    Mutant(
        "permits are taken without the lock",
        "admission",
        "        with self._lock:\n            admitted = self._gate.leave(ticket)\n",
        "        if True:\n            admitted = self._gate.leave(ticket)\n",
        GATE,
    ),
    Mutant(
        "the burst is one too many",
        "gcra",
        "self._tolerance_s = interval_s * (burst - 1)",
        "self._tolerance_s = interval_s * burst",
        RATE,
    ),
    Mutant(
        "quiet times are saved up",
        "gcra",
        "        if arrival < now:",
        "        if arrival < now - 1:",
        RATE,
    ),
    Mutant(
        "a burst costs one call",
        "gcra",
        "            self._arrival += self._interval_s\n            return True",
        "            self._arrival = now + self._interval_s\n            return True",
        RATE,
    ),
    Mutant(
        "a turn costs nothing",
        "gcra",
        "        self._arrival = arrival + self._interval_s\n        return wait_s",
        "        self._arrival = arrival\n        return wait_s",
        RATE,
    ),
    Mutant(
        "a turn is given back twice",
        "gcra",
        "            insort(self._returned, moment)\n            return",
        "            insort(self._returned, moment)\n            insort(self._returned, moment)\n"
        "            return",
        RATE,
    ),
    Mutant(
        "a turn that is given back and over is given again",
        "gcra",
        "while self._returned and self._returned[0] < now:",
        "while self._returned and self._returned[0] < now - 9:",
        RATE,
    ),
    Mutant(
        "a turn is taken without the lock",
        "ratelimit",
        "        with self._lock:\n            return only.is_now(self._now())",
        "        return only.is_now(self._now())",
        RATE,
    ),
    Mutant(
        "the last token is not given out",
        "budget",
        "if self._tokens < 1:",
        "if self._tokens <= 1:",
        BUDGET,
    ),
    Mutant(
        "a retry is allowed on credit",
        "budget",
        "if self._tokens < 1:",
        "if self._tokens < 0:",
        BUDGET,
    ),
    Mutant(
        "a budget grows beyond its capacity",
        "budget",
        "self._tokens = min(self._capacity, self._tokens + self._refund)",
        "self._tokens = self._tokens + self._refund",
        BUDGET[:1],
    ),
    Mutant(
        "a budget that is short does not say so",
        "budget",
        "            self._tokens -= 1\n            self.is_short = True",
        "            self._tokens -= 1",
        BUDGET,
    ),
    Mutant(
        "tokens are taken without the lock",
        "budget",
        "        with self._lock:\n            if self._tokens < 1:",
        "        if True:\n            if self._tokens < 1:",
        BUDGET,
    ),
    Mutant(
        "one attempt too many",
        "retrying",
        "if number >= layer.policy.attempts:",
        "if number > layer.policy.attempts:",
        BUDGET,
    ),
    Mutant(
        "a retry does not pay",
        "retrying",
        "if layer.budget is not None and not layer.budget.take():",
        "if layer.budget is not None and layer.budget.tokens < 1:",
        BUDGET,
    ),
    Mutant(
        "hedges are made on credit",
        "hedging",
        "if self._saved < 1.0:",
        "if self._saved < 0.0:",
        HEDGE,
    ),
    Mutant(
        "a hedge is not counted",
        "hedging",
        "        self._running += 1\n        self.hedges -= 1",
        "        self._running += 1",
        HEDGE,
    ),
    Mutant(
        "losers go on",
        "hedge",
        "            for task in pending:\n                task.cancel()\n\n    def _race",
        "            pass\n\n    def _race",
        HEDGE,
    ),
    Mutant(
        "a cancelled caller leaves its calls behind",
        "hedge",
        "            await _end(pending)\n            raise",
        "            raise",
        HEDGE,
    ),
    Mutant(
        "the first failure ends the race",
        "hedging",
        "        if not self._running:\n            first",
        "        if self._running < 9:\n            first",
        HEDGE,
    ),
    Mutant(
        "hedges are paid for without the lock",
        "hedge",
        "            with self._lock:\n                if not self._is_full() and self._plan.take():",
        "            if True:\n                if not self._is_full() and self._plan.take():",
        HEDGE,
    ),
    Mutant(
        "a thread that ends is still counted",
        "hedge",
        "        finally:\n            end()",
        "        finally:\n            pass",
        HEDGE,
    ),
)
