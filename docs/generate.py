"""Write the parts of the reference that the code already says: settings, commands, events, errors,
metrics, HTTP paths, public names.

Each function gives Markdown that begins at the second heading level; the pages in `reference/`
include them. Nothing here knows a name by heart, so a new setting, command or event is documented
from its own docstring on the day that it is written.
"""

import ast
import dataclasses
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import click

import resile
from resile.core.config import config_schema
from resile.core.events import Payload, payload_fields, payload_kinds
from resile.errors import ResileError
from resile.policies.sections import option_names, policy_keys
from resile.testing.view import FakeSystemView
from resile.web import create_app, create_control_app

SOURCE = Path(resile.__file__).parent
TABLE_NAMES = {
    "service": "service.NAME",
    "check": "check.NAME",
    "group": "group.NAME",
    "playbook": "playbook.NAME",
}
PARTS_HIDDEN = {"resile.cli", "resile.daemon"}
"""Without a public surface: people use the command instead."""


def write(folder: Path) -> None:
    """Write every fragment into a folder, unless it is as it should be already."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in FRAGMENTS.items():
        path = folder / f"{name}.md"
        text = make()
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


# Settings ----------------------------------------------------------------------------------------


def configuration() -> str:
    """List every table of `resile.toml` with its keys."""
    lines = []
    for path, table in config_tables().items():
        lines.append(f"## `[{path}]`\n\n{_paragraphs(table.get('description', ''))}\n")
        lines.append("| key | type | default | meaning |\n|---|---|---|---|")
        required = table.get("required", ())
        lines += [
            _row(f"`{key}`", _type(setting), _default(key, setting, required), _meaning(setting))
            for key, setting in table["properties"].items()
        ]
        lines.append("")
    return "\n".join(lines)


def policy_settings() -> str:
    """List what `[policy.NAME]` may set, from the policies and their docstrings."""
    lines = []
    for key, kind in policy_keys().items():
        names = option_names(kind)
        if not names:
            continue
        lines.append(f"## `[policy.NAME.{key}]`\n\n{_first_line(kind)}\n")
        lines.append("| key | default | meaning |\n|---|---|---|")
        defaults = {one.name: one.default for one in dataclasses.fields(kind)}
        meanings = _arguments(kind)
        lines += [
            _row(f"`{name}`", _toml_or_nothing(defaults[name]), meanings[name]) for name in names
        ]
        lines.append("")
    return "\n".join(lines)


def _arguments(value: Any) -> dict[str, str]:
    """Map each argument of a docstring to what is said of it."""
    section = _paragraphs(inspect.getdoc(value) or "").partition("Args:\n")[2].partition("\n\n")[0]
    found = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def _toml_or_nothing(value: Any) -> str:
    return "" if value is None else f"`{_toml(value)}`"


def config_tables() -> dict[str, Mapping[str, Any]]:
    """Map the path of every table of the configuration to its schema."""
    schema = config_schema()
    return dict(_tables(schema, schema, ""))


def _tables(
    schema: Mapping[str, Any], table: Mapping[str, Any], path: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if path:
        yield path, table
    for key, setting in table["properties"].items():
        for choice in (setting, setting.get("additionalProperties", {}), setting.get("items", {})):
            if isinstance(choice, Mapping) and "$ref" in choice:
                below = f"{path}.{key}" if path else TABLE_NAMES.get(key, key)
                yield from _tables(
                    schema, schema["$defs"][choice["$ref"].rpartition("/")[2]], below
                )


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _default(key: str, setting: Mapping[str, Any], required: Iterable[str]) -> str:
    if key in required:
        return "**required**"
    if "$ref" in setting or setting.get("default", "") in ("", {}, []):
        return ""
    return f"`{_toml(setting['default'])}`"


def _meaning(setting: Mapping[str, Any]) -> str:
    text = _paragraphs(setting.get("description", ""))
    if "enum" in setting:
        text += " One of " + ", ".join(f"`{choice}`" for choice in setting["enum"]) + "."
    return text


def _type(setting: Mapping[str, Any]) -> str:
    if "x-unit" in setting:
        return str(setting["x-unit"])
    if "$ref" in setting:
        return "table"
    words = {"string": "text", "integer": "whole number", "boolean": "true or false"}
    words |= {"array": "list of texts", "object": "table of texts"}
    return words.get(str(setting.get("type", "string")), "text")


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


# Commands ----------------------------------------------------------------------------------------


def commands() -> str:
    """Give the help of every command."""
    return "\n".join(
        f"## `{name}`\n\n```text\n{text}\n```\n" for name, text in command_helps().items()
    )


def command_helps() -> dict[str, str]:
    """Map every command, as it is typed, to its help."""
    from resile.cli.app import app

    return dict(
        _helps(
            app, click.Context(app, info_name="resile", **app.context_settings, terminal_width=88)
        )
    )


def _helps(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    yield context.command_path, click.unstyle(command.get_help(context)).rstrip()
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from _helps(
                    child,
                    click.Context(child, parent=context, info_name=name, terminal_width=88),
                )


# Events, errors, metrics -------------------------------------------------------------------------


def events() -> str:
    """List every kind of event with its fields."""
    lines = []
    for kind in payload_kinds():
        payload = Payload.registry[kind]
        hints = {f.name: f.type for f in dataclasses.fields(payload)}  # type: ignore[arg-type]
        fields = "\n".join(f"- `{name}`: `{_plain(hints[name])}`" for name in payload_fields(kind))
        lines.append(
            f"(event-{kind})=\n## `{kind}`\n\n{_paragraphs(payload.__doc__ or '')}\n\n"
            f"Version {payload.version}.\n\n{fields}\n"
        )
    return "\n".join(lines)


def errors() -> str:
    """List every error class with its exit code."""
    return "\n".join(
        f"(error-{error.__name__})=\n## `{error.__name__}`\n\n"
        f"{_docstring(error)}\n\nExit code {error.exit_code}. "
        f"Is a `{error.__bases__[0].__name__}`.\n"
        for error in error_classes()
    )


def error_classes() -> list[type[ResileError]]:
    """List the whole tree of errors, parents before children."""

    def below(error: type[ResileError]) -> Iterator[type[ResileError]]:
        yield error
        for child in sorted(error.__subclasses__(), key=lambda c: c.__name__):
            yield from below(child)

    return [error for error in below(ResileError) if error.__module__ == "resile.errors"]


def metrics() -> str:
    """List every metric that the source declares."""
    lines = ["| metric | type | labels | meaning |\n|---|---|---|---|"]
    lines += [
        _row(f"`{metric.name}`", metric.kind, ", ".join(metric.labels), _paragraphs(metric.meaning))
        for metric in declared_metrics()
    ]
    return "\n".join(lines) + "\n"


@dataclasses.dataclass(frozen=True, order=True)
class Metric:
    """A metric as the source declares it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


