"""What words tell of what lies behind an end, or behind a check that is down."""

import pytest

from resile.core.vocabulary import Cause, EndKind
from resile.health.ends import cause_of_check, cause_of_end


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ("OSError: [Errno 98] Address already in use", Cause.PORT_TAKEN),
        ("bind() to 0.0.0.0:80 failed (98: Address already in use)", Cause.PORT_TAKEN),
        ("Error: listen EADDRINUSE: address already in use :::3000", Cause.PORT_TAKEN),
        ("PermissionError: [Errno 13] Permission denied: '/srv/a'", Cause.PERMISSION),
        ("OSError: [Errno 28] No space left on device: '/srv/a'", Cause.DISK_FULL),
        ("sqlite3.OperationalError: database or disk is full", Cause.DISK_FULL),
        ("OSError: [Errno 24] Too many open files: 'x'", Cause.DESCRIPTORS),
        ("accept4: too many open files; retrying", Cause.DESCRIPTORS),
        ("sqlite3.OperationalError: database is locked", Cause.LOCK),
        ("no answer within 2s, it is locked", Cause.LOCK),
        ("sqlite3.DatabaseError: database disk image is malformed", Cause.CORRUPTION),
        ("psycopg_pool.PoolTimeout: couldn't get a connection after 5.00 sec", Cause.POOL),
        ("FATAL:  sorry, too many clients already", Cause.POOL),
        ("QueuePool limit of size 5 overflow 10 reached", Cause.POOL),
        ('FATAL:  password authentication failed for user "api"', Cause.SECRET),
        ("HTTP 401 from http://127.0.0.1:80/health", Cause.SECRET),
        ("certificate verify failed: certificate has expired (_ssl.c:992)", Cause.CERTIFICATE),
        ("x509: certificate has expired or is not yet valid", Cause.CERTIFICATE),
        ("RuntimeError: can't start new thread", Cause.PROCESSES),
        ("MemoryError", Cause.MEMORY),
        ("ConnectionRefusedError: [Errno 111] Connection refused", Cause.DEPENDENCY),
        ("ValueError: invalid literal for int()", None),
        ("KeyError: 'lockfile'", None),
        ("", None),
    ],
)
def test_complaint_tells_its_cause(words: str, cause: Cause | None) -> None:
    assert cause_of_end(EndKind.EXIT, words) is cause


def test_counters_are_believed_before_words() -> None:
    assert cause_of_end(EndKind.OOM, "database is locked") is Cause.MEMORY
    assert cause_of_end(EndKind.PROCESSES, "Connection refused") is Cause.PROCESSES


def test_log_is_asked_where_the_complaint_names_nothing() -> None:
    lines = ["[Errno 98] error while attempting to bind: address already in use", "bye"]

    assert cause_of_end(EndKind.EXIT, "exiting after an error", lines) is Cause.PORT_TAKEN
    assert cause_of_end(EndKind.EXIT, "", lines) is None


def test_only_the_end_of_a_log_is_asked() -> None:
    lines = ["database is locked", *["request served"] * 20]

    assert cause_of_end(EndKind.EXIT, "failed", lines) is None


def test_refused_connection_tells_nothing_of_what_a_check_looks_at() -> None:
    for reason in ("[Errno 111] Connection refused", "HTTP 503 from http://127.0.0.1/health"):
        assert cause_of_check(reason, uses_secret=True) is None
    assert cause_of_check("no answer within 2s, it is locked", uses_secret=False) is Cause.LOCK


@pytest.mark.parametrize(
    "reason",
    [
        "HTTP 401 from http://127.0.0.1/health",
        "HTTP 403 from http://127.0.0.1/health, expected 200",
        "exit code 1: 401 Unauthorized",
        "exit code 1: 403 Forbidden",
    ],
)
def test_answer_that_forbids_is_a_refused_secret_only_where_one_is_used(reason: str) -> None:
    assert cause_of_check(reason, uses_secret=True) is Cause.SECRET
    assert cause_of_check(reason, uses_secret=False) is None


def test_huge_text_is_read_quickly() -> None:
    assert cause_of_end(EndKind.EXIT, "a" * 10_000_000 + " database is locked") is None
