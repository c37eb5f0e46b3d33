"""`resile.load`: policies from `[policy.NAME]` of a file, again whenever the file changes."""

import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, Self

from resile.core.units import parse_duration
from resile.core.vocabulary import CONFIG_BYTES_MAX
from resile.errors import ConfigError
from resile.policies.forks import RenewedLock, renew_in_children
from resile.policies.registry import REGISTRY, Registry
from resile.policies.sections import Section, sections_of

_EVERY_S: Final = (0.05, 3600.0)
_SYSTEM_EVERY_S: Final = 1.0
"""As `load` by itself: a change is in force after two looks."""
_BEGINNING: Final = RenewedLock()
"""One begins to follow at a time: else the file of the system could come after the program's own."""
_Signature = tuple[int, int, int] | None
_NEVER_SEEN: Final = (-1, -1, -1)


class Loaded:
    """A file whose policies are in force. Safe to share between threads; `with` ends its watch.

    Args:
        path: The file.
        registry: Whose guards follow it.
    """

    def __init__(self, path: Path, registry: Registry) -> None:
        self.path = path
        self.error: ConfigError | None = None
        """Why the file as it is now is not in force; None if it is."""
        self.sections: dict[str, Section] = {}
        self._registry = registry
        self._lock = RenewedLock()
        self._seen: _Signature = None
        """The file that was read last."""
        self._changing: _Signature = _NEVER_SEEN
        """A file that was seen once; it is read when it has stopped changing."""
        self._every_s = 0.0
        self._end = threading.Event()

    @property
    def unused(self) -> tuple[str, ...]:
        """Tell the names in the file that no guard has yet; one that stays may be misspelt."""
        names = {guard.name for guard in self._registry.guards()}
        return tuple(sorted(self.sections.keys() - names))

    def reload(self) -> bool:
        """Read the file now; what is wrong with it leaves all as it was, and is in `error`.

        Returns:
            True if what the file says is in force.
        """
        with self._lock:
            self._seen = _signature(self.path)
            try:
                sections = _read(self.path)
                self._registry.configure(sections)
            except ConfigError as error:
                self.error = error
                return False
            self.sections, self.error = sections, None
            return True

    def look(self) -> bool:
        """Read the file if it has changed and is not being written; True if it was read."""
        signature = _signature(self.path)
        if signature == self._seen:
            return False
        if signature != self._changing:
            self._changing = signature
            return False
        _report(self.path, None if self.reload() else self.error)
        return True

    def watch(self, every_s: float) -> None:
        """Look at the file now and then, in a thread of its own, also in the children of forks."""
        self._every_s = every_s
        self._start()
        renew_in_children(self)

    def renew(self) -> None:
        """Go on watching in the child of a fork."""
        if self._every_s:
            self._start()

    def close(self) -> None:
        """Stop watching; what is in force stays so."""
        self._every_s = 0.0
        self._end.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        self._end = threading.Event()
        threading.Thread(
            target=_watch,
            args=(self.look, self._end, self._every_s),
            name="resile-load",
            daemon=True,
        ).start()


def load(
    path: str | os.PathLike[str] = "resile.toml",
    *,
    watch: bool = False,
    every: float | str = 1.0,
    registry: Registry = REGISTRY,
) -> Loaded:
    """Put the policies of a file into force: those of `[policy.NAME]`, for the guards of that name.

    Guards that exist follow, with all that they decorate, and keep their state; those that are made
    later begin so. What the file does not say stays as in code. A second call takes the place of
    the first. In a service of `resile up` the guards follow the system's `resile.toml` without a
    call, and a call takes the place of that: one file is in force, and one is watched.

    Args:
        path: A TOML file. Other tables than `[policy.NAME]` are for others.
        watch: True to read it again whenever it changes. A file that is broken then leaves all as
            it is; `error` of what is returned has what is wrong, and so has the log.
        every: How often a watched file is looked at, 50ms..1h. Default 1 s: a change is in force
            after two looks, when nobody writes any more.
        registry: Whose guards are meant. Default: those of this process.

    Raises:
        ConfigError: If the file cannot be read or anything in it is wrong; `problems` has all of it.
    """
    every_s = _seconds(every)
    loaded = Loaded(Path(path).absolute(), registry)
    with _BEGINNING:
        if not loaded.reload() and loaded.error is not None:
            raise loaded.error
        before = registry.follow(loaded)
        if isinstance(before, Loaded):
            before.close()
        if watch:
            loaded.watch(every_s)
    return loaded


def follow_system(path: str, *, registry: Registry = REGISTRY) -> None:
    """Follow the file of the system, and watch it, unless the program follows one already.

    Nothing is raised for what the file says: what is wrong with it is logged and not in force, at
    once, later, and for guards that are made later.
    """
    loaded = Loaded(Path(path).absolute(), registry)
    with _BEGINNING:
        if registry.follows is not None:
            return
        registry.follow(loaded, refused=partial(_report, loaded.path))
        loaded.reload()
        loaded.watch(_SYSTEM_EVERY_S)
    if loaded.error is not None:
        _report(loaded.path, loaded.error)


def _watch(look: Callable[[], bool], end: threading.Event, every_s: float) -> None:
    while not end.wait(every_s):
        try:
            look()
        except Exception as error:  # noqa: BLE001 - the watch goes on, whatever one look came to
            _report(None, error)


def _seconds(every: float | str) -> float:
    low, high = _EVERY_S
    try:
        seconds = parse_duration(every)
    except (ValueError, TypeError) as exc:
        raise ConfigError(str(exc), hint='write every="1s"') from exc
    if not low <= seconds <= high:
        raise ConfigError(f"every: {every!r} is not in 50ms..1h", hint='write every="1s"')
    return seconds


def _signature(path: Path) -> _Signature:
    """Tell what changes when a file does; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _read(path: Path) -> dict[str, Section]:
    """Read the sections of a file.

    Raises:
        ConfigError: If that is not possible.
    """
    import tomllib

    try:
        with path.open("rb") as file:
            content = file.read(CONFIG_BYTES_MAX + 1)
    except OSError as exc:
        raise ConfigError(
            f"{path} cannot be read: {exc.strerror or exc}", hint="give the path of a resile.toml"
        ) from exc
    if len(content) > CONFIG_BYTES_MAX:
        raise ConfigError(f"{path} is larger than 4 MiB", hint="give the path of a resile.toml")
    try:
        table = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path} is no TOML: {exc}", problems=(f"{path}: {exc}",)) from exc
    return sections_of(table.get("policy", {}))


def _report(path: Path | None, error: Exception | None) -> None:
    import logging

    from resile.core.log_line import log_line

    logger = logging.getLogger(__name__)
    if error is None:
        logger.info("policies.reloaded path=%s", path, extra={"path": str(path)})
    else:
        problems = list(getattr(error, "problems", ()) or (str(error),))
        said = log_line("policies.reload_refused", {"path": path, "problems": "; ".join(problems)})
        logger.error(said, extra={"path": str(path), "problems": problems})
