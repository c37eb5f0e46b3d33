"""The secretkeeper as a whole: its parts, and the threads that keep them going."""

import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from resile.clients import wire
from resile.contain.cgroups import remembered, unit_of
from resile.core.clock import Clock
from resile.core.switch_file import SwitchReader
from resile.core.vocabulary import Part, RotationReason
from resile.daemon.lanes import Instance
from resile.daemon.secretkeeper.births import Births
from resile.daemon.secretkeeper.connection import error_of
from resile.daemon.secretkeeper.consumers import Registry
from resile.daemon.secretkeeper.delivery import Delivery
from resile.daemon.secretkeeper.estate import FOLDER_NAME, Estate, open_estate
from resile.daemon.secretkeeper.folders import Folders
from resile.daemon.secretkeeper.health import Health
from resile.daemon.secretkeeper.leasing import Leasing
from resile.daemon.secretkeeper.line import Line
from resile.daemon.secretkeeper.managing import Managing
from resile.daemon.secretkeeper.model import Client, Plan
from resile.daemon.secretkeeper.peers import Peers
from resile.daemon.secretkeeper.quarantine import Quarantine
from resile.daemon.secretkeeper.recording import Recorder
from resile.daemon.secretkeeper.renewing import Renewing
from resile.daemon.secretkeeper.server import SOCKET_NAME, Server
from resile.daemon.secretkeeper.status import Status
from resile.daemon.secretkeeper.verbs import Verbs
from resile.daemon.secretkeeper.warden import Warden, Watch
from resile.errors import ProviderDownError, ResileError

logger = logging.getLogger(__name__)

TICK_S = 1.0
LOOK_S = 5.0
"""Between two looks at the rates of clients."""
STATUS_S = 10.0
"""Ages are told so often at least; what changes is told within a second."""
OPENING_S = 5.0
"""Who asks a keeper that has just started waits so long for its provider."""
OPEN_AGAIN_S_MIN, OPEN_AGAIN_S_MAX = 1.0, 30.0
ASKING_MAX = 8
"""So many questions of pages at once: each may wait for a rotation."""
PAGE_VERBS = frozenset({"rotate", "rollback", "release"})
_OPENING = ProviderDownError("the secrets are being opened", hint="ask again in a moment")


