"""Stores to look at: a busy one, one in trouble, one that is missing, and a hostile one."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.unit.web.scenes import HOSTILE, TURNED, all_up

from resile.testing.view import FakeSystemView

NEWEST, OLDER, SAFETY = "a1" * 32, "a2" * 32, "b1" * 32
_MIB = 1 << 20


def with_store(*, now: datetime | None = None) -> FakeSystemView:
    """Two folders with many snapshots; the newest differs from now, and all is verified."""
    view = all_up(now=now or datetime.now(UTC))
    store = view.store
    for index in range(60):
        at = view.now - timedelta(minutes=3 + 5 * index * (1 + index / 4))
        is_changed = index % 7 == 3
        size = (9 + index) * _MIB if is_changed else 0
        sizes = {"new_bytes": size, "stored_bytes": size // 3}
        store.put(f"{index:04x}" + "c" * 60, at=at, **sizes)
    store.put(NEWEST, at=view.now - timedelta(seconds=40), tags=["nightly", "checked"])
    store.put(OLDER, at=view.now - timedelta(hours=5), is_protected=True, tags=["release-2"])
    store.put(
        SAFETY, at=view.now - timedelta(hours=2), tags=["before-restore"], is_safety=True, unread=2
    )
    for index in range(12):
        at = view.now - timedelta(hours=1 + 20 * index)
        facts = {"source": "/srv/policy/database", "bytes": 4 * _MIB, "stored_bytes": 40 << 10}
        store.put(f"{index:04x}" + "d" * 60, at=at, **facts)
    store.diffs[NEWEST, "live"] = store.diffs["/srv/kb", "live"] = changes()
    store.moment |= {"replayed": 3, "until": (view.now - timedelta(minutes=2)).isoformat()}
    store.texts["rules.yaml"] = (
        "--- a/rules.yaml\n+++ b/rules.yaml\n@@ -1,2 +1,2 @@\n rules:\n-  - allow: all\n+  - deny: all\n"
    )
    store.facts |= {
        "read_at": view.now.isoformat(),
        "health": health(view.now),
        "replica": {
            "place": "s3://backup/kb",
            "replicated_at": (view.now - timedelta(minutes=4)).isoformat(),
            "lag_s": 0.0,
            "trouble": "",
        },
        "keeper": keeper(view.now),
    }
    return view


def keeper(now: datetime, *, name: str = "kb") -> dict[str, Any]:
    """A snapshot is being taken, a third of the store is read, and the second store is next."""
    return {
        "jobs": [
            job(
                "snapshot", now - timedelta(seconds=3), name=name, files=410, total_bytes=96 * _MIB
            ),
            job("scrub", now - timedelta(hours=7), name="store", bytes=300 * _MIB),
        ],
        "next": {"kind": "replicate", "name": "", "at": (now + timedelta(seconds=50)).isoformat()},
    }


def job(kind: str, since: datetime, **facts: Any) -> dict[str, Any]:
    """Describe what the storekeeper does."""
    return {
        "kind": kind,
        "name": "",
        "since": since.isoformat(),
        "files": 9,
        "bytes": 24 * _MIB,
        "total_bytes": 900 * _MIB,
    } | facts


def changes() -> list[dict[str, Any]]:
    """What going back would do: each kind once."""
    return [
        change("docs", "metadata", file_type="folder", size_before=0, size_after=0),
        change("docs/gone.md", "created", size_before=None, size_after=812),
        change("docs/new.md", "deleted", size_before=90, size_after=None),
        change("latest", "replaced", file_type="link", size_before=12, size_after=0),
        change("rules.yaml", "modified", size_before=1200, size_after=1190),
    ]


def change(path: str, kind: str, **facts: Any) -> dict[str, Any]:
    """Describe one path."""
    return {"path": path, "kind": kind, "file_type": "file", **facts}


def health(now: datetime) -> dict[str, Any]:
    """Verified an hour ago; one flaw was found, and mended."""
    at = (now - timedelta(hours=1)).isoformat()
    return {
        "verified": {
            "at": at,
            "is_full": True,
            "files": 214,
            "bytes": 900 * _MIB,
            "flaws": 1,
            "duration_s": 1.4,
        },
        "fully_verified_at": at,
        "found": 1,
        "mended": 1,
        "flaws": [flaw(at, mended_at=at, origin="replica", duration_s=0.02)],
        "lost": None,
        "failed": [],
    }


def flaw(at: str, **facts: Any) -> dict[str, Any]:
    """Describe something damaged."""
    return {
        "at": at,
        "where": "store",
        "name": "packs/4f1c99ae",
        "what": "frame 12 has another hash",
        "mended_at": None,
        "origin": "",
        "duration_s": None,
    } | facts


def in_trouble() -> FakeSystemView:
    """A flaw that nobody mended, a lost path, a folder that could not be read, a silent replica."""
    view = with_store()
    at = (view.now - timedelta(minutes=9)).isoformat()
    view.store.facts["health"] |= {
        "found": 2,
        "flaws": [flaw(at, name="packs/77aa01bc"), *view.store.facts["health"]["flaws"]],
        "lost": {"at": at, "paths": 3, "first": "docs/index.md"},
        "failed": [{"at": at, "source": "/srv/uploads", "reason": "Input/output error"}],
    }
    view.store.facts["replica"] |= {"lag_s": 7300.0, "trouble": "connection refused"}
    return view


def missing() -> FakeSystemView:
    """No snapshot was ever taken."""
    view = all_up(now=datetime.now(UTC))
    view.store.facts["trouble"] = {
        "kind": "missing",
        "text": "there is no store at /srv/store",
        "hint": "the first snapshot makes one: resile snapshot DIR",
    }
    return view


def hostile_store() -> FakeSystemView:
    """Markup and turned text in every place that a stranger could write to."""
    view = all_up(now=datetime.now(UTC))
    text = HOSTILE + TURNED
    facts = {"source": f"/srv/{text}", "tags": [text, TURNED], "host": text, "user": text}
    view.store.put(NEWEST, at=view.now - timedelta(minutes=5), unread=1, **facts)
    view.store.diffs[NEWEST, "live"] = [
        change(f"{text}/{kind}", kind, size_before=1, size_after=2)
        for kind in ("created", "modified", "deleted")
    ]
    view.store.texts[f"{text}/modified"] = (
        f"--- a\n+++ b\n@@ -1 +1 @@\n-{HOSTILE}\n+{TURNED}\x1b[2J\n"
    )
    view.store.refusal = text
    at = view.now.isoformat()
    view.store.facts |= {
        "place": text,
        "trouble": {"kind": "damaged", "text": text, "hint": text},
        "health": health(view.now)
        | {
            "flaws": [flaw(at, name=text, what=text, origin=text)],
            "lost": {"at": at, "paths": 1, "first": text},
            "failed": [{"at": at, "source": text, "reason": text}],
        },
        "replica": {"place": text, "replicated_at": None, "lag_s": 1.0, "trouble": text},
        "keeper": keeper(view.now, name=text),
    }
    view.store.diffs[f"/srv/{text}", "live"] = view.store.diffs[NEWEST, "live"]
    view.store.moment |= {"gap": text, "problem": text}
    return view
