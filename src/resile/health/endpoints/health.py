"""The health of one service: its checks, its state, and the endpoints that tell of both."""

import os
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.metrics import Counter, Gauge
from resile.core.units import parse_duration, parse_size
from resile.errors import ConfigError
from resile.health.endpoints import standard
from resile.health.endpoints.endpoint import Endpoint
from resile.health.endpoints.looks import Looks
from resile.health.endpoints.meters import Meters
from resile.health.endpoints.model import Check, CheckCall, HealthStatus
from resile.health.endpoints.phase import Phase
from resile.health.procfs import process_age_s, read_stat

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from resile.health.endpoints.asgi import ASGIApp
    from resile.health.endpoints.server import HealthServer

CheckT = TypeVar("CheckT", bound=CheckCall)


class Health:
    """The health of one service, and `/health`, `/health/live`, `/health/ready`, `/metrics` for it.

    Checks run when somebody asks and their results are too old; each on a thread of its own, for
    no longer than its time-out as far as answers are concerned. `/health/live` runs none.
    Safe to share between threads, and renewed in the child of a fork.

    Args:
        prefix: What the names of all metrics begin with, a lower-case word. Default "service".
        clock: For all that is measured or stamped.

    Raises:
        ConfigError: If the prefix is no name, or is "resile", which is resile's own.
    """

    def __init__(self, *, prefix: str = "service", clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._meters = Meters(prefix)
        self._looks = Looks(clock=clock)
        self._phase = Phase()
        self._endpoint = Endpoint(
            looks=self._looks,
            meters=self._meters,
            phase=self._phase,
            clock=clock,
            age_s=_process_age_s(),
        )

    def check(
        self,
        name: str,
        *,
        timeout: float | str = 1.0,
        ttl: float | str = 1.0,
        critical: bool = False,
        failure_status: HealthStatus | str | None = None,
    ) -> Callable[[CheckT], CheckT]:
        """Register a function as a check: plain or `async`, without arguments.

        It says that all is well by returning None, True or a mapping of details to show; that it is
        not by raising, or returning False; and anything else by a `HealthStatus` or `HealthResult`.
        The text of an exception is shown only if it is resile's own or the system's, as any other
        may hold a secret. A coroutine runs on the event loop of the ASGI server, or on the one that
        runs where `serve` was called, else on a loop of its own.

        Args:
            name: A lower-case word, once for each check: the component in `/health`.
            timeout: 10 ms to 60 s. A check that takes longer is unhealthy, and is not called again
                before it has returned. Default 1 s.
            ttl: So long a result is given again, 0 to 1 h. Default 1 s: however many ask, the
                check runs once a second at most.
            critical: The service is not ready while it is unhealthy. Default False.
            failure_status: What the whole service is while it is unhealthy: "degraded" or
                "unhealthy". Default: unhealthy if it is critical, else degraded.

        Raises:
            ConfigError: If an option is wrong, the name is taken, or there are 100 checks.
        """

        def register(call: CheckT) -> CheckT:
            self._looks.add(
                Check(
                    name=name,
                    call=call,
                    timeout=timeout,
                    ttl=ttl,
                    critical=critical,
                    failure_status=failure_status,  # type: ignore[arg-type] # Check reads text
                )
            )
            return call

        return register

    def add_database(
        self,
        connect: Callable[[], standard.Connection],
        *,
        name: str = "database",
        query: str = "SELECT 1",
        timeout: float | str = 1.0,
        critical: bool = True,
    ) -> None:
        """Check a database through any driver of the Python database interface (PEP 249).

        While it is down, the service is degraded and, if it is critical, not ready.

        Args:
            connect: Gives a connection, which is closed afterwards.
            name: Of the component; its metric is `<prefix>_<name>_query_duration_seconds`.
            query: Must give a row. Default "SELECT 1".
            timeout: Default 1 s.
            critical: Default True.

        Raises:
            ConfigError: As `check` does.
        """
        self._add_timed(
            name, standard.database(connect, query), timeout, critical=critical, timed="query"
        )

    def add_sqlite(
        self,
        path: str | os.PathLike[str],
        *,
        name: str = "database",
        timeout: float | str = 1.0,
        critical: bool = True,
    ) -> None:
        """Check a SQLite file: that it is there, is not locked, and its schema can be read.

        It is opened read-only and never made. Otherwise as `add_database`.
        """
        call = standard.sqlite(str(Path(path)), _seconds(timeout))
        self._add_timed(name, call, timeout, critical=critical, timed="query")

    def add_scanner(
        self,
        scan: Callable[[bytes], object | Awaitable[object]],
        *,
        name: str = "scanner",
        timeout: float | str = 2.0,
        critical: bool = False,
    ) -> None:
        """Check whatever scans content, by a small harmless buffer. While down: degraded.

        Args:
            scan: Takes bytes; plain or `async`. What it returns does not matter.
            name: Of the component; its metric is `<prefix>_<name>_scan_duration_seconds`.
            timeout: Default 2 s.
            critical: Default False.

        Raises:
            ConfigError: As `check` does.
        """
        self._add_timed(name, standard.scanner(scan), timeout, critical=critical, timed="scan")

    def add_connections(
        self, count: Callable[[], int], *, name: str = "ipc", limit: int = 1000
    ) -> None:
        """Check how many connections are open: degraded from `limit` on.

        Args:
            count: Tells their number.
            name: Of the component; its metric is `<prefix>_<name>_connections_active`.
            limit: 1 or more. Default 1000.

        Raises:
            ConfigError: As `check` does, or if the limit is below 1.
        """
        if limit < 1:
            raise ConfigError(f"a limit of {limit} connections is always reached", hint="1 or more")
        self.check(name)(standard.connections(count, limit))

    def add_disk(
        self,
        *paths: str | os.PathLike[str],
        name: str = "disk",
        free_min: int | str = "1GiB",
    ) -> None:
        """Check what file systems have free: unhealthy if one has not more than `free_min`.

        Args:
            paths: A path on each. Default: /tmp and /home.
            name: Of the component; its metric is `<prefix>_<name>_free_bytes{mount}`.
            free_min: Bytes, or text such as "1GiB", which is the default.

        Raises:
            ConfigError: As `check` does, or if the size is none.
        """
        places = tuple(str(Path(path)) for path in paths or ("/tmp", "/home"))  # noqa: S108
        call = standard.disk(places, _size(free_min))
        self.check(name, failure_status=HealthStatus.UNHEALTHY)(call)

    def add_memory(self, *, name: str = "memory", rss_max: int | str = "2GiB") -> None:
        """Check the resident memory of this process: degraded from `rss_max` on.

        Args:
            name: Of the component; its metric is `<prefix>_<name>_rss_bytes`.
            rss_max: Bytes, or text such as "2GiB", which is the default.

        Raises:
            ConfigError: As `check` does, or if the size is none.
        """
        self.check(name)(standard.memory(_size(rss_max)))

    def add_gauge(self, name: str, description: str, *, labels: tuple[str, ...] = ()) -> Gauge:
        """Add a number that goes up and down to `/metrics`; set it with `.set(value, label=...)`.

        Args:
            name: What follows the prefix, with its unit, such as "queue_jobs".
            description: One sentence.
            labels: Their names; at most 1000 combinations of values are told apart.

        Raises:
            ConfigError: If a name is wrong or taken, or there are 200 metrics.
        """
        return self._meters.make_gauge(name, description, labels)

    def add_counter(self, name: str, description: str, *, labels: tuple[str, ...] = ()) -> Counter:
        """Add a number that only grows to `/metrics`; count with `.add(1, label=...)`.

        Args:
            name: What follows the prefix; ends in `_total`.
            description: One sentence.
            labels: As for `add_gauge`.

        Raises:
            ConfigError: If a name is wrong or taken, or there are 200 metrics.
        """
        return self._meters.make_counter(name, description, labels)

    def starting(self, what: str) -> AbstractContextManager[None]:
        """Keep the service from being ready during a `with` block, and after it if that raises.

        Args:
            what: What is being done; the reason in `/health/ready`.
        """
        return self._phase.starting(what)

    def drain(self, reason: str = "the service ends") -> None:
        """Be not ready from now on, so that no more work is sent. Safe in a signal handler."""
        self._phase.drain(reason)

    def drain_on_sigterm(self) -> None:
        """Drain when SIGTERM arrives; then the handler is called that was there before.

        Call it in the main thread, after your server has set its own handlers: with an ASGI server,
        in the lifespan.

        Raises:
            ConfigError: Outside the main thread.
        """
        self._phase.drain_on_sigterm()

    def asgi(self, app: "ASGIApp | None" = None) -> "ASGIApp":
        """Give the endpoints as an ASGI application, for a server that runs on asyncio.

        Args:
            app: Gets all other requests. Default: they are answered with 404.

        Raises:
            ConfigError: If `app` is not callable.
        """
        _check_app(app, "asgi")
        from resile.health.endpoints.asgi import asgi_app

        return asgi_app(self._endpoint, app)

    def wsgi(self, app: "WSGIApplication | None" = None) -> "WSGIApplication":
        """Give the endpoints as a WSGI application.

        Args:
            app: Gets all other requests. Default: they are answered with 404.

        Raises:
            ConfigError: If `app` is not callable.
        """
        _check_app(app, "wsgi")
        from resile.health.endpoints.wsgi import wsgi_app

        return wsgi_app(self._endpoint, app)

    def serve(self, port: int, *, host: str = "127.0.0.1") -> "HealthServer":
        """Serve the endpoints from a thread of this process, beside whatever it does.

        Args:
            port: 0 takes one that is free.
            host: An address of this machine. Default: loopback only. The endpoints ask nobody who
                they are, so open them no further than to those who probe.

        Raises:
            ConfigError: If there is no such port.
            OperationError: If nothing can listen there.
        """
        import asyncio

        from resile.health.endpoints.server import HealthServer

        with suppress(RuntimeError):  # No loop runs here: coroutines get one of their own.
            self._endpoint.belongs_to(asyncio.get_running_loop())
        return HealthServer(self._endpoint, host=host, port=port, clock=self._clock)

    def close(self) -> None:
        """End the threads that ran checks; a check that hangs keeps its own. Idempotent."""
        self._looks.close()

    def _add_timed(
        self, name: str, call: CheckCall, timeout: float | str, *, critical: bool, timed: str
    ) -> None:
        self._looks.add(
            Check(
                name=name,
                call=call,
                timeout=timeout,
                critical=critical,
                failure_status=HealthStatus.DEGRADED,
                timed=timed,
            )
        )


def _seconds(duration: float | str) -> float:
    try:
        return parse_duration(duration)
    except (ValueError, TypeError) as exc:
        raise ConfigError(str(exc), hint='write seconds, or "250ms"') from exc


def _size(size: int | str) -> int:
    try:
        return parse_size(size)
    except ValueError as exc:
        raise ConfigError(str(exc), hint='write a size such as "1GiB"') from exc


def _check_app(app: object, kind: str) -> None:
    if app is not None and not callable(app):
        raise ConfigError(
            f"{app!r:.80} is not callable, so it is no application",
            hint=f"such as app = health.{kind}(app); without one for the endpoints alone",
        )


def _process_age_s() -> float:
    stat = read_stat(os.getpid())
    return 0.0 if stat is None else process_age_s(stat.start_ticks)
