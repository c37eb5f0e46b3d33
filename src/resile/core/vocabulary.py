"""The words that several parts share, as enums: states, faults, actions, priorities.

They live in core because events carry them and the journal keeps them: a value, once released,
never changes its spelling.
"""

from enum import StrEnum

STATE_VARIABLE = "RESILE_STATE_DIR"
"""Tells services where the state of their system is: its journal, its sockets."""
CONFIG_VARIABLE = "RESILE_CONFIG_FILE"
"""Tells services which `resile.toml` is their system's; their guards follow its policies."""
SECRETS_VARIABLE = "RESILE_SECRETS"
"""Tells a process of no system where its secrets are, such as "env:PREFIX_" or "file:/run/secrets"."""
CONFIG_BYTES_MAX = 4 << 20
"""Of a `resile.toml`: one of a thousand services is below 1 MiB; what is larger is no configuration."""


class CheckState(StrEnum):
    """What is known about a check, or about the service that its checks describe."""

    UNKNOWN = "UNKNOWN"
    """No result yet, or nobody looked lately. Never shown as good."""
    UP = "UP"
    DEGRADED = "DEGRADED"
    """It works, but slower or with less than it should."""
    DOWN = "DOWN"
    MAINTENANCE = "MAINTENANCE"
    """Whatever it is, somebody declared it expected."""
    SUPPRESSED = "SUPPRESSED"
    """It is down because something that it depends on is down."""


class CheckGroup(StrEnum):
    """What a check's result is used for."""

    LIVE = "live"
    """The process itself works. Never looks at dependencies; DOWN means restart."""
    READY = "ready"
    """It can do its work now, dependencies included. DOWN means send it no work."""
    SYSTEM = "system"
    """Something that belongs to no service: a disk, a database elsewhere."""


class Phase(StrEnum):
    """Where a supervised service stands in its life."""

    STOPPED = "stopped"
    """Nothing runs and nothing should."""
    WAITING = "waiting"
    """It should run, and waits for what it depends on."""
    STARTING = "starting"
    """Its process runs and has not been ready yet."""
    RUNNING = "running"
    """It has been ready since its process started."""
    STOPPING = "stopping"
    BACKOFF = "backoff"
    """It ended, and its restart is due later."""
    QUARANTINED = "quarantined"
    """It ended too often: only an operator starts it again."""


class Desired(StrEnum):
    """What the operator wants of a service."""

    RUNNING = "running"
    STOPPED = "stopped"


class Priority(StrEnum):
    """How urgent a fault is. Each has a recovery time objective (REQUIREMENTS F1)."""

    P0 = "P0"
    """Outage or data loss: recovered within 30 s."""
    P1 = "P1"
    """A major function is down: 2 min."""
    P2 = "P2"
    """Degraded with a way around it: 5 min."""
    P3 = "P3"
    """A prediction, or cosmetic: 1 h."""

    @property
    def rto_s(self) -> float:
        """The recovery time objective in seconds."""
        return {"P0": 30.0, "P1": 120.0, "P2": 300.0, "P3": 3600.0}[self.value]

    @property
    def raised(self) -> "Priority":
        """The next more urgent priority; P0 stays."""
        return Priority(f"P{max(0, int(self.value[1]) - 1)}")


class Objective(StrEnum):
    """What a recovery is measured against."""

    RTO = "rto"
    """Recovery time: how long something may be wrong."""
    RPO = "rpo"
    """Recovery point: how old the newest copy of data may be."""


