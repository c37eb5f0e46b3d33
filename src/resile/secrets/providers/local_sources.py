"""Where the local store and its master key are, by the table `[secrets]`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resile.core.files import make_private_dir
from resile.errors import ConfigError, OperationError, SecretError, SecretKeyError
from resile.secrets.providers.local_keys import KeyKind, MasterKey

FOLDER_NAME = "secrets"
FILE_NAME = "secrets.db"
KEY_NAME = "master.key"
CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
_KEYS = ("key_file", "key_credential", "passphrase_file")


def sources_of(
    settings: Mapping[str, Any], *, state: Path | None, environ: Mapping[str, str]
) -> tuple[Path, MasterKey]:
    """Give the file, and where its master key comes from.

    Args:
        settings: The table, as plain data.
        state: The state folder; its folder `secrets` is made where it is needed.
        environ: Says where systemd has put credentials.

    Raises:
        ConfigError: If several master keys are named, or the state folder is needed and not there.
        SecretKeyError: If there are no credentials.
        SecretError: If the folder cannot be made.
    """
    named = [key for key in _KEYS if settings.get(key)]
    if len(named) > 1:
        raise ConfigError(
            f"[secrets] names {len(named)} master keys: {', '.join(named)}", hint="keep one"
        )
    file = settings.get("file")
    path = Path(file) if file else _own_folder(state, "file") / FILE_NAME
    if not named:
        return path, MasterKey(kind=KeyKind.FILE, path=_own_folder(state, "key_file") / KEY_NAME)
    value = str(settings[named[0]])
    if named[0] == "key_credential":
        return path, _credential(value, environ)
    kind = KeyKind.FILE if named[0] == "key_file" else KeyKind.PASSPHRASE
    return path, MasterKey(kind=kind, path=Path(value))


def _own_folder(state: Path | None, needed_for: str) -> Path:
    if state is None:
        raise ConfigError(
            "there is no state folder to keep secrets in",
            hint=f"say where: {needed_for} of [secrets]",
        )
    folder = state / FOLDER_NAME
    try:
        make_private_dir(folder)
    except OperationError as exc:
        raise SecretError(exc.message, hint=exc.hint) from exc
    return folder


def _credential(name: str, environ: Mapping[str, str]) -> MasterKey:
    if "/" in name or name.startswith("."):
        raise ConfigError(f"{name!r} is not the name of a credential", hint="write its name alone")
    folder = environ.get(CREDENTIALS_VARIABLE)
    if not folder:
        raise SecretKeyError(
            f"there is no credential {name}: systemd has given this process none",
            hint=f"name it in the unit: LoadCredentialEncrypted={name}:/etc/credstore/{name}",
        )
    return MasterKey(kind=KeyKind.CREDENTIAL, path=Path(folder) / name)
