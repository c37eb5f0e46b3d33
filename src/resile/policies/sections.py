"""What a file may say about a guard: `[policy.NAME]`, and what policies it makes of those in code.

The one definition of that section: the daemon's configuration asks it too. Which options there are,
and their ranges, say the policies themselves.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from importlib import import_module
from typing import Any, Final, cast

from resile.errors import ConfigError
from resile.policies.options import Options
from resile.policies.pipeline import Pipeline, compose
from resile.policies.policy import Policy
from resile.policies.presets import nearest, preset_named

_HOMES: Final = {
    "retry": ("retry", "Retry", "attempts"),
    "breaker": ("breaker", "Breaker", ""),
    "timeout": ("timeout", "Timeout", "each"),
    "bulkhead": ("bulkhead", "Bulkhead", "limit"),
    "adaptive_limit": ("adaptive", "AdaptiveLimit", ""),
    "rate_limit": ("ratelimit", "RateLimit", "limit"),
    "hedge": ("hedge", "Hedge", ""),
    "cache": ("cache", "Cache", ""),
    "chaos": ("chaos", "Chaos", ""),
    "fallback": ("fallback", "Fallback", ""),
}
"""Key in the file: module, class, and the option that a value without a name is for."""
_OF_CODE: Final = frozenset(
    {
        *("on", "unless", "classify", "on_result", "retry_after", "key", "errors", "error"),
        *("result", "steps"),
    }
)
"""Options that take functions, classes and objects, which no file has."""
_ONLY_OFF: Final = ("fallback",)
"""Policies with nothing to set: a file can only turn them off."""
_SWITCHES: Final = ("enabled", "preset")


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What a file says about one guard.

    Args:
        name: The guard's.
        is_enabled: False: nothing guards.
        preset: Takes the place of the policies of its kinds.
        changes: Options by the key of a policy; None: it is turned off.
    """

    name: str
    is_enabled: bool = True
    preset: Policy | None = None
    changes: Mapping[str, Mapping[str, object] | None]

    def applied(self, policy: Policy | None) -> Policy:
        """Give the policies of a guard, from those that it has in code, if it has any.

        Raises:
            ConfigError: If the options do not fit together.
        """
        if not self.is_enabled:
            return Pipeline(policies=())
        is_as_written = isinstance(policy, Pipeline) and policy.is_as_written
        parts = [] if policy is None else list(policy.parts())
        if self.preset is not None:
            kinds = {type(part) for part in self.preset.parts()}
            parts = [part for part in parts if type(part) not in kinds] + [*self.preset.parts()]
        problems: list[str] = []
        for key, options in self.changes.items():
            try:
                parts = _changed(parts, key, options, is_as_written=is_as_written)
            except ConfigError as error:
                problems += [self._named(key, problem) for problem in error.problems]
        if problems:
            raise problems_error(problems)
        if is_as_written:
            return Pipeline(policies=tuple(parts), is_as_written=True)
        return parts[0] if len(parts) == 1 else compose(*parts)

    def _named(self, key: str, problem: str) -> str:
        """Write `Retry.attempts: ...` as `policy.NAME.retry.attempts: ...`."""
        place, _, text = problem.partition(": ")
        _, dot, option = place.partition(".")
        return f"policy.{self.name}.{key}{dot}{option}: {text}"


def sections_of(table: object) -> dict[str, Section]:
    """Read the table `policy` of a file.

    Raises:
        ConfigError: If anything in it is wrong; `problems` has all of it.
    """
    if not isinstance(table, Mapping):
        raise problems_error(["policy: is no table; write [policy.NAME]"])
    problems: list[str] = []
    sections = {}
    for name, section in table.items():
        found = section_problems(section)
        problems += [f"policy.{name}{at}: {text}" for at, text in found]
        if not found:
            sections[name] = _section(name, section)
    if problems:
        raise problems_error(problems)
    return sections


def section_problems(section: object) -> list[tuple[str, str]]:
    """Check one `[policy.NAME]`; give where in it something is wrong (`.retry.max`), and what."""
    if not isinstance(section, Mapping):
        return [("", "is no table; write [policy.NAME]")]
    problems = []
    for key, value in section.items():
        if key in _SWITCHES:
            problems += [(f".{key}", text) for text in _switch_problems(key, value)]
        elif key not in _HOMES:
            hint = nearest(key, (*_SWITCHES, *_HOMES))
            problems.append((f".{key}", f"there is no such policy; {hint}"))
        else:
            problems += [(f".{key}{at}", text) for at, text in _policy_problems(key, value)]
    return problems


def policy_keys() -> dict[str, type[Policy]]:
    """Map what a file calls the policies to their classes."""
    return {key: _kind(key) for key in _HOMES}


def option_names(kind: type[Policy]) -> tuple[str, ...]:
    """List the options of a policy that a file may set."""
    return tuple(one.name for one in fields(kind) if one.name not in _OF_CODE)  # type: ignore[arg-type]


