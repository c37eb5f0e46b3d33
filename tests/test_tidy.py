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
from functools import lru_cache
from itertools import chain
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


def by_folder(paths: list[Path]) -> dict[str, list[Path]]:
    """Sort files into `src/resile/store`, `tests/unit/store` and the like."""
    folders: dict[str, list[Path]] = {}
    for path in paths:
        folders.setdefault("/".join(path.relative_to(ROOT).parts[:-1][:3]), []).append(path)
    return folders


@pytest.mark.parametrize("folder", by_folder(ALL_FILES))
def test_modules_keep_the_rules(folder: str) -> None:
    paths = by_folder(ALL_FILES)[folder]
    faults = [
        f"{named(path)}: {fault}" for path in paths for fault in faults_in(path, path.read_text())
    ]

    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("place", "is_banned", "has_fault_of_tests"),
    [
        ("src/resile/recover/x.py", True, False),
        ("src/resile/core/clock.py", False, False),
        ("tests/support/x.py", False, False),
        ("tests/integration/x/test_x.py", False, False),
        ("tests/unit/x/test_x.py", False, True),
    ],
)
def test_rules_hold_for_the_files_that_they_are_meant_for(
    place: str, is_banned: bool, has_fault_of_tests: bool
) -> None:
    text = '"""Doc."""\nimport time\ndef test_it(): time.sleep(1)\n'

    found = " ".join(faults_in(ROOT / place, text))

    assert ("use a Clock" in found) == is_banned
    assert ("take a FakeClock" in found) == has_fault_of_tests
    assert "501 lines" in " ".join(faults_in(ROOT / place, text + "x = 1\n" * 498))


def test_no_file_is_left_out() -> None:
    assert sorted(chain(*by_folder(ALL_FILES).values())) == ALL_FILES
    assert set(SOURCES) | set(TESTS) <= set(ALL_FILES)


def faults_in(path: Path, text: str) -> Iterator[str]:
    """Tell which of the rules that hold for such a file it breaks."""
    yield from shape_faults(text, needs_docstring=not path.is_relative_to(ROOT / "tests"))
    if path.is_relative_to(SOURCE):
        yield from banned_uses(text, path.relative_to(SOURCE).as_posix())
    if path.name.startswith("test_"):
        yield from faults_of_tests(text, is_unit=path.is_relative_to(ROOT / "tests" / "unit"))


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


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("def helper(): pass", "no test"),
        ("Test = 1", ""),
        ("import time\ndef test_it(): time.sleep(1)", "line 2: sleeps"),
        ("from time import sleep as rest\nasync def test_it(): rest(1)", "line 2: sleeps"),
        ("def test_it(): clock.sleep(1)", ""),
    ],
)
def test_a_file_of_unit_tests_without_a_test_or_with_a_sleep_is_found(
    text: str, fault: str
) -> None:
    found = " ".join(faults_of_tests(text, is_unit=True))

    assert fault in found
    assert bool(found) == bool(fault)


def shape_faults(text: str, *, needs_docstring: bool = True) -> Iterator[str]:
    """Tell what is too long, has no docstring, or was left to be done."""
    lines = text.count("\n")
    if lines > LINES_PER_MODULE_MAX:
        yield f"{lines} lines; at most {LINES_PER_MODULE_MAX}: split it"
    for number, line in enumerate(text.splitlines(), 1):
        if NOTES_TO_ONESELF.search(line):
            yield f"line {number}: a note to oneself: do it, or remove it"
    tree, nodes = parsed(text)
    if needs_docstring and tree.body and not ast.get_docstring(tree):
        yield "no docstring: the first line says what the module does"
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > LINES_PER_FUNCTION_MAX:
                yield f"{node.name} has {length} lines; at most {LINES_PER_FUNCTION_MAX}"


def banned_uses(text: str, module: str) -> Iterator[str]:
    """Tell which names a module (`core/files.py`) uses that have a home elsewhere."""
    _, nodes = parsed(text)
    for name, line in used_names(nodes):
        for ban in BANS:
            below = ban.name.endswith(".") and f"{name}.".startswith(ban.name)
            is_meant = (below or name == ban.name) and name not in ban.but
            is_bare_import = name == "random"
            if is_meant and not is_bare_import and not is_home(module, ban.homes):
                yield f"line {line}: {name}: use {ban.instead}"
    if not is_home(module, ("core/files.py",)):
        for line in writes(nodes):
            yield f"line {line}: writes a file: use core.files"


def faults_of_tests(text: str, *, is_unit: bool) -> Iterator[str]:
    """Tell whether a file of tests has none, or sleeps."""
    _, nodes = parsed(text)
    if not any(map(is_test, nodes)):
        yield "no test"
    if is_unit and "sleep" in text:
        for name, line in used_names(nodes):
            if name == "time.sleep":
                yield f"line {line}: sleeps: take a FakeClock"


@lru_cache(maxsize=1)
def parsed(text: str) -> tuple[ast.Module, list[ast.AST]]:
    """Give a file and all its nodes; each rule looks at them."""
    tree = ast.parse(text)
    return tree, list(ast.walk(tree))


def is_home(module: str, homes: tuple[str, ...]) -> bool:
    return any(module == home or module.startswith(f"{home}/") for home in homes)


def used_names(nodes: list[ast.AST]) -> Iterator[tuple[str, int]]:
    """Give every imported or imported-from name that is used, dotted and in full, and `print`."""
    known = {"print": "print"}
    for node in nodes:
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
    for node in nodes:
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


def writes(nodes: list[ast.AST]) -> Iterator[int]:
    """Give the lines that open a file for writing."""
    for node in nodes:
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