class FaultKind(StrEnum):
    """What is wrong."""

    CRASH = "crash"
    """A process ended that should run."""
    HANG = "hang"
    """A process runs and its liveness check is down, or its watchdog went silent."""
    CRASH_LOOP = "crash_loop"
    """It ended more often than its restart intensity allows."""
    START_FAILED = "start_failed"
    """It could not be started, or did not become ready in time."""
    NOT_READY = "not_ready"
    """It lives, and cannot do its work, and nothing that it depends on explains that."""
    DEPENDENCY_DOWN = "dependency_down"
    """Something that it depends on is down, or an outside dependency is."""
    DISK_NEARLY_FULL = "disk_nearly_full"
    CHECK_DOWN = "check_down"
    """A system check is down for which no better name exists."""
    ESCAPE_ATTEMPT = "escape_attempt"
    """A contained run tried what its sandbox is there to prevent."""
    STORE_DAMAGED = "store_damaged"
    """A file of a store is missing, or is not what was put in."""
    STORE_LOST = "store_lost"
    """Something that a snapshot has is nowhere any more."""
    STORE_UNREACHABLE = "store_unreachable"
    SNAPSHOTS_FAIL = "snapshots_fail"
    """A folder has had no snapshot for several of its periods."""
    DATA_MISMATCHED = "data_mismatched"
    """A protected live file has other content than its snapshot, and the same times."""
    COMPROMISE = "compromise"
    """A secret is known to somebody who must not have it."""
    MISUSE = "misuse"
    """A client's way with secrets looks wrong."""
    ROTATION_STUCK = "rotation_stuck"
    """A rotation failed or waits; the credential before it stays valid."""
    PROVIDER_DOWN = "provider_down"
    """The provider of secrets does not answer."""
    EXHAUSTION_PREDICTED = "exhaustion_predicted"
    """A resource is expected to run out soon."""
    MEMORY_PRESSURE = "memory_pressure"
    """A service is about to reach its memory limit, or the machine is about to have none left."""
    DESCRIPTORS_EXHAUSTED = "descriptors_exhausted"
    """A service has hardly any file or socket left that it may open."""
    POOL_EXHAUSTED = "pool_exhausted"
    """All places of a guard's bulkhead in a service are taken, and nothing gets done in them."""
    CLOCK_JUMP = "clock_jump"
    """The clock of the machine was set, or the machine slept."""


class MemoryLevel(StrEnum):
    """How scarce memory is."""

    CALM = "calm"
    HIGH = "high"
    CRITICAL = "critical"
    """The kernel is about to kill."""

    def is_worse_than(self, other: "MemoryLevel") -> bool:
        """Compare two levels."""
        order = tuple(MemoryLevel)
        return order.index(self) > order.index(other)


class EndKind(StrEnum):
    """Why a process of a service ended, told from counters and from what was asked of it, too."""

    UNKNOWN = "unknown"
    """Nobody could see how."""
    EXIT = "exit"
    """By itself, with an exit code."""
    SIGNAL = "signal"
    """A signal that is none of those below, and that resile did not send."""
    MEMORY_VIOLATION = "memory_violation"
    """It touched memory that is not its own, or ran into what is no code."""
    ABORT = "abort"
    """It gave up by itself: a failed assertion, a heap that is not as it should be."""
    OOM = "oom"
    """The kernel killed it, or one of its processes, at its memory limit."""
    MACHINE_OOM = "machine_oom"
    """The kernel killed it because the machine, or what it is a part of, had no memory left."""
    PROCESSES = "processes"
    """It failed after it had been refused processes at its limit."""
    WATCHDOG = "watchdog"
    """It was killed because its heartbeat was missing."""
    HANG = "hang"
    """It was killed because its live check was down."""
    START_FAILED = "start_failed"
    """It failed, or was replaced, before it was ready."""
    STOPPED = "stopped"
    """It ended when it was asked to."""
    KILLED = "killed"
    """It was killed by resile: it did not end when asked, or was not to be asked."""


class ActionKind(StrEnum):
    """What resile can do to a target. Each is idempotent, but for a RUN that does not say so."""

    START = "start"
    STOP = "stop"
    """Drain, ask, then kill: the service's cgroup is empty when it is done."""
    KILL = "kill"
    """Kill the whole cgroup at once."""
    PRUNE = "prune"
    """Remove what is declared prunable: old rotated logs and crash bundles."""
    RUN = "run"
    """Run a playbook's command to its end, with a time-out."""
    EXPLAIN = "explain"
    """Find out what a person has to know, and say that it takes a person."""
    FREE_PORT = "free_port"
    """End what is left of an earlier process of the system and holds the port that a service needs."""
    FREE_LOCK = "free_lock"
    """Have the service restarted that holds the lock of a database for too long."""
    ROLL_BACK = "roll_back"
    """Go back to how a service was declared when it last worked."""
    ROTATE_SECRET = "rotate_secret"  # noqa: S105 - the word
    """Rotate the secrets that a service gets."""
    KILL_RUNS = "kill_runs"
    """Kill the contained runs that a fault is about."""
    FREEZE = "freeze"
    """Stop a service until an operator starts it, or hold contained runs until an operator resumes them."""
    COLLECT = "collect"
    """Put what the journal knows of a fault into a file of evidence."""
    REARM = "rearm"
    """Look at everything anew after the clock was set."""


