"""The ways to log in to Vault: a token that somebody else keeps, AppRole, a pod of Kubernetes."""

import logging
import os
import re
import stat
from pathlib import Path
from typing import Protocol

from resile.clients.vault import tokens
from resile.clients.vault.answers import taken, text_of
from resile.clients.vault.model import Auth
from resile.clients.vault.steps import Flow, Run, Send
from resile.core.files import write_atomic
from resile.core.log_line import log_line
from resile.errors import SecretDeniedError

logger = logging.getLogger(__name__)

FILE_BYTES_MAX = 64 << 10
_WRAPPING = re.compile(r"(s|hvs)\.[A-Za-z0-9_.-]+")
"""What wrapping tokens look like: those of OpenBao begin with `s.`, those of Vault with `hvs.`."""
_SECRET_ID_PATH = re.compile(r"auth/.+/role/[^/]+/(custom-)?secret-id")


class Login(Protocol):
    """One way to log in. Only one flow of it runs at a time."""

    @property
    def way(self) -> str:
        """What it is called, for people."""
        ...

    def log_in(self) -> Flow[Auth]:
        """Get a token.

        Raises:
            SecretDeniedError: If there is none to be had like this.
            ProviderDownError: If it may work later.
        """
        ...


class TokenFile:
    """A token in a file, which somebody else keeps alive and may replace, such as an agent.

    Args:
        path: The file, for its owner alone.
    """

    way = "token"

    def __init__(self, path: Path) -> None:
        self._path = path

    def log_in(self) -> Flow[Auth]:
        """Read the file, and ask what is left of the token's life."""
        token = yield from _read(self._path)
        if not tokens.is_token(token):
            raise SecretDeniedError(f"{self._path} holds no token", hint="put one in it")
        call = tokens.look_up_self()
        reply = yield Send(call=call, token=token)
        if reply.status == 403:
            raise SecretDeniedError(
                f"the token in {self._path} has expired, or was revoked",
                hint="put a new one in it, or let us log in by AppRole",
            )
        found = taken(call, reply)
        return Auth(token=token, life_s=found.life_s, can_renew=found.can_renew)


class AppRole:
    """A role of AppRole with its secret id in a file.

    The file may hold a wrapping token instead, as an orchestrator delivers it. It is opened once, only
    if it is that of a secret id, and the secret id takes its place in the file, so that a new process
    can log in, too. A file that cannot be written is left, and the secret id is kept in memory alone.

    Args:
        role_id: The role.
        secret_id_file: The file, for its owner alone.
        mount: Where the method is mounted.
    """

    way = "AppRole"

    def __init__(self, role_id: str, secret_id_file: Path, *, mount: str = "approle") -> None:
        self._role_id = role_id
        self._path = secret_id_file
        self._mount = mount
        self._opened = ("", "")

    def log_in(self) -> Flow[Auth]:
        """Log in, after opening the secret id if it is wrapped."""
        secret_id = yield from _read(self._path)
        if _WRAPPING.fullmatch(secret_id):
            secret_id = yield from self._unwrapped(secret_id)
        call = tokens.approle_login(self._role_id, secret_id, mount=self._mount)
        return taken(call, (yield Send(call=call)))

    def _unwrapped(self, token: str) -> Flow[str]:
        wrapped, secret_id = self._opened
        if wrapped == token:
            return secret_id
        # Whoever has caught the token and wrapped something of their own cannot forge this path.
        look = tokens.wrapped_from(token)
        if not _SECRET_ID_PATH.fullmatch(taken(look, (yield Send(call=look)))):
            raise SecretDeniedError(
                f"the wrapping token in {self._path} stands for something else than a secret id",
                hint="treat it as forged: find out who put it there",
            )
        call = tokens.unwrap(token)
        secret_id = text_of(taken(call, (yield Send(call=call, token=token))), "secret_id")
        self._opened = (token, secret_id)
        yield Run(function=lambda: _keep(self._path, secret_id))
        return secret_id


class Kubernetes:
    """A pod, by the token of its service account. Kubernetes replaces the file, so it is read each time.

    Args:
        role: The role in Vault.
        token_file: Where the pod's token is.
        mount: Where the method is mounted.
    """

    way = "Kubernetes"

    def __init__(self, role: str, token_file: Path, *, mount: str = "kubernetes") -> None:
        self._role = role
        self._path = token_file
        self._mount = mount

    def log_in(self) -> Flow[Auth]:
        """Log in."""
        jwt = yield from _read(self._path, is_private=False)
        call = tokens.kubernetes_login(self._role, jwt, mount=self._mount)
        return taken(call, (yield Send(call=call)))


def _read(path: Path, *, is_private: bool = True) -> Flow[str]:
    text: str = yield Run(function=lambda: _content(path, is_private=is_private))
    return text


def _content(path: Path, *, is_private: bool) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(FILE_BYTES_MAX)
    except OSError as exc:
        raise SecretDeniedError(
            f"{path} cannot be read: {exc.strerror}", hint="without it we cannot log in to Vault"
        ) from exc
    if is_private and stat.S_IMODE(mode) & 0o077:
        raise SecretDeniedError(f"others may read {path}", hint=f"chmod 600 {path}")
    text = data.decode("ascii", errors="replace").strip()
    if not text:
        raise SecretDeniedError(f"{path} is empty", hint="put in it what we log in to Vault with")
    return text


def _keep(path: Path, secret_id: str) -> None:
    try:
        write_atomic(path, secret_id.encode())
    except OSError as exc:
        fields: dict[str, object] = {"path": path, "reason": exc.strerror}
        logger.warning(log_line("vault.secret_id_not_kept", fields), extra=fields)
