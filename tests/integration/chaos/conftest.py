"""A real machine to break, as far as it is ours."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.chaotic import FakeSystem, no_watchdog

from resile.chaos import Host, Injector, Proof, UndoRecord, Wish, find_fault, open_host
from resile.chaos.arguments import read_arguments
from resile.chaos.helpers import reap
from resile.contain import CgroupLimits, CgroupTree, probe
from resile.core.process import identity_of

PATIENCE_S = 20.0
"""Generous: a slow machine may not turn a test red."""


@dataclass
class Stage:
    """Injects real faults, proves them, and takes them back."""

    host: Host
    told: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.injector = Injector(
            self.host,
            tell=self.told.append,
            who="ann",
            owner=identity_of(os.getpid()),
            gate=no_watchdog,
        )

    def inject(
        self, fault: str, target: str = "", ttl_s: float = 60.0, **options: Any
    ) -> UndoRecord:
        arguments, problems = read_arguments(find_fault(fault).parameters, options)
        assert problems == []
        wish = Wish(fault=fault, target=target, arguments=arguments, ttl_s=ttl_s)
        return self.injector.inject(wish)

    def active(self, record: UndoRecord) -> Proof:
        """Wait for the proof that it is active."""
        fault = find_fault(record.fault)
        proof = fault.verify_active(record, self.host)
        deadline_s = time.monotonic() + PATIENCE_S
        while not proof.holds and time.monotonic() < deadline_s:
            time.sleep(0.02)
            proof = fault.verify_active(record, self.host)
        assert proof.holds, proof
        return proof

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline_s
            time.sleep(0.02)

    def end(self, record: UndoRecord) -> None:
        """Take it back, which has to be proven."""
        ending = self.injector.end(record, why="seen", timeout_s=PATIENCE_S)
        assert ending.is_gone, ending
        assert self.host.ledger.records() == ()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A folder of its own, no daemon."""
    host = replace(open_host(tmp_path / "state", tmp_path), system=FakeSystem())
    found = Stage(host)
    yield found
    for record in found.injector.active:
        found.injector.end(record, why="the test is over", timeout_s=PATIENCE_S)
    reap()


@dataclass
class Grouped:
    """A service in a control group of its own."""

    stage: Stage
    tree: CgroupTree
    name: str = "api"
    started: list["subprocess.Popen[str]"] = field(default_factory=list)

    def start(self, code: str) -> "subprocess.Popen[str]":
        """Start a program in the group."""
        group = self.tree.adopt(f"{self.name}-1")
        process = subprocess.Popen(
            [sys.executable, "-c", f"import sys\nsys.stdin.readline()\n{code}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        for file in group.join_files:
            Path(file).write_text(str(process.pid))
        self.stage.host.system.add(self.name, pid=process.pid)  # type: ignore[attr-defined]
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        return process

    def end(self) -> None:
        """End them."""
        for process in self.started:
            process.kill()
            process.communicate()


@pytest.fixture
def grouped(stage: Stage) -> Iterator[Grouped]:
    """A control group, if this machine gives one."""
    state = Path(tempfile.mkdtemp(prefix="resile-chaos-"))
    found = probe(state)
    if not found.tree.layout.enforced:
        shutil.rmtree(state)
        pytest.skip(f"no control group limits anything here: {found.warning}")
    limits = CgroupLimits(memory_bytes=128 << 20, cpu_share=1.0, processes=64)
    group = found.tree.create("api-1", limits)
    ours = Stage(replace(stage.host, layout=found.tree.layout))
    ours.injector = Injector(
        ours.host,
        tell=ours.told.append,
        who="ann",
        owner=identity_of(os.getpid()),
        gate=no_watchdog,
    )
    service = Grouped(ours, found.tree)
    try:
        yield service
    finally:
        for record in ours.injector.active:
            ours.injector.end(record, why="the test is over", timeout_s=PATIENCE_S)
        deadline_s = time.monotonic() + PATIENCE_S
        while group.is_populated() and time.monotonic() < deadline_s:
            group.kill()
            time.sleep(0.02)
        service.end()
        reap()
        with contextlib.suppress(Exception):
            group.remove()
        found.tree.remove()
        shutil.rmtree(state)


@pytest.fixture
def child() -> Iterator["subprocess.Popen[bytes]"]:
    """A process of ours that sleeps."""
    process = subprocess.Popen(["sleep", "300"])
    yield process
    process.kill()
    process.wait()
