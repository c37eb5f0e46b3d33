"""What contained runs share in one process: journal, control groups, launcher, and one parked ahead.

The first join of a control group after a pause costs 11 ms where limits are kept in v1 groups. So
a launcher is parked, already joined to a fresh group, while nothing is to be run: the next run
takes it, and finds that time spent.
"""

import contextlib
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from resile.contain.cgroups import (
    Cgroup,
    CgroupKind,
    CgroupLimits,
    CgroupTree,
    empty,
    probe,
)
from resile.contain.places import runs_folder
from resile.contain.runs import Runs
from resile.contain.sandboxes import (
    Launcher,
    Parked,
    SandboxFacts,
    forget,
    known_facts,
    open_launcher,
)
from resile.contain.spec import CONTAINED_VARIABLE
from resile.contain.switches import ALL_ON, Switches, check_hold, check_parts, switches_of
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.files import make_private_dir
from resile.core.ids import new_id
from resile.core.journal import SegmentLimits
from resile.core.process import Identity, boot_id, identity_of
from resile.core.vocabulary import STATE_VARIABLE
from resile.errors import CgroupError, RejectedError, ResileError
from resile.store.writeahead.model import CHANGES_NAME

if TYPE_CHECKING:
    from resile.core.journal import SqliteJournal

OF_A_SYSTEM = SegmentLimits(count_max=1_000_000)
"""For a journal that has a daemon: that one knows how much of it the user wants to keep."""
_EMPTY_TIMEOUT_S = 10.0
_IDLE_S = 5.0
"""Who runs one command after another does so within seconds."""
_NO_GROUPS = (
    "no cgroups: the sandbox and the kill hold, but memory, processor and processes are not limited; "
    "start it as root, or in a group of its own: systemd-run --user --scope -p Delegate=yes"
)


@dataclass(frozen=True, slots=True)
class Berth:
    """A launcher that waits in the group of a run to come.

    Args:
        run_id: Of that run.
        group: None where there are no groups.
        parked: It.
        launcher: Its process; None if that died at once.
        supervisor: This process.
    """

    run_id: str
    group: Cgroup | None
    parked: Parked
    launcher: Identity | None
    supervisor: Identity


