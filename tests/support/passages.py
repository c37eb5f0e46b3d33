"""Letting a plain user reach a test's folder, and nothing else."""

from pathlib import Path

from tests.support.memory import PREFIX


def let_all_through(folder: Path) -> None:
    """Let everybody go through to a folder of a test; what is above tests' folders stays as it is.

    Raises:
        AssertionError: If it is no folder of a test.
    """
    ours = []
    for one in (folder, *folder.parents):
        ours.append(one)
        if one.name.startswith(("pytest-of-", PREFIX)):
            break
    else:
        raise AssertionError(f"{folder} is no test's")
    for one in ours:
        one.chmod(0o755)