class Keeper:
    """One life of it. `serve` belongs to an event loop; the rest runs in threads.

    Args:
        plan: What is declared.
        line: To the brain.
        watch: Finds what is odd.
        environ: The variables of this process, for providers.
        clock: Where time comes from.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        line: Line,
        watch: Watch,
        environ: Mapping[str, str],
        clock: Clock,
    ) -> None:
        folder = plan.state / FOLDER_NAME
        unit = unit_of(plan.state)
        self._plan = plan
        self._line = line
        self._environ = environ
        self._clock = clock
        self._server: Server | None = None
        self._estate: Estate | None = None
        self._switches = SwitchReader(plan.state)
        self._trouble: ResileError = _OPENING
        self._tried = threading.Event()
        self._quarantine = Quarantine(folder, clock=clock)
        self._renewing = Renewing(
            lambda: self._need_estate().rotations,
            rotated=self._quarantine.rotated,
            is_off=partial(self._is_off, Part.ROTATION),
            tell=line.tell,
            clock=clock,
        )
        self._leasing = Leasing(lambda: self._need_estate().provider, clock=clock)
        self._asking = ThreadPoolExecutor(ASKING_MAX, thread_name_prefix="asking")
        self._peers = Peers(remembered(plan.state), unit=unit)
        self._recorder = Recorder(line.tell, clock=clock)
        self._registry = Registry(
            folder,
            clock=clock,
            push=self._push,
            on_change=self._changed,
            on_revoke=self._revoked,
        )
        self._status = Status(plan, registry=self._registry, quarantine=self._quarantine)
        self._warden = Warden(
            watch,
            quarantine=self._quarantine,
            registry=self._registry,
            rotate=self._renewing.renew,
            end_leases=self._leasing.cut,
            is_off=partial(self._is_off, Part.ANOMALY),
            tell=line.tell,
            clock=clock,
        )
        self._health = Health(
            str(plan.settings["provider"]),
            check=self._check,
            tell=line.tell,
            clock=clock,
        )
        self._folders = Folders(plan.state, unit=unit, environ=environ)
        self._managing = Managing(self._need_estate, self._warden, self._status_now)
        self._verbs = self._make_verbs()
        self._delivery = self._make_delivery()

    def _make_verbs(self) -> Verbs:
        return Verbs(
            self._plan,
            reader=lambda: self._need_estate().authority,
            registry=self._registry,
            recorder=self._recorder,
            warden=self._warden,
            folders=self._folders,
            handed=self._handed,
            given=self._leasing.given,
            failed=self._health.doubt,
            others={**self._leasing.asks, **self._managing.asks},
        )

    def _make_delivery(self) -> Delivery:
        return Delivery(
            self._plan,
            registry=self._registry,
            folders=self._folders,
            current=lambda name: self._need_estate().current(name),
            read=self._verbs.give,
            restart=self._restart,
            clock=self._clock,
        )

    async def serve(self) -> None:
        """Open, and serve until cancelled.

        Raises:
            OperationError: If the socket cannot be made.
        """
        self._server = Server(
            self._plan.state / "run",
            peers=self._peers,
            verbs=self._verbs,
            heard=self._registry.heard,
            left=self._registry.left,
            clock=self._clock,
        )
        self._line.listen(self._hear)
        for work in (self._tick, self._keep_rotating, self._delivery.run):
            threading.Thread(target=work, name=work.__name__, daemon=True).start()
        await self._server.serve()

    def close(self) -> None:
        """Serve no more, and let go of the provider."""
        (self._plan.state / "run" / SOCKET_NAME).unlink(missing_ok=True)
        if self._estate is not None:
            self._estate.close()

    # What goes on -------------------------------------------------------------------------------

    def _tick(self) -> None:
        look_s = told_s = self._clock.monotonic()
        told: Mapping[str, Any] = {}
        while True:
            now_s = self._clock.monotonic()
            _attempt(self._recorder.flush)
            _attempt(self._settle)
            _attempt(self._health.look)
            if now_s - look_s >= LOOK_S:
                look_s = now_s
                _attempt(self._warden.look)
            status = _attempt(self._status_told) or told
            is_new = _without_ages(status) != _without_ages(told)
            if is_new or now_s - told_s >= STATUS_S:
                told, told_s = status, now_s
                self._line.send({"status": status})
            self._clock.sleep(TICK_S)

    def _is_off(self, part: Part) -> bool:
        """Tell whether a person switched a part off."""
        return self._switches.now().is_off(part, now=self._clock.now())

    def _settle(self) -> None:
        if self._estate is not None:
            self._estate.authority.settle()

    def _keep_rotating(self) -> None:
        """Open the provider, finish what an earlier life left, and rotate what is missing or due."""
        estate = self._open()
        rotations = estate.rotations
        births = Births(
            (one.name for one in self._plan.secrets.values() if one.rotator is not None),
            provider=estate.provider,
            rotations=rotations,
            clock=self._clock,
        )
        _attempt(rotations.resume)
        for name, why in self._quarantine.owed().items():
            self._renewing.renew(name, RotationReason.COMPROMISE, why)
        while True:
            _attempt(births.step)
            is_off = self._is_off(Part.ROTATION)
            _attempt(partial(rotations.step_due, self._clock.now(), is_beginning=not is_off))
            self._clock.sleep(TICK_S)

    def _open(self) -> Estate:
        again_s = OPEN_AGAIN_S_MIN
        while True:
            try:
                estate = open_estate(
                    self._plan,
                    environ=self._environ,
                    consumers=self._registry,
                    tell=self._line.tell,
                    clock=self._clock,
                )
            except ResileError as exc:
                if exc.message != self._trouble.message:
                    logger.error("secretkeeper.not_opened reason=%s", exc.message)  # noqa: TRY400
                self._trouble = exc
                self._tried.set()
                self._health.doubt()
                self._clock.sleep(again_s)
                again_s = min(2 * again_s, OPEN_AGAIN_S_MAX)
            else:
                self._estate = estate
                self._tried.set()
                return estate

    def _need_estate(self) -> Estate:
        self._tried.wait(OPENING_S)
        if self._estate is None:
            raise self._trouble
        return self._estate

    def _check(self) -> None:
        """Ask the provider and the book whether they work; what is being opened is not judged yet."""
        if self._tried.is_set():
            estate = self._need_estate()
            estate.provider.check()
            estate.rotations.ended()

    def _status_now(self) -> dict[str, Any]:
        reason = self._trouble.message if self._estate is None else self._health.reason
        return self._status.of(
            self._estate, reason=reason, now=self._clock.now(), now_s=self._clock.monotonic()
        )

    def _status_told(self) -> dict[str, Any]:
        """Give how things stand; of a book that cannot be read, at least that."""
        try:
            return self._status_now()
        except ResileError as exc:
            self._health.doubt()
            return self._status.of(
                None, reason=exc.message, now=self._clock.now(), now_s=self._clock.monotonic()
            )

    # What comes in ------------------------------------------------------------------------------

    def _hear(self, message: Mapping[str, Any]) -> None:
        """Take a line of the brain; must not block."""
        if message.get("verb") in PAGE_VERBS:
            self._asking.submit(self._answer, message)
        elif "maintenance" in message:
            self._peers.running = {n: Instance(*one) for n, one in message["services"].items()}
            self._asking.submit(self._warden.maintain, message["maintenance"])

    def _answer(self, message: Mapping[str, Any]) -> None:
        """Do what a page asks for."""
        who = wire.text_of(message.get("who")) or "operator"
        client = Client(name=who, pid=os.getpid(), uid=os.geteuid())
        verb = str(message.get("verb"))
        try:
            answer = dict(self._managing.asks[verb](0, client, message))
        except ResileError as exc:
            answer = {"error": error_of(exc)}
        except Exception:
            logger.exception("secretkeeper.failed verb=%s", verb)
            answer = {"error": {"sort": "OperationError", "message": "the secretkeeper failed"}}
        self._line.send({"answer": message["ask"], **answer})

    # What parts want of each other --------------------------------------------------------------

    def _push(self, connections: Iterable[int], message: Mapping[str, Any]) -> None:
        if self._server is not None:
            self._server.push(connections, message)

    def _handed(self, names: Iterable[str]) -> None:
        self._delivery.changed(names)

    def _changed(self, name: str) -> None:
        self._status.changed(name)
        self._delivery.changed((name,))

    def _revoked(self, name: str, number: str) -> None:
        self._warden.retired(name, number)

    def _restart(self, service: str, name: str) -> None:
        self._line.send({"restart": [service], "why": f"{name} was rotated"})


def _attempt(work: Callable[[], Any]) -> Any:
    """Do one thing of a loop that must go on; what fails is told and tried the next time."""
    try:
        return work()
    except ResileError as exc:
        logger.debug("secretkeeper.put_off reason=%s", exc.message)
    except Exception:
        logger.exception("secretkeeper.failed")
    return None


def _without_ages(status: Mapping[str, Any]) -> Mapping[str, Any]:
    rows = [{**row, "age_s": None} for row in status.get("secrets", ())]
    return {**status, "secrets": rows}