class Host:
    """Runs are launched here. Safe to share between threads.

    Args:
        runs: The folder of runs.
        journal: The folder of the journal that gets their story.
        environ: What commands may inherit a part of.
        limits: How much the journal keeps. Default: everything, as the daemon of its system
            prunes it.
        clock: Where time comes from.
        switches: Which parts are on. Default: all.
    """

    def __init__(
        self,
        *,
        runs: Runs,
        journal: Path,
        environ: Mapping[str, str] | None = None,
        limits: SegmentLimits = OF_A_SYSTEM,
        clock: Clock = SYSTEM_CLOCK,
        switches: Switches = ALL_ON,
    ) -> None:
        self._limits = limits
        self.switches = switches
        self.runs = runs
        self.journal_folder = journal
        self.environ = dict(os.environ if environ is None else environ)
        self.clock = clock
        self._lock = threading.Lock()
        self._journal_lock = threading.Lock()
        self._berth: Berth | None = None
        self._tree: CgroupTree | None = None
        self._launcher: Launcher | None = None
        self._facts: SandboxFacts | None = None
        self._journal: SqliteJournal | None = None
        self._is_closed = False
        self._worker: threading.Thread | None = None
        self._worker_lock = threading.Lock()
        self._is_wanted = threading.Event()
        self.warning = ""

    @property
    def changes_folder(self) -> Path:
        """Where the logs of folders are in which commits are noted; there may be none."""
        return self.journal_folder.parent / CHANGES_NAME

    @property
    def journal(self) -> "SqliteJournal":
        """The journal, opened when it is first needed.

        Raises:
            JournalError: If it cannot be opened.
        """
        with self._journal_lock:
            if self._journal is None:
                # Loaded here, while the launcher starts that `prepare_soon` parks.
                from resile.core.journal import open_journal

                make_private_dir(self.journal_folder)
                self._journal = open_journal(self.journal_folder, limits=self._limits)
            return self._journal

    @property
    def facts(self) -> SandboxFacts:
        """What a sandbox can be here, without what is switched off."""
        with self._lock:
            facts = self._find_facts()
        return facts if self.switches.has_overlay else replace(facts, has_overlay=False)

    def distrust_facts(self) -> None:
        """Look again before the next run: a box could not be built."""
        with self._lock:
            self._facts = self._launcher = None
        forget(self.runs.folder)

    @property
    def launcher(self) -> Launcher:
        """The best launcher of this machine."""
        with self._lock:
            return self._open_launcher()

    @property
    def tree(self) -> CgroupTree:
        """Where the groups are."""
        with self._lock:
            return self._open_tree()

    def take_berth(self) -> Berth:
        """Take the parked launcher, or park one now.

        Raises:
            RejectedError: If contained runs are switched off, or held.
            ResileError: If there can be none.
        """
        self.switches.check()
        check_parts(self.journal_folder.parent, clock=self.clock)
        check_hold(self.runs)
        with self._lock:
            berth, self._berth = self._berth, None
            return berth or self._park()

    def prepare(self) -> None:
        """Do what nobody should wait for: remove what is over, park a launcher for the next run.

        Never raises: the next run will tell what is wrong.
        """
        with contextlib.suppress(OSError):
            self.runs.clear()
        with contextlib.suppress(ResileError, OSError), self._lock:
            if self._berth is None and not self._is_closed and self.switches.is_enabled:
                self._berth = self._park()

    def prepare_soon(self) -> None:
        """Prepare, in another thread. It is kept for a while, as to start one takes a moment."""
        with self._worker_lock:
            self._is_wanted.set()
            if self._worker is None or not self._worker.is_alive():  # A fork has no threads.
                self._worker = threading.Thread(
                    target=self._prepare_each, name="resile-park", daemon=True
                )
                self._worker.start()

    def release(self, group: Cgroup | None) -> None:
        """Empty a group and remove it.

        Raises:
            CgroupError: If its processes do not die.
        """
        if group is None:
            return
        if not empty(group, timeout_s=_EMPTY_TIMEOUT_S, clock=self.clock):
            raise CgroupError(f"processes in {group.name} do not die")
        group.remove()

    def close(self) -> None:
        """Let go of everything; what runs is not touched. Idempotent."""
        with self._lock:
            self._is_closed = True
            berth, self._berth = self._berth, None
        self._is_wanted.set()  # The other thread sees that there is nothing to do any more.
        with self._journal_lock:
            journal, self._journal = self._journal, None
        if berth is not None:
            berth.parked.close()
            with contextlib.suppress(CgroupError):
                self.release(berth.group)
        if self._tree is not None:
            with contextlib.suppress(CgroupError):
                self._tree.remove()
        with contextlib.suppress(OSError):
            self.runs.clear()
        if journal is not None:
            journal.close()

    def _prepare_each(self) -> None:
        """Prepare when it is wanted, until nobody wanted it for a while."""
        while True:
            self._is_wanted.wait(_IDLE_S)
            with self._worker_lock:
                if self._is_closed or not self._is_wanted.is_set():
                    self._worker = None
                    return
                self._is_wanted.clear()
            self.prepare()

    def _park(self) -> Berth:
        if self.environ.get(CONTAINED_VARIABLE):
            raise RejectedError(
                "this is a contained run already, and a run inside of a run is not possible",
                hint="start it outside; what is contained is not allowed to make namespaces",
            )
        run_id = new_id("run", at=self.clock.now())
        tree, launcher = self._open_tree(), self._open_launcher()
        has_groups = tree.layout.kind is not CgroupKind.NONE
        group = tree.create(run_id, CgroupLimits()) if has_groups else None
        try:
            parked = launcher.park(group)
        except ResileError:
            if group is not None:
                group.remove()
            raise
        own_pid = os.getpid()
        return Berth(
            run_id,
            group,
            parked,
            launcher=identity_of(parked.pid),
            supervisor=identity_of(own_pid)
            or Identity(boot_id=boot_id(), pid=own_pid, start_ticks=0),
        )

    def _open_tree(self) -> CgroupTree:
        if self._tree is None:
            found = probe(self.runs.folder, is_mover=True)
            self._tree, self.warning = found.tree, found.warning
            if found.tree.layout.kind is CgroupKind.NONE:
                self.warning = _NO_GROUPS
        return self._tree

    def _open_launcher(self) -> Launcher:
        if self._launcher is None:
            self._launcher = open_launcher(self._find_facts())
        return self._launcher

    def _find_facts(self) -> SandboxFacts:
        if self._facts is None:
            self._facts = known_facts(self.runs.folder)
        return self._facts


def default_host(environ: Mapping[str, str] | None = None) -> Host:
    """Make a host that uses the system's state folder where one is named, else the user's own."""
    environ = os.environ if environ is None else environ
    runs, switches = Runs(runs_folder(environ)), switches_of(environ)
    state = environ.get(STATE_VARIABLE)
    if state:
        journal = Path(state) / "journal"
        return Host(runs=runs, journal=journal, environ=environ, switches=switches)
    own = runs.folder.parent / "journal"
    return Host(runs=runs, journal=own, environ=environ, limits=SegmentLimits(), switches=switches)
