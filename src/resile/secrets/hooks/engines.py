"""A secret as the login of a SQLAlchemy engine, whose connections follow it from version to version."""

import asyncio
from collections.abc import Callable
from typing import Any

from resile.clients.engines import dispose, listen, plain_engine, wait_inside
from resile.secrets.attempts import repeated
from resile.secrets.hooks.logins import KEPT_IN, login_of
from resile.secrets.manager import SecretManager
from resile.secrets.value import Secret


class EngineLogin:
    """Gives the connections of an engine their login. Safe to share between threads.

    Each connection's record holds the secret that it was opened with, until the connection is closed.
    With a new version idle connections are closed at once, the others when they come back to the pool.

    Args:
        engine: An Engine, or an AsyncEngine.
        manager: Whose secret.
        name: Which.
    """

    def __init__(self, engine: Any, manager: SecretManager, name: str) -> None:
        self._engine = engine
        self._manager = manager
        self._name = name
        self._is_async = plain_engine(engine) is not engine
        self._loop: asyncio.AbstractEventLoop | None = None
        self._generation = 0
        """Of connections: those of an older one are closed when they come back."""

    def start(self) -> Callable[[], None]:
        """Begin; give what ends the following of new versions. The logins go on."""
        listen(self._engine, "do_connect", self.connect)
        listen(self._engine, "checkin", self.come_back)
        listen(self._engine, "close", self.end)
        return self._manager.on_rotation(self._name, self.rotate, is_enough=False)

    def connect(self, dialect: Any, record: Any, args: list[Any], options: dict[str, Any]) -> Any:
        """Open a connection; once more if the login is refused."""
        if self._is_async:
            self._loop = asyncio.get_running_loop()
        generation = self._generation

        def log_in(secret: Secret) -> Any:
            connection = dialect.connect(*args, **{**options, **login_of(secret)})
            if record is not None:
                record.info[KEPT_IN] = (generation, secret)
            return connection

        return repeated(
            self._name, log_in, read=self._read, refresh=self._refresh, manager=self._manager
        )

    def come_back(self, _: Any, record: Any) -> None:
        """Close a connection of an older generation: its login is old, or its pool was replaced."""
        generation, _secret = record.info.get(KEPT_IN, (self._generation, None))
        if generation != self._generation:
            record.invalidate()

    def end(self, _: Any, record: Any) -> None:
        """Let go of the secret of a connection that is closed."""
        if record is not None:
            record.info.pop(KEPT_IN, None)

    def rotate(self, _: Secret) -> None:
        """Close what is idle, and have new connections opened with the new version."""
        self._generation += 1
        try:
            dispose(self._engine, self._loop)
        finally:
            # Once more for those that were opened meanwhile, into the pool that is replaced.
            self._generation += 1

    def _read(self, name: str) -> Secret:
        return (
            wait_inside(self._manager.asecret(name))
            if self._is_async
            else self._manager.secret(name)
        )

    def _refresh(self, name: str, version: str) -> Secret:
        if self._is_async:
            return wait_inside(self._manager.arefresh(name, instead_of=version))
        return self._manager.refresh(name, instead_of=version)
