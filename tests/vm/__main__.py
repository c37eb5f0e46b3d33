"""Proves the behaviour on pure cgroup v2 in a virtual machine: `python -m tests.vm [WORDS]`.

With words, it runs only the checks that have them in their names. Exits with 0 only if every check
passed.
"""

# ruff: noqa: T201 - its lines are for whoever runs it

import sys
import time

from tests.vm.machine import run_checks
from tests.vm.packages import VmUnavailableError, fetch


def main() -> int:
    began_s = time.monotonic()
    try:
        result = run_checks(fetch(), wanted=" ".join(sys.argv[1:]), is_shown=True)
    except VmUnavailableError as exc:
        print(f"the virtual machine cannot be had: {exc}", file=sys.stderr)
        return 2
    took = f"{time.monotonic() - began_s:.0f} s"
    if result.is_ok:
        print(f"{len(result.lines)} checks passed in {took}")
        return 0
    print(result.complaints, file=sys.stderr)
    print(f"{len(result.failures)} of {len(result.lines)} checks failed in {took}:")
    print("\n".join(result.failures) or "the guest did not get to the end of its checks")
    return 1


if __name__ == "__main__":
    sys.exit(main())
