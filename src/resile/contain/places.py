"""Where contained runs are kept."""

import os
from collections.abc import Mapping
from pathlib import Path

RUNS_VARIABLE = "RESILE_RUNS_DIR"


def runs_folder(environ: Mapping[str, str]) -> Path:
    """Tell where runs are kept: outside of every workspace, as an overlay asks for that.

    `RESILE_RUNS_DIR`, else /var/lib/resile/runs for root and ~/.local/state/resile/runs for others.
    """
    if environ.get(RUNS_VARIABLE):
        return Path(environ[RUNS_VARIABLE]).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/resile/runs")
    state = environ.get("XDG_STATE_HOME") or str(Path("~/.local/state").expanduser())
    return Path(state) / "resile" / "runs"
