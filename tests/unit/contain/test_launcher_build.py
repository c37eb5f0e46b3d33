"""The build hook: the launcher is compiled if it can be, and never stands in the way."""

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
LINES_MAX = 300
WIDTH_MAX = 122
SOURCE = "const char mark[] = SOURCE_MARK;\nint main(void) { return mark[0] == 0; }\n"


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Load the hook beside a stand-in for hatchling, which only a build environment has."""

    class BuildHookInterface:
        def __class_getitem__(cls, _item: Any) -> Any:
            return cls

        def __init__(self, root: str) -> None:
            self.root = root

    names = ["hatchling", "builders", "hooks", "plugin", "interface"]
    for i in range(len(names)):
        stand_in = ModuleType(".".join(names[: i + 1]))
        stand_in.BuildHookInterface = BuildHookInterface
        monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(hook: ModuleType, tmp_path: Path) -> Path:
    made = tmp_path / hook.FOLDER
    made.mkdir(parents=True)
    (made / "launcher.c").write_text(SOURCE)
    return made


def test_launcher_is_short_enough_to_be_read_at_once() -> None:
    """It builds what keeps a command in: whoever doubts that must be able to read all of it."""
    lines = (ROOT / "src/resile/contain/sandboxes/launcher.c").read_text().splitlines()

    assert len(lines) <= LINES_MAX
    assert [line for line in lines if len(line) > WIDTH_MAX] == []


def built(hook: ModuleType, root: Path, version: str = "standard") -> dict[str, Any]:
    data: dict[str, Any] = {"artifacts": [], "pure_python": True}
    hook.LauncherHook(str(root)).initialize(version, data)
    return data


needs_compiler = pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")


@needs_compiler
def test_wheel_holds_the_binary_and_names_its_platform(hook, folder: Path, tmp_path: Path) -> None:
    data = built(hook, tmp_path)

    assert data["artifacts"] == [f"{hook.FOLDER}/_launcher"]
    assert not data["pure_python"]
    assert data["tag"].startswith("py3-none-")
    assert [path.name for path in sorted(folder.iterdir())] == ["_launcher", "launcher.c"]


@needs_compiler
def test_editable_install_has_it_beside_the_source(hook, folder: Path, tmp_path: Path) -> None:
    data = built(hook, tmp_path, "editable")

    assert data == {"artifacts": [], "pure_python": True}
    assert (folder / "_launcher").exists()


@needs_compiler
def test_binary_of_this_source_is_left_and_a_stale_one_replaced(hook, folder, tmp_path) -> None:
    built(hook, tmp_path)
    first = (folder / "_launcher").stat().st_mtime_ns
    built(hook, tmp_path)
    second = (folder / "_launcher").stat().st_mtime_ns
    (folder / "launcher.c").write_text(f"{SOURCE}\n")

    built(hook, tmp_path)

    assert first == second != (folder / "_launcher").stat().st_mtime_ns


@pytest.mark.parametrize("compiler", ["", "/no/such/compiler", "false"])
def test_without_a_compiler_the_package_is_pure(
    hook, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiler: str
) -> None:
    monkeypatch.setenv("CC", compiler)
    monkeypatch.setenv("PATH", "/no/such/folder" if not compiler else "/usr/bin:/bin")
    (folder / "_launcher").write_text("of another source")

    data = built(hook, tmp_path)

    assert data == {"artifacts": [], "pure_python": True}
    assert [path.name for path in folder.iterdir()] == ["launcher.c"]
