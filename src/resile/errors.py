"""The errors that resile raises, as one tree.

ResileError
├── ConfigError            the user's input is wrong; nothing was started          exit 2
├── RejectedError          a policy or a limit said no; nothing was done           exit 3
│   ├── AlreadyRunningError    another daemon owns this folder                     exit 3
│   ├── BreakerOpenError       a breaker is open, or forced open                   exit 3
│   ├── BulkheadFullError      as many calls are in flight as are allowed          exit 3
│   ├── OutboxFullError        as much waits to be sent as is allowed              exit 3
│   └── RateLimitedError       more calls came than the rate allows                exit 3
└── OperationError         the world failed while something was being done         exit 1
    ├── JournalError           the journal could not be read or written            exit 4
    │   └── JournalBrokenError     the hash chain does not hold                    exit 5
    ├── SpawnError             a process could not be started                      exit 1
    ├── CgroupError            a control group could not be made, read or emptied  exit 1
    ├── TransactionError       a transaction could not be begun, read or ended     exit 1
    │   └── ConflictError          the workspace was changed since it began        exit 7
    ├── StoreError             a store could not be read or written                exit 1
    │   ├── NotAStoreError         there is no store, or not of a known version    exit 2
    │   ├── StoreKeyError          the key is missing or not this store's          exit 2
    │   ├── UnknownSnapshotError   no snapshot, or several, have this name         exit 2
    │   └── StoreDamagedError      something in the store is not what was put in   exit 8
    ├── SecretError            a secret could not be read, written or rotated      exit 1
    │   ├── UnknownSecretError     no secret, or no version of it, has this name   exit 2
    │   ├── SecretKeyError         the master key is missing or not this store's   exit 2
    │   ├── SecretDeniedError      whoever asks may not have it                    exit 3
    │   ├── SecretRevokedError     it is not given to anybody any more             exit 3
    │   ├── SecretConflictError    somebody else changed it meanwhile              exit 7
    │   ├── SecretDamagedError     what is kept is not what was put in             exit 8
    │   └── ProviderDownError      the provider is away, sealed or too busy        exit 9
    ├── TimeoutExceededError   a call took longer than it may                      exit 1
    ├── RetriesExhausted       every attempt failed; raised only where asked for   exit 1
    ├── ServiceDownError       a service is down, and nothing answers for it       exit 1
    ├── OutboxError            what waits to be sent could not be read or written  exit 1
    ├── DaemonUnreachableError no daemon answers for this folder                   exit 6
    └── MissingExtraError      an optional package is not installed                exit 1

Every error says in one sentence what is so, and in `hint` what to do next.
Callers branch on the class, never on the text.
"""

TYPE_CHECKING = False
"""`typing` itself would take longer to load than all of this."""
if TYPE_CHECKING:
    from typing import ClassVar


class ResileError(Exception):
    """The root of every error that resile raises on purpose.

    Args:
        message: One sentence with the facts of the case.
        hint: What the operator does next; empty if nothing can be done.
    """

    exit_code: "ClassVar[int]" = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def report(self) -> str:
        """Write the error for a terminal: what is so, and what to do."""
        return f"error: {self.message}" + (f"\nhint: {self.hint}" if self.hint else "")

    def __reduce__(self) -> tuple[object, ...]:
        """Let it go to another process whole: an exception's own way would call `__init__` with less."""
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[ResileError], args: tuple[object, ...], state: dict[str, object]) -> object:
    error = kind.__new__(kind, *args)
    error.args = args  # Where a class is an OSError, too, only its `__init__` would set them.
    error.__dict__.update(state)
    return error


