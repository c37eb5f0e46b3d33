"""Checks of the source text itself: size limits, banned calls, docstrings, words, layers.

Each banned name comes with what to use instead and the modules that may use it. Names are followed
through imports, so that neither `from time import sleep` nor an alias slips by.

Source: the idea is TigerBeetle's src/tidy.zig.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "resile"
LINES_PER_MODULE_MAX = 500
LINES_PER_FUNCTION_MAX = 60
NOTES_TO_ONESELF = re.compile("|".join((r"\bFIX" + "ME", r"\bTO" + "DO", r"\bXX" + r"X\b")))
PARTS_THAT_DECIDE = ("chaos", "contain", "degradation", "health", "incidents", "recover")
NOT_YET_A_PART = ("__init__.py", "model.py")


@dataclass(frozen=True, kw_only=True)
class Ban:
    """A name that only its home may use.

    Args:
        name: Dotted; a name that ends in `.` bans all that is below it.
        instead: What to use.
        homes: Modules or folders below src/resile that may use it.
        but: Names below it that everybody may use.
    """

    name: str
    instead: str
    homes: tuple[str, ...]
    but: tuple[str, ...] = ()


_PROCESS = ("core/spawning.py", "core/helper.py")
_FORKS = (*_PROCESS, "contain/sandboxes/pure")
"""`pure` is a program of its own with one thread, started as such; it cannot import resile."""
_SOCKETS = (
    "core/spawning.py",
    "core/unix.py",
    "contain/sandboxes",
    "health/checks",
    "health/endpoints",
    "daemon",
    "cli/ports.py",
    "store/workers.py",
    "store/working.py",
)
"""`contain/sandboxes` speaks over a pair of sockets with the programs that build its boxes, `store/workers`
with processes that share its work."""
BANS = (
    Ban(
        name="time.", instead="a Clock (core.clock)", homes=("core/clock.py", "testing/patching.py")
    ),
    Ban(name="datetime.datetime.now", instead="Clock.now()", homes=("core/clock.py",)),
    Ban(name="datetime.datetime.utcnow", instead="Clock.now()", homes=()),
    Ban(name="datetime.datetime.today", instead="Clock.now()", homes=()),
    Ban(name="datetime.date.today", instead="Clock.now()", homes=()),
    Ban(
        name="random.",
        instead="a random.Random as parameter",
        homes=("policies/bound.py", "testing"),
        but=("random.Random",),
    ),
    Ban(name="os.rename", instead="core.files", homes=("core/files.py",)),
    Ban(name="os.renames", instead="core.files", homes=("core/files.py",)),
    Ban(name="os.replace", instead="core.files", homes=("core/files.py",)),
    Ban(name="shutil.move", instead="core.files", homes=("core/files.py",)),
    Ban(name="subprocess.", instead="core.spawning", homes=_PROCESS),
    Ban(name="os.fork", instead="core.spawning", homes=_FORKS),
    Ban(name="os.forkpty", instead="core.spawning", homes=_PROCESS),
    Ban(name="os.posix_spawn", instead="core.spawning", homes=_PROCESS),
    Ban(name="os.system", instead="core.spawning", homes=()),
    Ban(name="os.popen", instead="core.spawning", homes=()),
    Ban(name="multiprocessing.", instead="core.spawning", homes=()),
    Ban(name="asyncio.create_subprocess_exec", instead="core.spawning", homes=()),
    Ban(name="asyncio.create_subprocess_shell", instead="core.spawning", homes=()),
    *(
        Ban(name=f"socket.{name}", instead="a module that owns sockets", homes=_SOCKETS)
        for name in ("socket.__call__", "create_connection", "create_server", "socketpair")
    ),
    Ban(name="print", instead="a logger, or the cli's output", homes=("cli",)),
)


def python_files(*folders: str) -> list[Path]:
    return sorted(
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if not {"_build", "data", ".resile"} & set(path.relative_to(ROOT).parts)
    )


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


SOURCES = python_files("src")
ALL_FILES = python_files("src", "examples", "bench", "docs", "tests")
TESTS = [path for path in ALL_FILES if path.name.startswith("test_")]


@pytest.mark.parametrize("path", ALL_FILES, ids=named)
def test_module_is_small_and_says_what_it_is(path: Path) -> None:
    is_test_code = path.is_relative_to(ROOT / "tests")

    assert list(shape_faults(path.read_text(), needs_docstring=not is_test_code)) == []


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_module_calls_nothing_that_has_a_home_elsewhere(path: Path) -> None:
    faults = list(banned_uses(path.read_text(), path.relative_to(SOURCE).as_posix()))

    assert faults == []


@pytest.mark.parametrize("path", TESTS, ids=named)
def test_test_file_has_a_test(path: Path) -> None:
    assert any(is_test(node) for node in ast.walk(ast.parse(path.read_text())))


@pytest.mark.parametrize(
    "path",
    [path for path in TESTS if path.is_relative_to(ROOT / "tests" / "unit")],
    ids=named,
)
def test_unit_test_does_not_sleep(path: Path) -> None:
    uses = [name for name, _ in used_names(ast.parse(path.read_text())) if name == "time.sleep"]

    assert uses == [], "take a FakeClock"


@pytest.mark.parametrize("part", PARTS_THAT_DECIDE)
def test_part_decides_in_a_module_of_its_own(part: str) -> None:
    """The contract's wildcard passes silently where there is nothing, so this says what must be."""
    if not [path for path in (SOURCE / part).glob("*.py") if path.name not in NOT_YET_A_PART]:
        pytest.skip(f"{part} is not built yet")

    assert (SOURCE / part / "decide.py").is_file()