class Outcome(StrEnum):
    """How a fault ended."""

    RECOVERED = "recovered"
    """A plan of ours made it go away."""
    CLEARED = "cleared"
    """It went away by itself."""
    WITHDRAWN = "withdrawn"
    """An operator stopped or removed the target."""


class Verb(StrEnum):
    """What an operator can ask for."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    SHUTDOWN = "shutdown"
    """Stop everything in order, and the daemon last."""


class RunReason(StrEnum):
    """Why a contained run ended, told from counters and not from exit codes alone."""

    OK = "ok"
    EXIT = "exit"
    """The command exited with another code than 0."""
    SIGNAL = "signal"
    """A signal ended it that is none of those below."""
    MEMORY_VIOLATION = "memory_violation"
    """SIGSEGV or SIGBUS: it touched memory that is not its own."""
    TIMEOUT = "timeout"
    OOM = "oom"
    """The kernel killed one of its processes at the memory limit."""
    CPU_BUDGET = "cpu_budget"
    """It used up its processor time, or stayed at its quota for too long where that kills."""
    PROCESSES = "processes"
    """It was refused processes at the limit, and failed."""
    DISK = "disk"
    OUTPUT = "output"
    VIOLATION = "violation"
    """It tried what its policy answers with a kill."""
    KILLED = "killed"
    """An operator, Ctrl-C or the emergency shutdown ended it."""
    SUPERVISOR_LOST = "supervisor_lost"
    """Whoever watched it died; the kernel ended it then."""
    LAUNCH_FAILED = "launch_failed"
    COMMIT_CONFLICT = "commit_conflict"
    """It ended well, and its workspace was changed by somebody else meanwhile."""


class ViolationKind(StrEnum):
    """What a contained command tried that its sandbox is there to prevent."""

    SYSCALL = "syscall"
    """A forbidden system call: mount, ptrace, setns, bpf and the like."""
    CONNECT = "connect"
    """A connection to the network where there is none."""
    SETUID_BIT = "setuid_bit"
    """It left a file with a setuid or setgid bit, or with file capabilities."""
    DEVICE = "device"
    """It left a device node or a socket."""
    PROTECTED_PATH = "protected_path"
    """It changed what its policy protects, such as `.git/hooks`."""
    ESCAPING_LINK = "escaping_link"
    """It left a symbolic link that points out of its workspace."""
    SURVIVOR = "survivor"
    """It left processes behind when its main process ended."""


class RunState(StrEnum):
    """Where a run stands."""

    RUNNING = "running"
    READY = "ready"
    """It has ended, and its changes wait for a commit or a discard."""
    COMMITTING = "committing"
    COMMITTED = "committed"
    DISCARDED = "discarded"
    """Its changes are undone: the workspace is as it was."""


class ServiceState(StrEnum):
    """How well something that a program depends on serves it, the best first."""

    HEALTHY = "HEALTHY"
    DEGRADED = "DEGRADED"
    """It answers, but with less than it should, or not yet for long."""
    FAILED = "FAILED"
    """It does not answer; its fallback does."""
    CRITICAL = "CRITICAL"
    """Nothing answers: its last fallback failed too, or it has none."""


class NoticeChoice(StrEnum):
    """What a person answers to a notice of degraded operation."""

    RETRY = "retry"
    """Try now whether it works again."""
    CONTINUE = "continue"
    """Go on with the fallback; nobody needs to be told again until it gets worse."""


class SecretStage(StrEnum):
    """What a version of a secret is to its name."""

    PENDING = "pending"
    """A candidate: no client gets it until it is promoted."""
    CURRENT = "current"
    PREVIOUS = "previous"
    """Still valid, and what a rollback goes back to."""
    RETIRED = "retired"
    """Its value is gone, or opens nothing any more."""


class RotationStep(StrEnum):
    """How far a rotation is. Each is reached when its effect is durable."""

    BEGUN = "begun"
    """It was taken on; nothing outside has changed."""
    PREPARED = "prepared"
    """The candidate's value is kept as the pending version."""
    SET = "set"
    """The target takes the candidate."""
    VERIFIED = "verified"
    """The candidate was tried on the target, and works."""
    PROMOTED = "promoted"
    """The candidate is the current version; the one before it is still valid."""
    DRAINED = "drained"
    """Nobody uses the one before it any more, or their deadline has passed."""
    RETIRED = "retired"
    """The one before it opens nothing any more."""


