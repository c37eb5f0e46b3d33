"""`resile init`: write a commented resile.toml for a folder."""

from pathlib import Path

import click

from resile.cli.options import json_option
from resile.cli.output import print_json
from resile.cli.places import FILE_NAME
from resile.core.files import SYSTEM_FILES
from resile.errors import OperationError, RejectedError

_MODE = 0o644
"""It belongs into version control, and holds no secret."""


@click.command()
@click.argument(
    "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default="."
)
@json_option
def command(folder: Path, *, as_json: bool) -> None:
    """Write a commented resile.toml for FOLDER (default: this one).

    Looks at Procfile, manage.py, pyproject.toml, app.py and main.py and proposes services.
    An existing file is never overwritten.
    """
    from resile.core.config import config_template

    path = folder.resolve() / FILE_NAME
    text = config_template(folder.resolve())
    try:
        SYSTEM_FILES.create(path, text.encode(), mode=_MODE)
        SYSTEM_FILES.sync_folder(path.parent)
    except FileExistsError:
        raise RejectedError(
            f"{path} is there already", hint="look at it with `resile config check`, or remove it"
        ) from None
    except OSError as exc:
        raise OperationError(
            f"{path} could not be written: {exc.strerror}", hint="choose a folder of your own"
        ) from exc
    if as_json:
        print_json({"file": str(path)})
        return
    print(f"wrote {path}")
    print("next: look it over, then `resile config check` and `resile up`")
