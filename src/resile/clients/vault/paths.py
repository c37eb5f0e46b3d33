"""Write names as paths of Vault's API, so that none reaches anything else. Pure."""

from urllib.parse import quote

from resile.errors import UnknownSecretError


def path_of(*parts: str) -> str:
    """Join parts, each of which may have slashes in it, to a path that is quoted.

    Raises:
        UnknownSecretError: If a step of it is empty, `.` or `..`: it would lead elsewhere.
    """
    steps = [step for part in parts for step in part.split("/")]
    if any(step in ("", ".", "..") for step in steps):
        raise UnknownSecretError(
            f"{'/'.join(parts)!r} is no path in Vault", hint="leave out empty steps and dots"
        )
    return "/".join(quote(step, safe="") for step in steps)
