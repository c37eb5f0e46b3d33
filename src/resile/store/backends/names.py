"""Which names a file of a store may have."""

import re

from resile.errors import StoreDamagedError

FORMAT_NAME = "format"
"""The only file that is in no folder."""

_PART = r"[a-z0-9][a-z0-9.-]{0,199}"
_NAME = re.compile(rf"{FORMAT_NAME}|(?!tmp/){_PART}/{_PART}", re.ASCII)
_FOLDER = re.compile(rf"(?!tmp$){_PART}", re.ASCII)


def is_name(name: str) -> bool:
    """Tell if a file of a store may have this name."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> str:
    """Give the name, or refuse it: it may have been read from a store that somebody tampered with.

    Raises:
        StoreDamagedError: If it is none, such as `../x`, `/etc/passwd`, `packs/A` or `tmp/x`.
    """
    if not is_name(name):
        raise StoreDamagedError(f"{name[:100]!r} is no name of a file in a store", name=name[:100])
    return name


def check_folder(folder: str) -> str:
    """Give the folder's name; `""` stands for what is in none.

    Raises:
        StoreDamagedError: If it is none.
    """
    if folder and not _FOLDER.fullmatch(folder):
        raise StoreDamagedError(
            f"{folder[:100]!r} is no name of a folder in a store", name=folder[:100]
        )
    return folder


def split_name(name: str) -> tuple[str, str]:
    """Check a name and give its folder, which may be empty, and the rest.

    Raises:
        StoreDamagedError: If it is none.
    """
    folder, _, rest = check_name(name).rpartition("/")
    return folder, rest