class ConfigError(ResileError):
    """The user's input is wrong, and nothing was started.

    Args:
        message: One sentence that counts or names what is wrong.
        hint: What to do next.
        problems: One line for each fault, with its place; all of them, not the first.
    """

    exit_code = 2

    def __init__(self, message: str, *, hint: str = "", problems: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.problems = problems

    def report(self) -> str:
        """Write every fault on a line of its own, then what is so, and what to do."""
        return "\n".join((*self.problems, super().report()))


class RejectedError(ResileError):
    """A policy or a limit said no before anything was done."""

    exit_code = 3


class AlreadyRunningError(RejectedError):
    """Another daemon owns this folder."""


class BreakerOpenError(RejectedError):
    """A breaker did not let a call through. Made without any code of ours, to be quick.

    Args:
        name: The guard's name.
        retry_after_s: Seconds until the breaker tries again; infinite if nobody knows.
        reason: Why an operator forced it open; empty if it opened by itself.
    """

    if TYPE_CHECKING:

        def __init__(self, name: str, retry_after_s: float, reason: str = "") -> None: ...

    else:
        __init__ = Exception.__init__
        """In Python it would cost more than all the rest of the rejection."""

    @property
    def name(self) -> str:
        """The guard's name."""
        return str(self.args[0])

    @property
    def retry_after_s(self) -> float:
        """Seconds until the breaker tries again; infinite if nobody knows."""
        return float(self.args[1])

    def __getattr__(self, attribute: str) -> str:
        if attribute == "message":
            return f"breaker {self.name!r} is open{self._why()}"
        if attribute == "hint":
            return f"see what failed: resile.breaker({self.name!r}).last_failure"
        raise AttributeError(attribute)

    def __str__(self) -> str:
        return self.message

    def _why(self) -> str:
        reason = f": {self.args[2]}" if len(self.args) > 2 and self.args[2] else ""
        seconds = self.retry_after_s
        if seconds == float("inf"):
            return reason
        return f"{reason}; it tries again in {seconds:.{0 if seconds >= 10 else 1}f} s"


class BulkheadFullError(RejectedError):
    """As many calls are in flight, or wait, as are allowed."""


class OutboxFullError(RejectedError):
    """As much waits to be sent as is allowed, and nothing may be dropped for more."""


class RateLimitedError(RejectedError):
    """More calls came than the rate allows.

    Args:
        message: One sentence with the limit.
        retry_after_s: Seconds until the next call is allowed.
        hint: What to do next.
    """

    def __init__(self, message: str, *, retry_after_s: float, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class OperationError(ResileError):
    """The world failed while something was being done.

    Args:
        message: One sentence with the facts of the case.
        hint: What to do next.
        is_transient: True if the same call may succeed later without anybody's help.
    """

    def __init__(self, message: str, *, hint: str = "", is_transient: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.is_transient = is_transient


class JournalError(OperationError):
    """The journal could not be read or written."""

    exit_code = 4


class JournalBrokenError(JournalError):
    """The journal's hash chain does not hold.

    Args:
        message: One sentence with the first bad sequence number.
        seq: The first sequence number that is missing or wrong (1-based).
        hint: What to do next.
    """

    exit_code = 5

    def __init__(self, message: str, *, seq: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.seq = seq


class SpawnError(OperationError):
    """A process could not be started."""


class CgroupError(OperationError):
    """A control group could not be made, read or emptied."""


class TransactionError(OperationError):
    """A transaction over files could not be begun, read, committed or undone."""


class ConflictError(TransactionError):
    """Somebody else changed what a transaction changes; nothing of it was committed.

    Args:
        message: One sentence that counts the paths.
        paths: Every path in conflict with what happened to it, in the order of the paths.
        hint: What to do next.
    """

    exit_code = 7

    def __init__(self, message: str, *, paths: tuple[tuple[str, str], ...], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.paths = paths

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each path."""
        return tuple(f"{path}: {what}" for path, what in self.paths)


class StoreError(OperationError):
    """A store could not be read or written."""


class NotAStoreError(StoreError):
    """There is no store at this place, or one of a version to come."""

    exit_code = 2


class StoreKeyError(StoreError):
    """The store is encrypted, and the key is missing or is another one."""

    exit_code = 2


class UnknownSnapshotError(StoreError):
    """No snapshot has this name, or several do, or it is too short to tell."""

    exit_code = 2


class StoreDamagedError(StoreError):
    """Something in a store is missing, or is not what was put in.

    Args:
        message: One sentence that names it.
        name: The file in the store, such as `packs/3f...`; empty if it is about none.
        hint: What to do next.
    """

    exit_code = 8

    def __init__(self, message: str, *, name: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint or "see what is damaged: resile verify --data")
        self.name = name


class SecretError(OperationError):
    """A secret could not be read, written or rotated. No error of this kind holds a value."""


class UnknownSecretError(SecretError):
    """No secret has this name, or it has no such version."""

    exit_code = 2


class SecretKeyError(SecretError):
    """The master key is missing, is readable by others, or is another one."""

    exit_code = 2


class SecretDeniedError(SecretError):
    """Whoever asks may not have the secret."""

    exit_code = 3


class SecretRevokedError(SecretError):
    """The secret, or this version of it, is not given to anybody any more; it is never served stale."""

    exit_code = 3


class SecretConflictError(SecretError):
    """Somebody else changed the secret meanwhile; nothing was written."""

    exit_code = 7


class SecretDamagedError(SecretError):
    """What is kept is not what was put in: its authentication code does not hold."""

    exit_code = 8


class ProviderDownError(SecretError):
    """The provider is away, sealed or too busy; the same call may succeed later.

    Args:
        message: One sentence with the facts of the case.
        hint: What to do next.
        retry_after_s: Seconds after which the provider asks to be tried again; 0 if it did not say.
    """

    exit_code = 9

    def __init__(self, message: str, *, hint: str = "", retry_after_s: float = 0.0) -> None:
        super().__init__(message, hint=hint, is_transient=True)
        self.retry_after_s = retry_after_s


class TimeoutExceededError(OperationError, TimeoutError):
    """A call took longer than it may; also a TimeoutError, for callers that know no other.

    Args:
        message: One sentence with the limit.
        timeout_s: The seconds that it had.
        hint: What to do next.
    """

    def __init__(self, message: str, *, timeout_s: float, hint: str = "") -> None:
        super().__init__(message, hint=hint, is_transient=True)
        self.timeout_s = timeout_s


class RetriesExhausted(OperationError):  # noqa: N818 - the field's word, and a name that stays fixed
    """Every attempt failed. Raised only by a retry that was asked for it; else the error itself.

    Args:
        message: One sentence with the number of attempts.
        attempts: What each attempt came to, the first first.
        hint: What to do next.
    """

    def __init__(self, message: str, *, attempts: tuple[object, ...], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.attempts = attempts


class ServiceDownError(OperationError):
    """A service is down or waits for one that is, so it was not asked, and nothing answers for it.

    Args:
        message: One sentence with the state and its reason.
        service: Its name.
        hint: What to do next.
    """

    def __init__(self, message: str, *, service: str, hint: str = "") -> None:
        super().__init__(message, hint=hint, is_transient=True)
        self.service = service


class OutboxError(OperationError):
    """What waits to be sent could not be read or written."""


class DaemonUnreachableError(OperationError):
    """No daemon answers for this folder."""

    exit_code = 6


class MissingExtraError(OperationError):
    """An optional package is not installed; the hint is the line that installs it."""