def test_every_decide_module_is_held_pure_by_the_contract() -> None:
    contract = next(c for c in import_contracts() if c["name"].startswith("Decisions are pure"))
    patterns = [re.escape(m).replace(r"\*", r"\w+") for m in contract["source_modules"]]

    outside = [
        path
        for path in SOURCES
        if path.stem in ("decide", "_decide")
        and not any(re.fullmatch(pattern, module_name(path)) for pattern in patterns)
    ]

    assert outside == []


def test_every_part_stands_in_the_layers() -> None:
    contract = next(c for c in import_contracts() if c["type"] == "layers")
    layers = {name.strip() for layer in contract["layers"] for name in layer.split("|")}
    parts = {p.parent.name for p in SOURCE.glob("*/__init__.py")} - {"testing"}

    assert parts <= layers


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("x = 1\n", "no docstring"),
        ('"""Doc."""\n' + "x = 1\n" * 500, "501 lines"),
        ('"""Doc."""\ndef f():\n' + "    x = 1\n" * 60, "f has 61 lines"),
        ('"""Doc."""\n# FIX' + "ME: later\n", "line 2"),
    ],
)
def test_a_module_out_of_shape_is_found(text: str, fault: str) -> None:
    assert any(fault in found for found in shape_faults(text))


@pytest.mark.parametrize(
    "text",
    [
        "import time\ntime.sleep(1)",
        "from time import sleep\nsleep(1)",
        "import time as t\nwait = t.sleep",
        "from datetime import datetime\ndatetime.now()",
        "import datetime\ndatetime.datetime.now()",
        "import random\nrandom.random()",
        "import os\nos.replace(a, b)",
        "import subprocess",
        "from subprocess import run",
        "import socket\nsocket.socket()",
        "print('hello')",
        "open('x', 'w')",
        "open('x', mode='ab')",
        "path.open('r+b')",
        "path.write_text('x')",
    ],
)
def test_a_banned_call_is_found_however_it_is_spelt(text: str) -> None:
    assert list(banned_uses(text, "recover/somewhere.py")) != []


