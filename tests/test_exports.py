"""The public surface: every package says in a sorted `__all__` what it gives, and gives just that."""

import ast
import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import resile

SOURCE = Path(resile.__file__).parent
PACKAGES = sorted(
    ".".join(("resile", *path.parent.relative_to(SOURCE).parts))
    for path in SOURCE.rglob("__init__.py")
)
BOX_OF_TOOLS = "resile.core"
"""Its users import its modules, so it exports nothing."""

HEAVY = {"asyncio", "pydantic", "sqlite3", "fastapi", "uvicorn", "click", "rich", "psycopg", "ssl"}
ONLY_FOR_THE_DAEMON = {"pydantic", "fastapi", "uvicorn", "click", "rich", "psycopg"}
LIGHT = {
    "resile": HEAVY | {"typing", "inspect", "dataclasses", "logging", "contextvars", "random"},
    "resile.policies.registry": HEAVY | {"logging"},
    "resile.core": HEAVY,
    "resile.errors": HEAVY,
    "resile.core.journal": ONLY_FOR_THE_DAEMON | {"asyncio"},
    "resile.degradation": HEAVY,
    "resile.degradation.manager": HEAVY,
    "resile.health": ONLY_FOR_THE_DAEMON | {"asyncio"},
    "resile.health.endpoints": HEAVY,
    "resile.recover": ONLY_FOR_THE_DAEMON | {"asyncio", "sqlite3"},
    "resile.incidents": ONLY_FOR_THE_DAEMON | {"asyncio"},
    "resile.chaos": HEAVY,
    "resile.contain": ONLY_FOR_THE_DAEMON | {"asyncio", "sqlite3"},
    "resile.secrets": HEAVY | {"cryptography", "httpx", "boto3"},
    "resile.secrets.providers.daemon": HEAVY,
    "resile.secrets.using": HEAVY,
    "resile.store": HEAVY,
    "resile.store.writeahead.files": HEAVY | {"blake3", "google_crc32c", "zstandard"},
    "resile.daemon.guard": ONLY_FOR_THE_DAEMON | {"asyncio", "sqlite3"},
}
"""What importing a module must not load: it would cost everybody who needs only the module."""


def exported(module: ModuleType) -> list[str]:
    return list(getattr(module, "__all__", []))


def by_case_and_name(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest, as the linter sorts."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


def defined_names(package: str) -> set[str]:
    """List the public names that a package's `__init__.py` binds."""
    path = SOURCE.joinpath(*package.split(".")[1:], "__init__.py")
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names} - {"TYPE_CHECKING"}
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return {name for name in names - {"TYPE_CHECKING"} if not name.startswith("_")}


@pytest.mark.parametrize("package", PACKAGES)
def test_all_is_sorted_and_importable(package: str) -> None:
    module = importlib.import_module(package)
    names = exported(module)

    assert names == sorted(set(names), key=by_case_and_name)
    assert [name for name in names if not hasattr(module, name)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_all_is_complete(package: str) -> None:
    names = set(exported(importlib.import_module(package)))

    assert defined_names(package) <= names


def is_for_types_only(node: ast.stmt) -> bool:
    """Tell whether it imports names for the type checker that are loaded lazily."""
    return (
        isinstance(node, ast.If)
        and ast.unparse(node.test) == "TYPE_CHECKING"
        and all(isinstance(inner, ast.ImportFrom) for inner in node.body)
        and not node.orelse
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_init_holds_imports_and_all_and_nothing_else(package: str) -> None:
    path = SOURCE.joinpath(*package.split(".")[1:], "__init__.py")
    allowed = {"TYPE_CHECKING", "__all__", "__version__"}
    lazy = "__getattr__"
    others = [
        ast.unparse(node)[:80]
        for node in ast.parse(path.read_text()).body[1:]
        if not isinstance(node, ast.Import | ast.ImportFrom)
        and not (isinstance(node, ast.FunctionDef) and node.name == lazy)
        and not is_for_types_only(node)
        and not (isinstance(node, ast.Assign) and {ast.unparse(t) for t in node.targets} <= allowed)
    ]

    assert others == []


def test_imports_across_parts_take_only_exported_names() -> None:
    """`from resile.health import X` needs X in `__all__`; a part's inside is nobody else's."""
    wrong = [
        f"{path.relative_to(SOURCE)}:{node.lineno}: {alias.name} from {node.module}"
        for path in sorted(SOURCE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module in PACKAGES
        for alias in node.names
        if alias.name not in exported(importlib.import_module(str(node.module)))
        and f"{node.module}.{alias.name}" not in PACKAGES
        and not SOURCE.joinpath(*str(node.module).split(".")[1:], f"{alias.name}.py").is_file()
    ]

    assert wrong == []


@pytest.mark.parametrize("module", sorted(LIGHT))
def test_import_loads_nothing_heavy(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not built yet")
    code = f"import sys, {module}; print(*sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50
    )

    assert LIGHT[module] & set(done.stdout.split()) == set()


def test_the_package_knows_its_version() -> None:
    assert resile.__version__.startswith("0.")
    assert BOX_OF_TOOLS in PACKAGES
    assert exported(importlib.import_module(BOX_OF_TOOLS)) == []