def declared_metrics() -> list[Metric]:
    """Find every call such as `registry.counter("resile_...", "Meaning.", ("label",))`."""
    found = set()
    for path in sorted(SOURCE.rglob("*.py")):
        text = path.read_text()
        if not re.search(r"\.(counter|gauge|histogram)\(", text):
            continue  # To parse every module would take two seconds.
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                metric = _metric(node.func.attr, node)
                found |= {metric} if metric else set()
    return sorted(found)


def _metric(kind: str, call: ast.Call) -> Metric | None:
    if kind not in ("counter", "gauge", "histogram"):
        return None
    given = dict(zip(("name", "description", "labels"), call.args, strict=False))
    given |= {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    words = {key: ast.literal_eval(given[key]) for key in ("name", "description") if key in given}
    labels = ast.literal_eval(given["labels"]) if "labels" in given else ()
    return Metric(words["name"], kind, tuple(labels), words["description"])


# HTTP --------------------------------------------------------------------------------------------


def routes() -> str:
    """List every path of both applications."""
    lines = []
    for (method, path), (operation, where) in http_operations().items():
        lines.append(f"## `{method} {path}`\n\n{_paragraphs(operation.get('description', ''))}\n")
        lines.append(f"Served on {where}. Answers {', '.join(_answers(operation))}.\n")
        lines += [_parameter(parameter) for parameter in operation.get("parameters", ())]
        lines.append("")
    return "\n".join(lines)


def http_operations() -> dict[tuple[str, str], tuple[Mapping[str, Any], str]]:
    """Map method and path to the operation and where it is served."""
    view = FakeSystemView()
    readable = _operations(create_app(view).openapi())
    return {
        key: (operation, "the port and the socket" if key in readable else "the socket only")
        for key, operation in _operations(create_control_app(view).openapi()).items()
    }


def _operations(openapi: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, item in openapi["paths"].items()
        for method, operation in item.items()
    }


def _answers(operation: Mapping[str, Any]) -> Iterator[str]:
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            reference = str(answer.get("content", {}))
            shape = re.search(r"schemas/(\w+)", reference)
            yield f"{status} with `{shape.group(1)}`" if shape else status


def _parameter(parameter: Mapping[str, Any]) -> str:
    schema = parameter.get("schema", {})
    text = f"- `{parameter['name']}` (in {parameter['in']})"
    text += f": {parameter['description']}" if "description" in parameter else ""
    return text + (f" Default `{schema['default']}`." if schema.get("default") else "")


# Public names ------------------------------------------------------------------------------------


def names() -> str:
    """List every public name of every package, with signature and docstring."""
    lines = []
    for package in public_packages():
        module = importlib.import_module(package)
        lines.append(f"## {package}\n\n{_paragraphs(module.__doc__ or '')}\n")
        lines += [
            _public_name(name, getattr(module, name))
            for name in module.__all__
            if not name.startswith("__")
        ]
    return "\n".join(lines)


def public_packages() -> list[str]:
    """List the packages that export something: the parts, and the packages of core."""
    found = [m.name for m in pkgutil.walk_packages(resile.__path__, "resile.") if m.ispkg]
    return [
        package
        for package in ("resile", *found)
        if package.removeprefix("resile.core").count(".") <= 1
        and package not in PARTS_HIDDEN
        and getattr(importlib.import_module(package), "__all__", ())
    ]


def _public_name(name: str, value: Any) -> str:
    if not inspect.isclass(value) and not inspect.isfunction(value):
        return f"### `{name}`\n\n`{type(value).__name__}`\n"
    signature = _signature(name, value)
    methods = [
        f"- `{method}{_parameters(function)}`: {_first_line(function)}"
        for method, function in inspect.getmembers(value, inspect.isfunction)
        if inspect.isclass(value) and not method.startswith("_") and method in vars(value)
    ]
    text = f"### `{name}`\n\n```python\n{signature}\n```\n\n{_docstring(value)}\n"
    return text + ("\n" + "\n".join(methods) + "\n" if methods else "")


def _signature(name: str, value: Any) -> str:
    if not inspect.isclass(value):
        return f"def {name}{_parameters(value)}"
    if issubclass(value, Enum):
        return f"class {name}: " + ", ".join(member.name for member in value)
    is_port = getattr(value, "_is_protocol", False)
    return f"class {name}(Protocol)" if is_port else f"class {name}{_parameters(value)}"


def _parameters(value: Any) -> str:
    """Write a signature without the modules of its types and the addresses of its defaults."""
    try:
        text = str(inspect.signature(value))
    except ValueError:
        return "(...)"
    text = re.sub(r"<function (\w+) at 0x\w+>", r"\1", text)
    text = re.sub(r"\*<class '([\w.]+)'>", r"Unpack[\1]", text)
    text = re.sub(r"<class '([\w.]+)'>|<(\w+\.\w+): [^<>]*>", r"\1\2", text)
    return re.sub(r"\b(?:[a-z_]\w*\.)+(?=[A-Za-z])|(?<=\w) object at 0x\w+", "", text)


# Text --------------------------------------------------------------------------------------------


def _docstring(value: Any) -> str:
    """Turn a docstring of our style into Markdown: sections become bold words and lists."""
    out = []
    section = ""
    for line in _paragraphs(inspect.getdoc(value) or "").splitlines():
        heading = re.fullmatch(r"(Args|Raises|Returns|Source):(.*)", line)
        item = re.match(r"    (\w+): (.*)", line)
        if heading:
            section = heading.group(1)
            out.append(f"\n**{section}**{heading.group(2)}\n")
        elif section in ("Args", "Raises") and item:
            out.append(f"- `{item.group(1)}`: {item.group(2)}")
        else:
            out.append(f"  {line.strip()}" if section in ("Args", "Raises") else line.strip())
    return "\n".join(out).strip()


def _paragraphs(text: str) -> str:
    """Keep what stands outside of code from being taken for Markdown."""
    parts = inspect.cleandoc(text).split("`")
    parts[::2] = [re.sub(r"([<*\[\]]|(?<!\w)_)", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def _first_line(value: Any) -> str:
    return _paragraphs((inspect.getdoc(value) or "").partition("\n")[0])


def _plain(hint: Any) -> str:
    text = hint if isinstance(hint, str) else inspect.formatannotation(hint)
    return re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", text)


FRAGMENTS: dict[str, Callable[[], str]] = {
    "configuration": configuration,
    "policy-settings": policy_settings,
    "events": events,
    "errors": errors,
    "metrics": metrics,
    "routes": routes,
    "names": names,
    "commands": commands,
}
