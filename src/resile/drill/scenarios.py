"""The scenarios that there are, with the bars that they have to pass. Data, and nothing else.

The bars are those of REQUIREMENTS F8, and tighter ones where a system with its default checks reaches them.
"""

from collections.abc import Mapping
from typing import Final

from resile.drill.model import Aim, Proof, Scenario

ROTATE: Final = "secret.rotate"
RUN_TIME, RUN_MEMORY, RUN_ESCAPE = "run.time", "run.memory", "run.escape"
CRASH_TIMES: Final = 3
"""Below the default restart intensity: what ends more often is quarantined on purpose."""
_HELD_S: Final = 60.0
"""What hangs or starves is mended long before that, or not at all."""
_ROTTEN_S, _SCRUB_S = 600.0, 300.0
"""Nobody sees a bit rot: it is found when everything is read again, which `scrub_every` says. What counts is how soon
it is mended then."""
_TAKEN_S: Final = 1.0
"""From before the process is killed on. A quick service finds its port taken once or twice in that. After five tries, which
with the default back-off may take less than two seconds, it is quarantined; it is tried again ten seconds later then."""
_DEGRADED: Final = ("fault.opened", "degradation.changed", "policy.opened")

_ALL: Final = (
    Scenario(
        name="crash",
        text="the main process is killed",
        fault="process.kill",
        aim=Aim.SERVICE,
        proof=Proof.MENDED,
        recovery_s_max=2.0,
        is_replacing=True,
        restarts=1,
    ),
    Scenario(
        name="segv",
        text="the main process touches memory that is not its own",
        fault="process.segv",
        aim=Aim.SERVICE,
        proof=Proof.MENDED,
        recovery_s_max=5.0,
        is_replacing=True,
        restarts=1,
    ),
    Scenario(
        name="hang",
        text="every process of the service stands still",
        fault="process.hang",
        aim=Aim.PROBED,
        proof=Proof.MENDED,
        hold_s=_HELD_S,
        detection_s_max=10.0,
        recovery_s_max=10.0,
        is_replacing=True,
        restarts=1,
    ),
    Scenario(
        name="oom",
        text="the memory of the service is used up, and the kernel kills it",
        fault="memory.pressure",
        aim=Aim.LIMITED,
        proof=Proof.MENDED,
        arguments={"victim": "service"},
        hold_s=_HELD_S,
        recovery_s_max=10.0,
        is_replacing=True,
        restarts=1,
    ),
    Scenario(
        name="descriptors",
        text="the service can open no more files",
        fault="descriptors.exhaust",
        aim=Aim.PROBED,
        proof=Proof.MENDED,
        arguments={"left": 0},
        hold_s=_HELD_S,
        detection_s_max=10.0,
        recovery_s_max=30.0,
    ),
    Scenario(
        name="crash_loop",
        text=f"the main process is killed {CRASH_TIMES} times, each time as soon as it is ready",
        fault="process.kill",
        aim=Aim.SERVICE,
        proof=Proof.MENDED,
        recovery_s_max=30.0,
        is_replacing=True,
        restarts=CRASH_TIMES,
        times=CRASH_TIMES,
    ),
    Scenario(
        name="cpu",
        text="the processor time of the service is used up by something else",
        fault="cpu.burn",
        aim=Aim.SERVICE,
        proof=Proof.BORNE,
        hold_s=5.0,
        detection_s_max=0.0,
    ),
    Scenario(
        name="dependency_down",
        text="a service that others need is stopped",
        fault="dependency.down",
        aim=Aim.DEPENDENCY,
        proof=Proof.BORNE,
        hold_s=5.0,
        detection_s_max=10.0,
        recovery_s_max=30.0,
        signs=_DEGRADED,
    ),
    Scenario(
        name="dependency_slow",
        text="a service that others need gets a fiftieth of a processor",
        fault="cpu.quota",
        aim=Aim.DEPENDENCY,
        proof=Proof.BORNE,
        arguments={"share": 0.02},
        hold_s=5.0,
        detection_s_max=0.0,
        recovery_s_max=30.0,
    ),
    Scenario(
        name="disk_full",
        text="the disk of the data has no room",
        fault="disk.full",
        aim=Aim.DATA,
        proof=Proof.BORNE,
        hold_s=5.0,
        detection_s_max=0.0,
        recovery_s_max=30.0,
        signs=("fault.opened", "snapshot.failed", "check.changed"),
    ),
    Scenario(
        name="port_taken",
        text="the service ends, and something else listens in its place",
        fault="port.taken",
        aim=Aim.LISTENING,
        proof=Proof.BORNE,
        hold_s=_TAKEN_S,
        recovery_s_max=30.0,
        restarts=4,
    ),
    Scenario(
        name="database_lock",
        text="somebody holds the lock of a database",
        fault="database.lock",
        aim=Aim.DATABASE,
        proof=Proof.BORNE,
        hold_s=5.0,
        detection_s_max=0.0,
    ),
    Scenario(
        name="corruption",
        text="a bit of a protected file rots on the disk",
        fault="disk.rot",
        aim=Aim.PROTECTED,
        proof=Proof.MENDED,
        hold_s=_ROTTEN_S,
        detection_s_max=_SCRUB_S,
        signs=("data.mismatched", "fault.opened"),
        counts_from_detection=True,
    ),
    Scenario(
        name="store_corruption",
        text="a bit of a snapshot is flipped in the store",
        fault="disk.bitflip",
        aim=Aim.STORE,
        proof=Proof.MENDED,
        hold_s=_ROTTEN_S,
        detection_s_max=_SCRUB_S,
        signs=("store.damaged",),
        counts_from_detection=True,
    ),
    Scenario(
        name="rotation",
        text="a secret is rotated under load",
        fault=ROTATE,
        aim=Aim.SECRET,
        proof=Proof.BORNE,
        detection_s_max=0.0,
        recovery_s_max=60.0,
        signs=("rotation.begun",),
        is_seamless=True,
    ),
    Scenario(
        name="secret_revoked",
        text="the current version of a secret is destroyed",
        fault="secret.revoke",
        aim=Aim.SECRET,
        proof=Proof.BORNE,
        hold_s=5.0,
        detection_s_max=0.0,
        recovery_s_max=30.0,
    ),
    Scenario(
        name="brain_killed",
        text="the process that decides is killed",
        fault="process.kill",
        aim=Aim.BRAIN,
        proof=Proof.MENDED,
        signs=("brain.started",),
        detection_s_max=10.0,
        recovery_s_max=10.0,
        is_replacing=True,
    ),
    Scenario(
        name="crash_unwatched",
        text="the process that decides is killed, and a service before another one looks",
        fault="process.kill",
        aim=Aim.LOADED,
        proof=Proof.MENDED,
        detection_s_max=10.0,
        recovery_s_max=20.0,
        is_replacing=True,
        is_unwatched=True,
        restarts=1,
    ),
    Scenario(
        name="run_time",
        text="a contained command does not end",
        fault=RUN_TIME,
        aim=Aim.RUN,
        proof=Proof.CONTAINED,
        signs=("run.breached", "run.ended"),
    ),
    Scenario(
        name="run_memory",
        text="a contained command takes all memory",
        fault=RUN_MEMORY,
        aim=Aim.RUN,
        proof=Proof.CONTAINED,
        signs=("run.breached", "run.ended"),
    ),
    Scenario(
        name="run_escape",
        text="a contained command tries to break out",
        fault=RUN_ESCAPE,
        aim=Aim.RUN,
        proof=Proof.CONTAINED,
        signs=("run.violated", "escape.noticed"),
    ),
)
SCENARIOS: Final[Mapping[str, Scenario]] = {one.name: one for one in _ALL}