@pytest.mark.parametrize(
    ("text", "module"),
    [
        ("import time\ntime.sleep(1)", "core/clock.py"),
        ("import random\ndef f(rng: random.Random): rng.random()", "recover/x.py"),
        ("import socket\ndef f(s: socket.socket): s.close()", "recover/x.py"),
        ("open('x')\npath.open('rb')", "recover/x.py"),
        ("print('hello')", "cli/output.py"),
        ("text.replace('a', 'b')", "recover/x.py"),
    ],
)
def test_what_is_allowed_is_not_reported(text: str, module: str) -> None:
    assert list(banned_uses(text, module)) == []


def shape_faults(text: str, *, needs_docstring: bool = True) -> Iterator[str]:
    """Tell what is too long, has no docstring, or was left to be done."""
    lines = text.count("\n")
    if lines > LINES_PER_MODULE_MAX:
        yield f"{lines} lines; at most {LINES_PER_MODULE_MAX}: split it"
    for number, line in enumerate(text.splitlines(), 1):
        if NOTES_TO_ONESELF.search(line):
            yield f"line {number}: a note to oneself: do it, or remove it"
    tree = ast.parse(text)
    if needs_docstring and tree.body and not ast.get_docstring(tree):
        yield "no docstring: the first line says what the module does"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > LINES_PER_FUNCTION_MAX:
                yield f"{node.name} has {length} lines; at most {LINES_PER_FUNCTION_MAX}"


def banned_uses(text: str, module: str) -> Iterator[str]:
    """Tell which names a module (`core/files.py`) uses that have a home elsewhere."""
    tree = ast.parse(text)
    for name, line in used_names(tree):
        for ban in BANS:
            below = ban.name.endswith(".") and f"{name}.".startswith(ban.name)
            is_meant = (below or name == ban.name) and name not in ban.but
            is_bare_import = name == "random"
            if is_meant and not is_bare_import and not is_home(module, ban.homes):
                yield f"line {line}: {name}: use {ban.instead}"
    if not is_home(module, ("core/files.py",)):
        for line in writes(tree):
            yield f"line {line}: writes a file: use core.files"


def is_home(module: str, homes: tuple[str, ...]) -> bool:
    return any(module == home or module.startswith(f"{home}/") for home in homes)


def used_names(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Give every imported or imported-from name that is used, dotted and in full, and `print`."""
    known = {"print": "print"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                known[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                yield f"{node.module}.{alias.name}", node.lineno
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            if name := dotted(node, known):
                yield name, node.lineno
        elif isinstance(node, ast.Call) and (name := dotted(node.func, known)):
            yield f"{name}.__call__", node.lineno


def dotted(node: ast.expr, known: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return known.get(node.id, "")
    if isinstance(node, ast.Attribute):
        base = dotted(node.value, known)
        return f"{base}.{node.attr}" if base else ""
    return ""


def writes(tree: ast.Module) -> Iterator[int]:
    """Give the lines that open a file for writing."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        is_builtin = isinstance(node.func, ast.Name) and node.func.id == "open"
        position = 1 if is_builtin else 0
        modes = [k.value for k in node.keywords if k.arg == "mode"] + node.args[position:][:1]
        is_opened = is_builtin or name == "open"
        if name in ("write_text", "write_bytes") or (is_opened and any(map(is_write, modes))):
            yield node.lineno


def is_write(mode: ast.expr) -> bool:
    text = mode.value if isinstance(mode, ast.Constant) else ""
    return isinstance(text, str) and re.fullmatch(r"[rwaxbt]*[wax+][rwaxbt+]*", text) is not None


def is_test(node: ast.AST) -> bool:
    """A test function, or a state machine's test case."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node.name.startswith("test_")
    return isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id.startswith("Test") for target in node.targets
    )


def import_contracts() -> list[dict[str, Any]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts: list[dict[str, Any]] = settings["tool"]["importlinter"]["contracts"]
    return contracts


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts)