def problems_error(problems: list[str]) -> ConfigError:
    """Make the error that tells all that is wrong."""
    count = len(problems)
    return ConfigError(
        f"{count} {'setting is' if count == 1 else 'settings are'} wrong: " + "; ".join(problems),
        hint="the policies and their ranges stand in the reference of the public names",
        problems=tuple(problems),
    )


def _switch_problems(key: str, value: object) -> Iterable[str]:
    if key == "enabled" and not isinstance(value, bool):
        yield f"{value!r} is neither true nor false"
    if key == "preset":
        try:
            preset_named(str(value))
        except ConfigError as error:
            yield f"{error}; {error.hint}"


def _policy_problems(key: str, value: object) -> list[tuple[str, str]]:
    options = _options(key, value)
    if options is None:
        return []
    if key in _ONLY_OFF:
        return [("", "can only be turned off here, by false")]
    if not isinstance(options, Mapping):
        return [("", f"{value!r} is neither a table nor true nor false")]
    kind = _kind(key)
    known = option_names(kind)
    problems = [
        (f".{name}", "takes a function or a class, which only code can give")
        if name in _OF_CODE
        else (f".{name}", f"there is no such option; {nearest(name, known)}")
        for name in options
        if name not in known
    ]
    given = {name: option for name, option in options.items() if name in known}
    return problems + [(f".{name}", text) for name, text in _range_problems(kind, given)]


def _range_problems(kind: type[Policy], given: Mapping[str, object]) -> list[tuple[str, str]]:
    """Check options by themselves: whether they fit those in code is seen when they meet."""
    probe = object.__new__(kind)
    for one in fields(kind):  # type: ignore[arg-type]
        object.__setattr__(probe, one.name, _unset(kind, given).get(one.name, one.default))
    options = Options(probe)
    probe.check_options(options)
    split = (
        problem.removeprefix(f"{kind.__name__}.").partition(": ") for problem in options.problems
    )
    return [(name, text) for name, _, text in split]


def _section(name: str, section: Mapping[str, object]) -> Section:
    preset = section.get("preset")
    return Section(
        name=name,
        is_enabled=section.get("enabled") is not False,
        preset=None if preset is None else preset_named(str(preset)),
        changes={
            key: cast("Mapping[str, object] | None", _options(key, value))
            for key, value in section.items()
            if key in _HOMES
        },
    )


def _options(key: str, value: object) -> object:
    """Give the options of a policy: None if it is turned off, else a mapping, if it is right."""
    if value is False:
        return None
    if value is True:
        return {}
    main = _HOMES[key][2]
    return {main: value} if main and isinstance(value, int | float | str) else value


def _unset(kind: type[Policy], options: Mapping[str, object]) -> dict[str, object]:
    """Read `false` as none, where an option may be left out."""
    may_be_none = {one.name for one in fields(kind) if one.default is None}  # type: ignore[arg-type]
    return {
        name: None if value is False and name in may_be_none else value
        for name, value in options.items()
    }


def _kind(key: str) -> type[Policy]:
    module, name, _ = _HOMES[key]
    return cast("type[Policy]", getattr(import_module(f"resile.policies.{module}"), name))


def _changed(
    parts: list[Policy], key: str, options: Mapping[str, object] | None, *, is_as_written: bool
) -> list[Policy]:
    """Change, add or remove the policy of a kind.

    Raises:
        ConfigError: If the options do not fit to those in code.
    """
    kind: Any = _kind(key)
    own = [part for part in parts if isinstance(part, kind)]
    others = [part for part in parts if not isinstance(part, kind)]
    if options is None:
        return others
    given = _unset(kind, options)
    if key == "timeout":
        made = _timeouts(kind, own, given)
    else:
        made = [replace(cast("Any", part), **given) for part in own] or [kind(**given)]
    return list(_in_place(parts, kind, made)) if is_as_written else others + made


def _timeouts(kind: Any, own: list[Any], given: Mapping[str, object]) -> list[Policy]:
    """Change the limits of each attempt and of the total, which are two parts of one policy."""
    known = {name: value for part in own for name, value in _set_options(part)}
    limits = {**known, **given}
    if limits.get("each") is None and limits.get("total") is None:
        return []
    return list(kind(**limits).parts())


def _set_options(part: Any) -> list[tuple[str, object]]:
    given = [(one.name, getattr(part, one.name)) for one in fields(part)]
    return [(name, value) for name, value in given if value is not None]


def _in_place(parts: list[Policy], kind: type[Policy], made: list[Policy]) -> Iterator[Policy]:
    """Give the parts of a stack with others in the place of those of a kind.

    Raises:
        ConfigError: If there is no such place.
    """
    left = list(made)
    for part in parts:
        if not isinstance(part, kind):
            yield part
            continue
        for one in left:
            if one.position == part.position:
                left.remove(one)
                yield one
                break
    if left:
        text = f"{kind.__name__}: has no place in the stack of the code, which keeps its order"
        raise ConfigError(text, problems=(text,))
