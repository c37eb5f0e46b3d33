"""Groups and a spawner that exist on paper only."""

import os
import socket
from collections.abc import Mapping

from resile.contain import CgroupKind, CgroupLayout, CgroupLimits, CgroupUsage
from resile.core.spawning import Launch, Spawner, SpawnSpec
from resile.errors import CgroupError, SpawnError


class FakeGroup:
    """A group whose members die after a number of kills; None: never."""

    environment: Mapping[str, str] = {"MARK": "yes"}

    def __init__(self, name: str, *, kills_needed: int | None = 0) -> None:
        self.name = name
        self.join_files: tuple[str, ...] = ()
        self.kills_needed = kills_needed
        self.kill_count = 0
        self.is_removed = False
        self.fails_to_kill = False

    def pids(self) -> tuple[int, ...]:
        return (4_194_305,) if self.is_populated() else ()

    def is_populated(self) -> bool:
        return self.kills_needed is None or self.kill_count < self.kills_needed

    def kill(self) -> None:
        self.kill_count += 1
        if self.fails_to_kill:
            raise CgroupError("the kernel refuses")

    def usage(self) -> CgroupUsage:
        return CgroupUsage()

    def remove(self) -> None:
        if self.is_populated():
            raise CgroupError("still populated")
        self.is_removed = True


class FakeTree:
    """Makes fake groups, and remembers them."""

    layout = CgroupLayout(kind=CgroupKind.NONE, unit="unit", controllers={})

    def __init__(self) -> None:
        self.groups: dict[str, FakeGroup] = {}
        self.fails = False

    def create(self, name: str, limits: CgroupLimits) -> FakeGroup:
        if self.fails:
            raise CgroupError("no group today")
        return self.groups.setdefault(name, FakeGroup(name))

    def adopt(self, name: str) -> FakeGroup:
        return self.groups[name]

    def names(self) -> tuple[str, ...]:
        return tuple(self.groups)

    def remove(self) -> None:
        pass


class FakeSpawner(Spawner):
    """Starts nobody; the pids count from 1001."""

    def __init__(self) -> None:
        self.specs: list[SpawnSpec] = []
        self.lines: list[socket.socket] = []
        self.fails = False

    def launch(self, spec: SpawnSpec) -> Launch:
        self.specs.append(spec)
        if self.fails:
            raise SpawnError("no process today")
        for fd in spec.kept_fds:
            self.lines.append(socket.socket(fileno=os.dup(fd)))
        read_fd, write_fd = os.pipe()
        os.close(write_fd)  # The exec has succeeded.
        return Launch(4_195_304 + len(self.specs), read_fd, spec)

    def close(self) -> None:
        for line in self.lines:
            line.close()
