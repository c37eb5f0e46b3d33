"""What each call sends, and what it makes of the answer."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.vaulting import Either, FakeVault

from resile.clients.vault import (
    Credential,
    DocumentHistory,
    DocumentVersion,
    TransitKey,
    kv,
    leases,
    tokens,
    transit,
)
from resile.errors import SecretError, UnknownSecretError

AT = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
AT_TEXT = "2030-01-02T03:04:05.678901234Z"
OK = {"data": {"keys": ["a", "b/", 7], "version": 4, "ciphertext": "vault:v1:x", "ttl": 30}}


@pytest.mark.parametrize(
    ("call", "method", "path", "body", "result"),
    [
        (
            kv.put("a/b", {"x": 1}, mount="kv"),
            "POST",
            "kv/data/a/b",
            {"data": {"x": 1}},
            DocumentVersion(number=4, created_at=None, is_gone=False),
        ),
        (
            kv.put("a", {"x": 1}, mount="kv", cas=0),
            "POST",
            "kv/data/a",
            {"data": {"x": 1}, "options": {"cas": 0}},
            DocumentVersion(number=4, created_at=None, is_gone=False),
        ),
        (
            kv.note("a", {"one": "1", "two": None}, mount="kv"),
            "PATCH",
            "kv/metadata/a",
            {"custom_metadata": {"one": "1", "two": None}},
            None,
        ),
        (kv.delete("a", 1, 2, mount="kv"), "PUT", "kv/delete/a", {"versions": [1, 2]}, None),
        (kv.destroy("a", 3, mount="kv"), "PUT", "kv/destroy/a", {"versions": [3]}, None),
        (kv.forget("a", mount="kv"), "DELETE", "kv/metadata/a", None, None),
        (kv.listed("", mount="kv"), "GET", "kv/metadata?list=true", None, ("a", "b/")),
        (kv.listed("a", mount="kv"), "GET", "kv/metadata/a?list=true", None, ("a", "b/")),
        (
            leases.revoke("database/creds/app/1"),
            "POST",
            "sys/leases/revoke",
            {"lease_id": "database/creds/app/1", "sync": True},
            None,
        ),
        (
            leases.look_up("database/creds/app/1"),
            "POST",
            "sys/leases/lookup",
            {"lease_id": "database/creds/app/1"},
            30.0,
        ),
        (tokens.revoke_self(), "POST", "auth/token/revoke-self", {}, None),
        (transit.rotate("k", mount="tr"), "POST", "tr/keys/k/rotate", {}, None),
        (
            transit.configure("k", mount="tr", min_decryption=3, min_encryption=4),
            "POST",
            "tr/keys/k/config",
            {"min_decryption_version": 3, "min_encryption_version": 4},
            None,
        ),
        (
            transit.encrypt("k", b"hi", mount="tr", version=2),
            "POST",
            "tr/encrypt/k",
            {"plaintext": "aGk=", "key_version": 2},
            "vault:v1:x",
        ),
        (
            transit.rewrap("k", "vault:v1:y", mount="tr"),
            "POST",
            "tr/rewrap/k",
            {"ciphertext": "vault:v1:y", "key_version": 0},
            "vault:v1:x",
        ),
    ],
)
def test_call_says_what_the_api_wants(
    client: Either, vault: FakeVault, call: Any, method: str, path: str, body: Any, result: Any
) -> None:
    vault.answers[call.path] = (200, OK)

    assert client.do(call) == result

    request = vault.requests[-1]
    assert request.method == method
    assert request.url.raw_path.decode() == f"/v1/{path}"
    assert (json.loads(request.content) if request.content else None) == body
    if method == "PATCH":
        assert request.headers["Content-Type"] == "application/merge-patch+json"


def test_renewal_of_a_lease_asks_for_whole_seconds(client: Either, vault: FakeVault) -> None:
    vault.answers["sys/leases/renew"] = (200, {"lease_duration": 55, "lease_id": "a/b"})

    granted_s = client.do(leases.renew("a/b", for_s=59.2))

    assert granted_s == 55.0
    assert json.loads(vault.requests[-1].content)["increment"] == 60


def test_credential_comes_with_its_lease(client: Either, vault: FakeVault) -> None:
    vault.answers["database/creds/app"] = (
        200,
        {
            "lease_id": "database/creds/app/1",
            "lease_duration": 60,
            "renewable": True,
            "data": {"username": "u", "password": "p"},
        },
    )

    assert client.do(leases.issue("database/creds/app")) == Credential(
        fields={"username": "u", "password": "p"},
        lease_id="database/creds/app/1",
        lease_s=60.0,
        can_renew=True,
    )


def test_version_of_a_document_is_asked_for_by_number(client: Either, vault: FakeVault) -> None:
    meta = {"version": 2, "created_time": AT_TEXT}
    vault.answers["kv/data/a"] = (200, {"data": {"data": {"x": 1}, "metadata": meta}})

    document = client.do(kv.read("a", mount="kv", version=2))

    assert (document.version, document.created_at) == (2, AT)
    assert vault.requests[-1].url.query == b"version=2"


@pytest.mark.parametrize("text", ["", "yesterday", "2030-01-02T03:04:05", 7])
def test_time_that_cannot_be_read_is_none(client: Either, vault: FakeVault, text: Any) -> None:
    meta = {"version": 2, "created_time": text}
    vault.answers["kv/data/a"] = (200, {"data": {"data": {"x": 1}, "metadata": meta}})

    assert client.do(kv.read("a", mount="kv")).created_at is None


def test_history_tells_what_is_gone(client: Either, vault: FakeVault) -> None:
    vault.answers["kv/metadata/a"] = (
        200,
        {
            "data": {
                "current_version": 10,
                "custom_metadata": {"one": "1", "odd": 7},
                "versions": {
                    "9": {"created_time": AT_TEXT, "deletion_time": AT_TEXT, "destroyed": False},
                    "10": {"created_time": AT_TEXT, "deletion_time": "", "destroyed": False},
                    "8": {"created_time": AT_TEXT, "deletion_time": "", "destroyed": True},
                    "odd": {},
                    "7": "odd",
                },
            }
        },
    )

    assert client.do(kv.history("a", mount="kv")) == DocumentHistory(
        current=10,
        versions=(
            DocumentVersion(number=10, created_at=AT, is_gone=False),
            DocumentVersion(number=9, created_at=AT, is_gone=True),
            DocumentVersion(number=8, created_at=AT, is_gone=True),
        ),
        notes={"one": "1"},
    )


def test_history_of_what_was_never_written_is_empty(client: Either, vault: FakeVault) -> None:
    vault.answers["kv/metadata/a"] = (
        200,
        {"data": {"current_version": 0, "custom_metadata": None, "versions": {}}},
    )

    assert client.do(kv.history("a", mount="kv")) == DocumentHistory()


def test_folder_that_is_not_there_is_empty(client: Either, vault: FakeVault) -> None:
    assert client.do(kv.listed("a", mount="kv")) == ()


def test_list_without_keys_is_an_error(client: Either, vault: FakeVault) -> None:
    vault.answers["kv/metadata"] = (200, {"data": {}})

    with pytest.raises(SecretError, match=r"data\.keys"):
        client.do(kv.listed("", mount="kv"))


def test_transit_key_tells_its_versions(client: Either, vault: FakeVault) -> None:
    vault.answers["tr/keys/k"] = (
        200,
        {
            "data": {
                "latest_version": 3,
                "min_decryption_version": 2,
                "min_encryption_version": 0,
                "supports_encryption": True,
            }
        },
    )

    assert client.do(transit.key_info("k", mount="tr")) == TransitKey(
        latest=3, min_decryption=2, min_encryption=0, can_encrypt=True
    )
    with pytest.raises(UnknownSecretError, match="transit key 'other'"):
        client.do(transit.key_info("other", mount="tr"))


def test_transit_gives_the_plain_bytes(client: Either, vault: FakeVault) -> None:
    vault.answers["tr/decrypt/k"] = (200, {"data": {"plaintext": "/wA="}})

    assert client.do(transit.decrypt("k", "vault:v1:x", mount="tr")) == b"\xff\0"


@pytest.mark.parametrize(
    ("call", "content"),
    [
        (transit.decrypt("k", "vault:v1:x", mount="tr"), {"data": {"plaintext": "secret!"}}),
        (transit.encrypt("k", b"x", mount="tr"), {"data": {}}),
    ],
)
def test_answer_of_transit_without_its_text_is_an_error(
    client: Either, vault: FakeVault, call: Any, content: Any
) -> None:
    vault.answers[call.path] = (200, content)

    with pytest.raises(SecretError, match="as Vault's API has it") as caught:
        client.do(call)

    assert "secret!" not in str(caught.value)
