"""Letting a plain user reach a test's folder, and nothing else."""

from pathlib import Path


def let_all_through(folder: Path) -> None:
    """Let everybody go through to a folder of pytest's; what is above its folders stays as it is.

    Raises:
        AssertionError: If it is no folder of pytest's.
    """
    ours = []
    for one in (folder, *folder.parents):
        ours.append(one)
        if one.name.startswith("pytest-of-"):
            break
    else:
        raise AssertionError(f"{folder} is none of pytest's")
    for one in ours:
        one.chmod(0o755)
