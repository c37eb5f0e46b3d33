"""Does what playbooks ask for beside starting and stopping. Each is idempotent, so a new brain may do it again.

What cannot be done says so in words that a person can act on: they become the reason for which the person is called.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from resile.core.clock import Clock
from resile.core.config import Config
from resile.core.events import ActionStarted, OperatorRequested, Payload, SymptomChanged
from resile.core.journal import Journal
from resile.core.vocabulary import ActionKind, Cause, FaultKind, Priority, RotationReason, Verb
from resile.daemon.remedies.declarations import Declarations
from resile.daemon.remedies.evidence import write_evidence
from resile.daemon.remedies.explaining import Explainer
from resile.daemon.remedies.freeing import Freeing
from resile.errors import OperationError
from resile.incidents import UNNAMED_PROFILE
from resile.recover import OpenFault, World, service_of

Done = tuple[Sequence[Payload], str]

WHO = "resile"
"""Asks for what a playbook has decided."""


class RunsPort(Protocol):
    """The contained runs, as far as a remedy needs them."""

    async def runs(self) -> Sequence[Mapping[str, Any]]:
        """Give the open runs and the latest closed ones."""
        ...

    async def kill(self, run_id: str, *, who: str) -> bool:
        """Kill a run; False if it had ended already."""
        ...

    async def hold(self, *, who: str, why: str) -> Sequence[Payload]:
        """Let no run begin any more; give what is to be journalled of it."""
        ...


class SecretsPort(Protocol):
    """The secretkeeper, as far as a remedy needs it."""

    async def rotate(
        self, name: str, *, who: str, reason: RotationReason, why: str
    ) -> Mapping[str, Any]:
        """Rotate a secret; returns when it is current."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """What remedies work with.

    Args:
        runs: The contained runs.
        secrets: The secretkeeper.
        relaunch: Takes the configuration that is in force from now on for starts.
        look_again: Has every check looked at soon.
    """

    runs: RunsPort
    secrets: SecretsPort
    relaunch: Callable[[Config], None]
    look_again: Callable[[], None]


class Remedies:
    """Lives on the brain's event loop; what blocks goes to threads.

    Args:
        config: Says who gets which secret.
        world: Tells what is wrong.
        state: The state folder.
        journal: Read for evidence.
        hands: What it works with.
        freeing: Frees ports and locks.
        explainer: Finds out what a person must know.
        declarations: How services were declared.
        clock: Stamps.
    """

    def __init__(
        self,
        config: Config,
        *,
        world: World,
        state: Path,
        journal: Journal,
        hands: Hands,
        freeing: Freeing,
        explainer: Explainer,
        declarations: Declarations,
        clock: Clock,
    ) -> None:
        self._config = config
        self._world = world
        self._state = state
        self._journal = journal
        self._hands = hands
        self._freeing = freeing
        self._explainer = explainer
        self._declarations = declarations
        self._clock = clock
        self._verbs: Mapping[ActionKind, Callable[[OpenFault], Awaitable[Done]]] = {
            ActionKind.EXPLAIN: self._explain,
            ActionKind.FREE_PORT: self._free_port,
            ActionKind.FREE_LOCK: self._free_lock,
            ActionKind.ROLL_BACK: self._roll_back,
            ActionKind.ROTATE_SECRET: self._rotate_secret,
            ActionKind.KILL_RUNS: self._kill_runs,
            ActionKind.FREEZE: self._freeze,
            ActionKind.COLLECT: self._collect,
            ActionKind.REARM: self._rearm,
        }

    async def perform(self, action: ActionStarted) -> Done:
        """Do it; give what is to be journalled of it, and what came of it in a line.

        Raises:
            ResileError: If it cannot be done.
        """
        return await self._verbs[action.action](self._fault_of(action))

    def _fault_of(self, action: ActionStarted) -> OpenFault:
        """Give what it is about: an operator may ask for a playbook on a target without any fault."""
        known = self._world.faults.get(action.fault_id)
        if known is not None:
            return known
        on_target = (f for f in self._world.faults.values() if f.target == action.target)
        return next(on_target, None) or _asked_for(action, self._clock.now())

    # Explaining and freeing -----------------------------------------------------------------------

    async def _explain(self, fault: OpenFault) -> Done:
        raise OperationError(await asyncio.to_thread(self._explainer.explain, fault))

    async def _free_port(self, fault: OpenFault) -> Done:
        words = await asyncio.to_thread(self._explainer.words_of, fault)
        return (), await asyncio.to_thread(self._freeing.free_port, fault, words)

    async def _free_lock(self, fault: OpenFault) -> Done:
        found = await asyncio.to_thread(self._freeing.find_lock, fault)
        order = OperatorRequested(
            verb=Verb.RESTART, services=(found.service,), who=f"{WHO} (free_lock)"
        )
        return (order,), found.told

    # Declarations and secrets ---------------------------------------------------------------------

    async def _roll_back(self, fault: OpenFault) -> Done:
        name = _service(fault)
        config, proven_at = await asyncio.to_thread(
            self._declarations.roll_back, name, at=self._clock.now()
        )
        self._hands.relaunch(config)
        since = f", as it was until {proven_at[:16]} UTC" if proven_at else ""
        command = " ".join(config.service[name].command)
        return (), (
            f"{name} runs as it was declared when it last worked{since}: {command}; what "
            "resile.toml says of it now counts again once it is changed"
        )

    async def _rotate_secret(self, fault: OpenFault) -> Done:
        name = _service(fault)
        given = [secret for secret, one in self._config.secret.items() if name in one.services]
        able = [secret for secret in given if self._config.secret[secret].rotator is not None]
        if not able:
            what = f"none of {', '.join(given)} has a rotator" if given else "it gets no secret"
            renewal = f", and {name} declares no `renew`" if _is_of_certificate(fault) else ""
            raise OperationError(
                f"nothing can be rotated for {name}: {what}{renewal}",
                hint="put a new value with `resile secrets put NAME`, or declare how",
            )
        for secret in able:
            await self._hands.secrets.rotate(
                secret, who=WHO, reason=RotationReason.ANOMALY, why=f"{name}: {fault.reason}"[:200]
            )
        return (), f"rotated {', '.join(able)}"

    # Breaches -------------------------------------------------------------------------------------

    async def _kill_runs(self, fault: OpenFault) -> Done:
        killed = 0
        for run in await self._hands.runs.runs():
            is_related = f"profile/{run.get('profile') or UNNAMED_PROFILE}" == fault.target
            if run.get("state") == "running" and (is_related or run["id"] == fault.fault_id):
                killed += await self._hands.runs.kill(str(run["id"]), who=WHO)
        number = "1 contained run was" if killed == 1 else f"{killed} contained runs were"
        return (), f"{number} killed, and what was changed is undone"

    async def _freeze(self, fault: OpenFault) -> Done:
        name = service_of(fault.target)
        if name is not None:
            order = OperatorRequested(verb=Verb.STOP, services=(name,), who=f"{WHO} (freeze)")
            return (order,), f"{name} stays stopped until somebody starts it: resile start {name}"
        told = await self._hands.runs.hold(who=WHO, why=fault.reason[:200])
        return told, "no contained run begins until somebody lets them: resile resume"

    async def _collect(self, fault: OpenFault) -> Done:
        path = await asyncio.to_thread(
            write_evidence, self._state, self._journal, fault, self._runs_of(fault)
        )
        return (), f"the evidence is in {path}"

    def _runs_of(self, fault: OpenFault) -> tuple[str, ...]:
        others = (f for f in self._world.faults.values() if f.target == fault.target)
        return tuple(other.fault_id for other in others)

    # The clock ------------------------------------------------------------------------------------

    async def _rearm(self, fault: OpenFault) -> Done:
        self._hands.look_again()
        over = SymptomChanged(
            target=fault.target, fault=FaultKind.CLOCK_JUMP, is_there=False, reason="answered"
        )
        return (over,), "what was due has moved along, and every check is looked at again"


def _asked_for(action: ActionStarted, now: datetime) -> OpenFault:
    """Give what stands for a fault where an operator asks for a playbook though nothing is known to be wrong."""
    return OpenFault(
        fault_id=action.plan_id or action.action_id,
        kind=FaultKind.CHECK_DOWN,
        target=action.target,
        priority=Priority.P3,
        objective=Priority.P3,
        began_at=now,
        reason="an operator asked for it",
    )


def _service(fault: OpenFault) -> str:
    name = service_of(fault.target)
    if name is None:
        raise OperationError(f"{fault.target} is no service", hint="a person must look at it")
    return name


def _is_of_certificate(fault: OpenFault) -> bool:
    return fault.evidence.get("cause") == Cause.CERTIFICATE.value
