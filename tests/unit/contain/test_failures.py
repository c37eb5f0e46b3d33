"""What a user reads when a box could not be built."""

import errno
from pathlib import Path

import pytest

from resile.contain.sandboxes import Box, LaunchFailed, explained


def said(command: str, stage: str, number: int, path: str = "", cwd: str = "/") -> str:
    box = Box(argv=(command,), env={"PATH": "/a:/b"}, cwd=cwd)
    error = explained(box, LaunchFailed(stage=stage, number=number, path=path))
    return f"{error.message} | {error.hint}"


@pytest.mark.parametrize(
    ("stage", "number", "path", "words"),
    [
        ("exec", errno.ENOENT, "nope", ("command not found", "PATH=/a:/b")),
        ("exec", errno.EACCES, "nope", ("not executable (Permission denied)", "chmod +x nope")),
        ("exec", errno.ENOEXEC, "nope", ("no program for this machine", "#! line")),
        ("exec", errno.E2BIG, "nope", ("Argument list too long",)),
        ("cwd", errno.ENOENT, "/gone", ("folder '/gone' cannot be entered: No such file",)),
        ("namespaces", errno.EPERM, "", ("no namespaces", "run as root")),
        ("namespaces", errno.ENOSPC, "", ("no namespaces", "run as root")),
        ("namespaces", errno.ENOSYS, "", ("inside another box",)),
        ("namespaces", errno.EINVAL, "", ("no namespaces", "resile doctor")),
        ("user", errno.EPERM, "", ("no namespaces", "run as root")),
        ("overlay", errno.EINVAL, "/w{x}", ("no overlay over '/w{x}': Invalid argument",)),
        ("tmpfs", errno.EPERM, "/tmp", ("tmpfs at '/tmp': Operation not permitted",)),
        ("bubblewrap", 0, "bwrap: {no}", ("bubblewrap: bwrap: {no}",)),
    ],
)
def test_failure_is_told_with_what_to_do(
    stage: str, number: int, path: str, words: tuple[str, ...]
) -> None:
    text = said("nope", stage, number, path)

    assert text.startswith("cannot run 'nope': ")
    assert [word for word in words if word not in text] == []


def test_missing_file_is_told_apart_from_a_missing_interpreter(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/no/such/interpreter\n")

    there = said("./script", "exec", errno.ENOENT, "./script", cwd=str(tmp_path))
    gone = said("./other", "exec", errno.ENOENT, "./other", cwd=str(tmp_path))

    assert "its interpreter is missing" in there
    assert "no such file | correct the path" in gone


@pytest.mark.parametrize(
    ("stage", "number", "is_transient"),
    [
        ("namespaces", errno.EAGAIN, True),
        ("fork", errno.ENOMEM, True),
        ("exec", errno.ENOMEM, False),
        ("namespaces", errno.EPERM, False),
    ],
)
def test_shortage_of_the_machine_may_pass(stage: str, number: int, is_transient: bool) -> None:
    box = Box(argv=("true",), env={}, cwd="/")

    error = explained(box, LaunchFailed(stage=stage, number=number))

    assert error.is_transient is is_transient
