"""The KV engine of a Vault, in memory: versions, compare-and-set, notes. It can be cut at any request."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tests.support.vaulting import ADDRESS, ROLE_ID, Answer, FakeVault, secret_id_file

from resile.clients.vault import AppRole, Target
from resile.secrets.providers.vault import VaultProvider

MAX_VERSIONS = 10
MOUNT = "secret"
_AT = "2030-01-02T03:04:05Z"


@dataclass
class Kept:
    """What is kept at one path."""

    current: int = 0
    versions: dict[int, dict[str, Any] | None] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


class FakeKv(FakeVault):
    """A server with one KV engine at `secret`.

    After `cut_from_now` one request is lost: before it is carried out, or after it, when
    `is_answer_lost`. `killed` is raised then, if it is set, in place of an error of the network.
    """

    def __init__(self, clock: Any, **options: Any) -> None:
        super().__init__(clock, **options)
        self.kept: dict[str, Kept] = {}
        self.denied: set[str] = set()
        self.cut_at = -1
        self.is_answer_lost = False
        self.killed: BaseException | None = None
        self.was_cut = False
        self._index = -1

    def cut_from_now(self, at: int, *, is_answer_lost: bool) -> None:
        self.cut_at, self.is_answer_lost, self._index = at, is_answer_lost, -1

    def handle(self, request: httpx.Request) -> httpx.Response:
        self._index += 1
        is_cut = self._index == self.cut_at >= 0
        self.was_cut |= is_cut
        if is_cut and not self.is_answer_lost:
            raise self.killed or httpx.ConnectError("refused")
        response = super().handle(request)
        if is_cut:
            raise self.killed or httpx.ReadTimeout("too late")
        return response

    def _own(self, path: str, request: httpx.Request) -> Answer:
        if not path.startswith(f"{MOUNT}/"):
            return super()._own(path, request)
        token = request.headers.get("X-Vault-Token", "")
        _, verb, name = path.split("/", 2) if path.count("/") > 1 else (*path.split("/"), "")
        is_alive = self.tokens.get(token, (0.0, 0.0))[1] > self.clock.monotonic()
        if not is_alive or f"{verb}/{name}" in self.denied or request.method in self.denied:
            return 403, {"errors": ["permission denied"]}
        body = json.loads(request.content) if request.content else {}
        answer: Answer = getattr(self, f"_{verb}")(request, name, body)
        return answer

    def _data(self, request: httpx.Request, name: str, body: Any) -> Answer:
        kept = self.kept.get(name, Kept())
        if request.method == "POST":
            if body.get("options", {}).get("cas", kept.current) != kept.current:
                said = "check-and-set parameter did not match the current version"
                return 400, {"errors": [said]}
            self.kept[name] = kept
            kept.current += 1
            kept.versions[kept.current] = body["data"]
            kept.versions.pop(kept.current - MAX_VERSIONS, None)
            return 200, {"data": self._meta(kept.current)}
        number = int(request.url.params.get("version", kept.current))
        if number not in kept.versions:
            return 404, {"errors": []}
        found = {"data": kept.versions[number], "metadata": self._meta(number)}
        return (404 if kept.versions[number] is None else 200), {"data": found}

    def _metadata(self, request: httpx.Request, name: str, body: Any) -> Answer:
        if request.url.params.get("list"):
            return self._list(name)
        if request.method == "DELETE":
            self.kept.pop(name, None)
            return 204, b""
        kept = self.kept.get(name, Kept())
        if request.method == "PATCH":
            notes = {**kept.notes, **body["custom_metadata"]}
            kept.notes = {key: text for key, text in notes.items() if text is not None}
            return 204, b""
        if not kept.current:
            return 404, {"errors": []}
        versions = {
            str(number): {"created_time": _AT, "deletion_time": "", "destroyed": fields is None}
            for number, fields in kept.versions.items()
        }
        about = {"current_version": kept.current, "versions": versions}
        return 200, {"data": {**about, "custom_metadata": kept.notes or None}}

    def _list(self, folder: str) -> Answer:
        start = f"{folder}/" if folder else ""
        rests = [name.removeprefix(start) for name in self.kept if name.startswith(start)]
        keys = {rest.partition("/")[0] + ("/" if "/" in rest else "") for rest in rests}
        return (200, {"data": {"keys": sorted(keys)}}) if keys else (404, {"errors": []})

    def _destroy(self, _: httpx.Request, name: str, body: Any) -> Answer:
        for number in body["versions"]:
            self.kept[name].versions[number] = None
        return 204, b""

    def _meta(self, number: int) -> dict[str, Any]:
        return {"version": number, "created_time": _AT, "deletion_time": "", "destroyed": False}


def provider_of(vault: FakeKv, folder: Path) -> VaultProvider:
    """Give a provider that speaks with the fake; its secret id is in a folder."""
    return VaultProvider(
        Target(ADDRESS),
        AppRole(ROLE_ID, secret_id_file(folder)),
        clock=vault.clock,
        transport=httpx.MockTransport(vault.handle),
    )
