"""`python -m resile.daemon.guard --state DIR --config FILE`: guard a folder's services.

Exit codes are those of errors.py; 0 and what the brain says come from an orderly end, and 1 from
one without the brain.
"""

import argparse
import logging
import sys
from pathlib import Path

from resile.daemon.guard.guard import STOP_TIMEOUT_S, Guard, report
from resile.errors import ResileError


def main(arguments: list[str] | None = None) -> int:
    """Run the guard; give its exit code."""
    parser = argparse.ArgumentParser(prog="python -m resile.daemon.guard", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="the state folder")
    parser.add_argument("--config", type=Path, required=True, help="the brain's resile.toml")
    parser.add_argument(
        "--stop-timeout",
        type=float,
        default=STOP_TIMEOUT_S,
        metavar="SECONDS",
        help="how long the brain may take to stop everything in order (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    config, state = options.config.resolve(), options.state.resolve()
    brain_argv = (
        *(sys.executable, "-m", "resile.daemon.brain"),
        *("--config", str(config), "--state", str(state)),
    )
    try:
        return Guard(
            state,
            brain_argv=brain_argv,
            cwd=config.parent,
            stop_timeout_s=options.stop_timeout,
        ).run()
    except ResileError as exc:
        sys.stderr.write(report(exc) + "\n")
        return exc.exit_code


if __name__ == "__main__":
    sys.exit(main())
