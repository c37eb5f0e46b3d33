"""The documentation is true: complete where the code can say what exists, and run where it can run."""

import ast
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from tests.support.thorough import IS_THOROUGH

from resile.chaos import load_experiment
from resile.core.config import load_config
from resile.core.events import payload_kinds
from resile.core.journal import open_journal
from resile.policies.sections import option_names, policy_keys

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "STYLE.md")),
    ROOT / "examples" / "agent_runtime" / "README.md",
    *sorted(
        path
        for path in DOCS.rglob("*.md")
        if not {"_build", "generated"} & set(path.relative_to(DOCS).parts)
    ),
]
FENCE = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*?) -->\n)?^```(?P<language>[\w{}]*)[^\n]*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
LINK = re.compile(r"(?<!!)\[[^\]]+\]\((?!https?:|mailto:)([^)\s#]*)(?:#([^)\s]+))?\)")
PARTS_OF_DECISION = ("## Context", "## Options", "## Choice", "## Consequences")


def _load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    if spec is None or spec.loader is None:
        raise AssertionError("docs/generate.py cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules["docs_generate"] = module
    spec.loader.exec_module(module)
    return module


generate = _load_generator()


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Args:
        page: Where it stands.
        language: As it says.
        mark: Of the comment right before it: `run`, `file: NAME`, `verifier`, `experiment`, or nothing.
        text: Its content.
    """

    page: Path
    language: str
    mark: str
    text: str


def blocks_of(page: Path) -> list[Block]:
    return [
        Block(page, match["language"], match["mark"] or "", match["text"])
        for match in FENCE.finditer(page.read_text())
    ]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


# Complete -----------------------------------------------------------------------------------------


def test_every_setting_is_in_the_reference() -> None:
    text = generate.configuration()
    tables = generate.config_tables()

    for path, table in tables.items():
        section = text.partition(f"## `[{path}]`\n")[2].partition("\n## ")[0]
        for key, setting in table["properties"].items():
            assert f"| `{key}` |" in section, f"{path}.{key}"
            assert setting.get("description"), f"{path}.{key} says nothing of itself"
    assert {"resile", "service.NAME", "service.NAME.restart", "check.NAME"} <= set(tables)


def test_every_option_of_a_policy_is_in_the_reference() -> None:
    text = generate.policy_settings()

    for key, kind in policy_keys().items():
        section = text.partition(f"## `[policy.NAME.{key}]`\n")[2].partition("\n## ")[0]
        for name in option_names(kind):
            assert re.search(rf"^\| `{name}` \| .* \| \S.+ \|$", section, re.MULTILINE), (key, name)


def test_every_command_is_in_the_reference() -> None:
    helps = generate.command_helps()
    text = generate.commands()

    assert {f"resile {name}" for name in command_names()} <= set(helps)
    for name in helps:
        assert f"## `{name}`\n" in text


def test_every_kind_of_event_is_in_the_reference_with_a_meaning() -> None:
    text = generate.events()

    for kind in payload_kinds():
        section = text.partition(f"## `{kind}`\n\n")[2].partition("\n## ")[0]
        assert section, kind
        assert not section.startswith("Version"), f"{kind} says nothing of itself"


def test_every_error_is_in_the_reference_and_in_the_tree() -> None:
    text = generate.errors()
    tree = (ROOT / "src" / "resile" / "errors.py").read_text().partition('"""')[2]
    drawn = tree.partition('"""')[0]

    for error in generate.error_classes():
        assert f"## `{error.__name__}`" in text
        assert f"{error.__name__} " in drawn or f"{error.__name__}\n" in drawn, error


def test_every_exit_code_is_in_the_table() -> None:
    table = (DOCS / "reference" / "cli.md").read_text()

    for error in generate.error_classes():
        assert f"| {error.exit_code} |" in table, error


def test_every_metric_is_in_the_reference() -> None:
    """Every name that the source spells is one that the generator has found declared."""
    declared = generate.declared_metrics()
    text = generate.metrics()

    assert set(spelt_metrics()) <= {metric.name for metric in declared}
    for metric in declared:
        assert f"| `{metric.name}` | {metric.kind} |" in text
        assert metric.meaning.endswith("."), metric.name


def spelt_metrics() -> Iterator[str]:
    for path in sorted((ROOT / "src").rglob("*.py")):
        source = path.read_text()
        if "testing" in path.parts or "resile_" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and re.fullmatch(r"resile_\w+(_total|_seconds|_bytes)", text):
                yield text


def test_every_http_path_is_in_the_reference() -> None:
    text = generate.routes() + (DOCS / "reference" / "http-api.md").read_text()

    for method, path in generate.http_operations():
        assert f"{method} {path}" in text
    for path in ("/livez", "/status"):
        assert f"GET {path}" in text


def test_every_public_name_is_in_the_reference() -> None:
    text = generate.names()

    for package in generate.public_packages():
        section = text.partition(f"## {package}\n")[2].partition("\n## ")[0]
        for name in importlib.import_module(package).__all__:
            assert name.startswith("__") or f"### `{name}`\n" in section, f"{package}.{name}"


def test_every_part_of_the_state_folder_is_in_the_reference() -> None:
    text = (DOCS / "reference" / "files-and-folders.md").read_text()

    assert {name for name in state_file_names() if name not in text} == set()


def state_file_names() -> Iterator[str]:
    """Give the NAME of every `state / "NAME"`, `run / "NAME"` and the like in the source."""
    source = ROOT / "src" / "resile"
    paths = [source / "cli" / "places.py", source / "contain" / "cgroups" / "sweep.py"]
    for path in (*paths, *sorted((source / "daemon").rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
                name = node.right.value if isinstance(node.right, ast.Constant) else ""
                if isinstance(name, str) and re.search("state|run|folder", ast.unparse(node.left)):
                    yield name


# True ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(FENCE.sub("", page.read_text())):
        path = (page.parent / target).resolve() if target else page

        assert path.exists(), f"{target} in {page}"
        if anchor:
            assert anchor in anchors_of(path), f"{target}#{anchor} in {page}"


def anchors_of(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def test_every_page_is_in_the_table_of_contents() -> None:
    text = (DOCS / "index.md").read_text()
    pages = [page.relative_to(DOCS).with_suffix("") for page in PAGES if page.is_relative_to(DOCS)]

    missing = [p for p in pages if p.parts[0] != "decisions" and f"\n{p.as_posix()}\n" not in text]

    assert missing == [Path("index")]


@pytest.mark.parametrize("page", sorted((DOCS / "decisions").glob("*.md")), ids=name_of)
def test_decision_is_one_page_of_context_options_choice_consequences(page: Path) -> None:
    text = page.read_text()

    assert re.match(rf"# {page.name[:4]}: ", text)
    assert [part for part in PARTS_OF_DECISION if part not in text] == []
    assert text.count("\n") <= 70


@pytest.mark.parametrize(
    "block", [b for b in BLOCKS if b.language == "toml"], ids=lambda b: name_of(b.page)
)
def test_configuration_in_the_docs_is_valid(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "resile.toml"
    path.write_text("" if block.mark == "playbook" else block.text)
    if block.mark == "playbook":
        (tmp_path / "playbooks").mkdir()
        (tmp_path / "playbooks" / "one.toml").write_text(block.text)

    try:
        if block.mark == "experiment":
            load_experiment(path)
        else:
            load_config(path, environ={})
    except Exception as exc:
        problems = getattr(exc, "problems", ())
        raise AssertionError(f"{name_of(block.page)}: {exc}: {problems}") from exc


@pytest.mark.parametrize(
    "block",
    [b for b in BLOCKS if b.language == "sh" and "resile " in b.text],
    ids=lambda b: name_of(b.page),
)
def test_commands_in_the_docs_exist_with_their_options(block: Block) -> None:
    for line in re.findall(r"(?:^|\$\()\s*resile ([^|;)\n]+)", block.text, re.MULTILINE):
        assert unknown_words(line.split()) == [], line


def unknown_words(words: list[str]) -> list[str]:
    """Follow subcommands down; give what neither a command nor an option explains."""
    from resile.cli.app import app

    command: click.Command = app
    context = click.Context(app, info_name="resile")
    while isinstance(command, click.Group) and not is_whole(command, words):
        child = (
            command.get_command(context, words[0])
            if words and words[0] in listed(command)
            else None
        )
        if child is None:
            return words[:1]
        context = click.Context(child, parent=context, info_name=words[0])
        command, words = child, words[1:]
    if "--" in words:
        words = words[: words.index("--")]  # What follows is another program's.
    options = {
        name
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts, "--help")
    }
    return [word for word in words if word.startswith("-") and word not in options]


def is_whole(group: click.Group, words: list[str]) -> bool:
    """Tell whether the group itself is what is invoked."""
    return group.invoke_without_command and (not words or words[0].startswith("-"))


def listed(group: click.Group) -> list[str]:
    return group.list_commands(click.Context(group))


def command_names() -> list[str]:
    from resile.cli.app import app

    return listed(app)


def test_make_targets_that_are_named_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):.*##", makefile, re.MULTILINE))
    text = "\n".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE))

    assert {"run", "test"} <= named <= targets


def test_the_readme_is_true_of_the_example() -> None:
    readme = (ROOT / "README.md").read_text()
    example = load_config(ROOT / "examples" / "agent_runtime" / "resile.toml", environ={})
    ready = example.service["dispatcher"].ready
    if ready is None:
        raise AssertionError("the dispatcher has no ready check")

    assert f"127.0.0.1:{example.resile.http.port}" in readme
    assert str(ready.http).removesuffix("/health/ready") + "/dispatch" in readme
    for image in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", readme):
        assert (ROOT / image).is_file(), image


def test_the_decision_on_dependencies_names_them_all() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lines = [
        *project["project"]["optional-dependencies"]["daemon"],
        *project["dependency-groups"]["dev"],
    ]
    text = (DOCS / "decisions" / "0004-dependencies.md").read_text().lower()

    names = [re.split(r"[\[<>=~!; ]", line)[0] for line in lines]

    assert [name for name in names if name not in text] == []


# Run ----------------------------------------------------------------------------------------------


def test_the_verifier_in_the_docs_verifies_and_finds_a_change(tmp_path: Path) -> None:
    (block,) = (b for b in BLOCKS if b.mark == "verifier")
    names: dict[str, Any] = {"__name__": "verifier"}
    exec(compile(block.text, "verifier", "exec"), names)
    folder = write_journal(tmp_path)

    assert names["verify"](folder) == 3

    (segment,) = folder.glob("*.db")
    segment.chmod(0o600)
    data = segment.read_bytes()
    at = data.index(b"disk on fire")
    segment.write_bytes(data[:at] + b"D" + data[at + 1 :])
    with pytest.raises(ValueError, match="breaks at record 2"):
        names["verify"](folder)


def write_journal(tmp_path: Path) -> Path:
    from datetime import UTC, datetime

    from resile.core.events import BrainStopped, announce

    folder = tmp_path / "journal"
    journal = open_journal(folder)
    try:
        for reason in ("done", "disk on fire", "done"):
            journal.append(
                announce(BrainStopped(reason=reason), at=datetime.now(UTC), actor="brain")
            )
    finally:
        journal.close()
    return folder


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_tutorial_works_as_it_is_written(tmp_path: Path) -> None:
    """Every marked block, in order, in one folder; only the ports are others."""
    page = DOCS / "tutorial" / "first-service.md"
    ports = {"8000": str(free_port()), "8470": str(free_port())}
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith("RESILE_")},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RESILE_RESILE__HTTP__PORT": ports["8470"],
    }
    output = ""
    try:
        for block in blocks_of(page):
            text = re.sub(r"\b(8000|8470)\b", lambda match: ports[match[0]], block.text)
            if block.mark.startswith("file: "):
                (tmp_path / block.mark.removeprefix("file: ")).write_text(text)
            elif block.mark == "run":
                output += run_shell(text, cwd=tmp_path, env=env)
    finally:
        subprocess.run(
            ["resile", "down"], cwd=tmp_path, env=env, capture_output=True, check=False, timeout=60
        )
    assert "process.exited" in output
    assert "here I am" in output
    assert not (tmp_path / ".resile" / "run" / "guard.json").exists()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_tutorial_of_the_store_works_as_it_is_written(tmp_path: Path) -> None:
    """Every marked block, in order, in one terminal."""
    page = DOCS / "tutorial" / "keep-a-folder.md"
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith("RESILE_")},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    typed = []
    for block in blocks_of(page):
        if block.mark.startswith("file: "):
            (tmp_path / block.mark.removeprefix("file: ")).write_text(block.text)
        elif block.mark == "run":
            typed.append(block.text)
    (python,) = (b.text for b in blocks_of(page) if b.language == "python" and not b.mark)
    (tmp_path / "program.py").write_text(python)

    output = run_shell("\n".join([*typed, "python3 program.py"]), cwd=tmp_path, env=env)

    assert "\n+buy butter, too\n" in output
    assert "learn to sail\nbuy bread\nbuy butter, too\n" in output
    assert output.count("buy bread\n") >= 2
    assert "exit code 8\n" in output
    assert "everything is mended" in output
    assert (tmp_path / "notes" / "today.md").read_text() == "buy bread\nbuy butter, too\n"
    assert any((tmp_path / "store" / "quarantine").iterdir())


def run_shell(script: str, *, cwd: Path, env: dict[str, str]) -> str:
    """Run a block as a user does; its output goes to a file, which a daemon may keep open."""
    with (cwd / "output.txt").open("w+") as output:
        code = subprocess.run(
            ["/bin/sh", "-ec", script],
            cwd=cwd,
            env=env,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=90,
        ).returncode
        output.seek(0)
        text = output.read()
    assert code == 0, f"{script}\n{text}"
    return text


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    """In plain looks: the theme writes the whole tree of contents on each page, half of the time."""
    source = tmp_path / "docs"
    looks = () if IS_THOROUGH else ("-D", "html_theme=basic")
    shutil.copytree(DOCS, source, ignore=shutil.ignore_patterns("_build", "generated"))

    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-qWnb", "html", *looks, source, tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "index.html").is_file()


def test_the_theme_of_the_documentation_is_installed() -> None:
    theme = re.search(r'^html_theme = "(\w+)"$', (DOCS / "conf.py").read_text(), re.MULTILINE)

    assert theme
    assert importlib.util.find_spec(theme[1])


def test_public_names_are_written_the_same_each_time():
    assert not re.search(r"\b0x[0-9a-f]{6,}", generate.names())
