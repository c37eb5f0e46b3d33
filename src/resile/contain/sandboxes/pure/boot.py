"""Start the pure Python launcher: the same as launcher.c, step by step, without a compiler.

`python -I -S boot.py CONTROL_FD [CGROUP.PROCS...]` runs as a program of its own with one thread, so
that it may fork. With bubblewrap the namespaces and mounts are bubblewrap's, and this file runs a
second time as pid 1 of the box:
`boot.py init CONTROL_FD RECIPE_FD LIFELINE_FD STDIN_FD STDOUT_FD STDERR_FD`.
"""

import os
import socket
import sys
import types

FDS_MAX = 64
"""More than bubblewrap leaves open."""


def main(arguments: list[str]) -> None:
    """Join the groups, wait for the box, start it and watch over it."""
    from resile.contain.sandboxes.pure.init import Init, telling
    from resile.contain.sandboxes.pure.watch import recipe, watch

    if arguments[0] == "init":
        control_fd, recipe_fd, lifeline_fd, *stdio = map(int, arguments[1:])
        control = socket.socket(fileno=control_fd)
        for fd in (control_fd, recipe_fd, lifeline_fd):
            os.set_inheritable(fd, False)
        low = 3
        for fd in sorted((control_fd, recipe_fd, lifeline_fd, *stdio)):
            os.closerange(low, fd)
            low = fd + 1
        os.closerange(low, FDS_MAX)
        with telling(control):
            steps = recipe(recipe_fd)[1]
            at = [name for name, _ in steps].index("command")
            Init(control, lifeline_fd, stdio).run(steps[at + 1 :])
        os._exit(125)
    control = socket.socket(fileno=int(arguments[0]))
    os.set_inheritable(control.fileno(), False)
    with telling(control):
        watch(control, arguments[1:])
    os._exit(0)


def stand_in_for_packages() -> None:
    """Let our modules be imported without the packages above, which would load all of resile."""
    folder = os.path.dirname(os.path.abspath(__file__))
    name = "resile.contain.sandboxes.pure"
    while name:
        package = types.ModuleType(name)
        package.__path__ = [folder]
        sys.modules[name] = package
        name, folder = name.rpartition(".")[0], os.path.dirname(folder)


if __name__ == "__main__":
    stand_in_for_packages()
    main(sys.argv[1:])