class RotationReason(StrEnum):
    """Why a secret is rotated."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"
    ANOMALY = "anomaly"
    """Something looked wrong: it waits for consumers as a scheduled one does."""
    COMPROMISE = "compromise"
    """Somebody else has it: the old credential dies at a deadline, whoever still uses it."""


class RotationOutcome(StrEnum):
    """How a rotation ended."""

    ROTATED = "rotated"
    ABORTED = "aborted"
    """The candidate did not work: the current credential is as it was."""
    ROLLED_BACK = "rolled_back"


class AccessOutcome(StrEnum):
    """What came of a client's question for a secret."""

    GIVEN = "given"
    DENIED = "denied"
    """It has no grant, or is quarantined."""
    UNKNOWN = "unknown"
    REVOKED = "revoked"
    """It asked for a version that is not given any more."""
    FAILED = "failed"
    """The provider failed."""


class SecretResponse(StrEnum):
    """What is done about a client that looks wrong, the mildest first."""

    LOG = "log"
    ALERT = "alert"
    STEP_UP = "step_up"
    """It has to ask for each secret anew: nothing is cached for it."""
    ROTATE = "rotate"
    """What it has read is rotated, without a failed request."""
    QUARANTINE = "quarantine"
    """It gets nothing any more, and what it has read is rotated as compromised."""


class DrillVerdict(StrEnum):
    """What a scenario of a drill has shown."""

    PASSED = "passed"
    """The fault was active, was noticed, and was mended within its target; nothing acknowledged was lost."""
    SLOW = "slow"
    """Mended, but later than its target."""
    LOST = "lost"
    """Something that had been acknowledged was gone afterwards."""
    UNSEEN = "unseen"
    """The fault was active, and nobody noticed it."""
    NOT_MENDED = "not_mended"
    """Noticed, and not mended in time; a person was called, or should have been."""
    INCONCLUSIVE = "inconclusive"
    """The fault could not be proven to be active."""
    SKIPPED = "skipped"
    """This machine or user cannot apply the fault; it counts as not proved."""
    INTERRUPTED = "interrupted"
    """The drill ended before this scenario did; everything is undone."""


class Cause(StrEnum):
    """What lies behind a fault, where the words of an error, a check or a detector tell it."""

    PORT_TAKEN = "port_taken"
    PERMISSION = "permission"
    DISK_FULL = "disk_full"
    DESCRIPTORS = "descriptors"
    PROCESSES = "processes"
    MEMORY = "memory"
    POOL = "pool"
    """All connections of a pool are in use."""
    LOCK = "lock"
    """A lock of a database is held for too long."""
    CORRUPTION = "corruption"
    DEPENDENCY = "dependency"
    """Something that it calls does not answer."""
    SECRET = "secret"  # noqa: S105 - the word
    """Its credential is refused."""
    CERTIFICATE = "certificate"
    CLOCK = "clock"
    """The clock of the machine was set."""


class Part(StrEnum):
    """What can be switched off at once, each for itself."""

    RECOVERY = "recovery"
    """All remedies. Faults are still noticed, and a person is called."""
    PLAYBOOK = "playbook"
    """One playbook: written `playbook/NAME`."""
    PREDICTION = "prediction"
    SNAPSHOTS = "snapshots"
    SCRUB = "scrub"
    ROTATION = "rotation"
    ANOMALY = "anomaly"
    RUNS = "runs"
    """Contained runs: no new one begins."""
    CHAOS = "chaos"
    """Faults on purpose, and drills."""
    NOTICES = "notices"
    """Messages to people."""


class Resource(StrEnum):
    """What can run out."""

    MEMORY = "memory"
    DESCRIPTORS = "descriptors"
    """Open files and sockets of a process, against its limit (RLIMIT_NOFILE)."""
    DISK = "disk"
    INODES = "inodes"
    """The files that a file system can hold, however small they are."""
    POOL = "pool"
    """Calls at once, against the limit of a guard's bulkhead."""
    CERTIFICATE = "certificate"
    """The time that a server's certificate is valid."""
    SECRET = "secret"  # noqa: S105 - the word
    """The time that a secret is valid."""


class PredictionOutcome(StrEnum):
    """What came of a prediction."""

    CAME_TRUE = "came_true"
    DID_NOT = "did_not"
    """It did not run out in time, and nobody prevented it."""
    AVERTED = "averted"
    """Something was done about it before: nobody knows whether it would have run out."""
