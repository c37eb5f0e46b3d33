"""Vault and OpenBao over HTTP: one way through the code for threads and for tasks.

A call is a value, made by `kv`, `leases`, `system`, `tokens` or `transit`; a client carries it out.
"""

from resile.clients.vault import kv, leases, system, tokens, transit
from resile.clients.vault._async import AsyncVaultClient
from resile.clients.vault._sync import VaultClient
from resile.clients.vault.http import Target
from resile.clients.vault.logins import AppRole, Kubernetes, Login, TokenFile
from resile.clients.vault.model import (
    NEVER,
    Auth,
    Call,
    Credential,
    Document,
    DocumentHistory,
    DocumentVersion,
    Health,
    Reply,
    TransitKey,
)
from resile.clients.vault.session import Session, Token

__all__ = [
    "NEVER",
    "AppRole",
    "AsyncVaultClient",
    "Auth",
    "Call",
    "Credential",
    "Document",
    "DocumentHistory",
    "DocumentVersion",
    "Health",
    "Kubernetes",
    "Login",
    "Reply",
    "Session",
    "Target",
    "Token",
    "TokenFile",
    "TransitKey",
    "VaultClient",
    "kv",
    "leases",
    "system",
    "tokens",
    "transit",
]
