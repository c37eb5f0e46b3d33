"""The steps that build a box."""

from pathlib import Path
from typing import Any

import pytest

from resile.contain.model import Network
from resile.contain.sandboxes import BindMount, Box, OverlayMount
from resile.contain.sandboxes.recipe import NEW_USER, Host, Recipe, Step, recipe_of
from resile.errors import ConfigError

HOST = Host(uid=1000, gid=1001, is_privileged=False, landlock_abi=7)
NEW_NETWORK = 0x40000000


def box(**given) -> Box:
    return Box(**{"argv": ("true",), "env": {}, "cwd": "/w", **given})


def overlay(target: str, *, is_unprivileged: bool = True) -> OverlayMount:
    return OverlayMount(
        lower=Path("/l"),
        upper=Path("/u"),
        work=Path("/k"),
        target=Path(target),
        is_unprivileged=is_unprivileged,
    )


def steps(made: Box, name: str = "", host: Host = HOST) -> list[Step]:
    return [step for step in recipe_of(made, host).steps if not name or step[0].lstrip("?") == name]


def index(made: Box, *wanted: str) -> int:
    return next(i for i, step in enumerate(steps(made)) if step[: len(wanted)] == wanted)


def test_sources_are_taken_before_anything_is_covered() -> None:
    made = box(mounts=(overlay("/tmp/w"),))

    assert index(made, "overlay") < index(made, "lock") < index(made, "?tmpfs", "/tmp")


def test_workspace_below_tmp_is_placed_on_the_private_one() -> None:
    made = box(mounts=(overlay("/tmp/w"),))
    placed = next(i for i, step in enumerate(steps(made)) if step[2:] == ("/tmp/w",))

    assert index(made, "?tmpfs", "/tmp") < placed < index(made, "command")


def test_hidden_folder_above_a_workspace_is_covered_first_and_sealed_last() -> None:
    made = box(mounts=(overlay("/home/u/w"),), hidden=(Path("/home/u"), Path("/home/u/w/.env")))
    placed = next(i for i, step in enumerate(steps(made)) if step[2:] == ("/home/u/w",))

    assert index(made, "?hide", "/home/u") < placed < index(made, "?hide", "/home/u/w/.env")
    assert placed < index(made, "?seal", "/home/u")


def test_slots_count_what_was_taken() -> None:
    made = box(
        mounts=(overlay("/w"), BindMount(source=Path("/b"), target=Path("/c"), is_writable=False))
    )
    taken = [step for step in steps(made) if step[0].lstrip("?") in ("tree", "overlay")]
    slots = {step[2]: int(step[1]) for step in steps(made, "place")}

    assert taken[slots["/w"]][0] == "overlay"
    assert taken[slots["/c"]] == ("tree", "/b", "7")


def test_plain_user_gets_a_user_namespace_and_its_attributes() -> None:
    made = recipe_of(box(mounts=(overlay("/w"),)), HOST)

    assert made.namespaces & NEW_USER
    assert [step[4:] for step in made.steps if step[0] == "overlay"] == [("userxattr", "volatile")]


def test_root_gets_overlays_without_references_to_the_lower_folder() -> None:
    host = Host(uid=0, gid=0, is_privileged=True, landlock_abi=7)
    made = recipe_of(box(mounts=(overlay("/w", is_unprivileged=False),)), host)

    assert not made.namespaces & NEW_USER
    options = ("redirect_dir=off", "index=off", "metacopy=off", "volatile")
    assert options in [s[4:] for s in made.steps]


def test_host_network_is_kept_and_its_resolver_shown() -> None:
    host = Host(
        uid=0, gid=0, is_privileged=True, landlock_abi=7, resolver=Path("/run/resolve/stub")
    )
    made = recipe_of(box(network=Network.HOST), host)

    assert not made.namespaces & NEW_NETWORK
    assert ("?tree", "/run/resolve/stub", "7") in made.steps
    assert ("loopback",) not in made.steps


def test_no_network_has_a_loopback() -> None:
    made = recipe_of(box(), HOST)

    assert made.namespaces & NEW_NETWORK
    assert ("loopback",) in made.steps


def test_what_is_refused_comes_after_what_needs_it() -> None:
    names = [step[0] for step in steps(box(files_max=64, file_bytes_max=1))]
    child = names[names.index("command") :]

    assert [name for name in child if "allow" not in name] == [
        *("command", "capabilities", "cwd", "privileges", "landlock", "restrict", "seccomp"),
        *("limit", "limit", "limit", "environment", "programs", "execute"),
    ]


def test_reading_is_only_taken_away_where_a_list_says_what_may_be_read() -> None:
    read = 0b1101
    anywhere, listed = box(), box(readable=(Path("/data"),))

    assert int(steps(anywhere, "landlock")[0][1]) & read == 0
    assert int(steps(listed, "landlock")[0][1]) & read == read
    assert ("?allow", str(read), "/data") in steps(listed)
    assert ("?allow", str(read), "/usr") in steps(listed)


def test_old_landlock_is_only_asked_for_what_it_knows() -> None:
    host = Host(uid=0, gid=0, is_privileged=True, landlock_abi=1)

    assert steps(box(), "landlock", host) == [("landlock", str(0x1FF2), "0", "0", "8")]


def test_no_landlock_is_no_step() -> None:
    host = Host(uid=0, gid=0, is_privileged=True, landlock_abi=0)

    assert steps(box(), "landlock", host) == steps(box(), "allow", host) == []


def test_only_an_observed_box_asks_for_a_listener() -> None:
    assert steps(box(), "seccomp")[0][1] == "40"
    assert steps(box(is_observed=False), "seccomp")[0][1] == "0"


def test_program_is_looked_for_where_the_command_would() -> None:
    env = {"PATH": "/a:b::/c"}

    assert steps(box(argv=("tool", "x"), env=env), "programs") == [
        ("programs", "/a/tool", "b/tool", "tool", "/c/tool")
    ]
    assert steps(box(argv=("./tool",), env=env), "programs") == [("programs", "./tool")]
    assert steps(box(argv=("tool",), env={}), "programs") == [
        ("programs", "/usr/local/bin/tool", "/usr/bin/tool", "/bin/tool")
    ]


def test_only_a_new_user_namespace_is_told_who_is_who() -> None:
    plain = Host(uid=1000, gid=100, is_privileged=False, landlock_abi=0)
    root = Host(uid=0, gid=0, is_privileged=True, landlock_abi=0)

    assert steps(box(), "user", plain) == [
        ("user", "/proc/self/setgroups", "deny"),
        ("user", "/proc/self/uid_map", "1000 1000 1"),
        ("user", "/proc/self/gid_map", "100 100 1"),
    ]
    assert steps(box(), "user", root) == []


def test_encoding_keeps_bytes_that_are_no_text() -> None:
    made = Recipe(namespaces=1, steps=(("cwd", "/\udcff\n"), ("command",)))

    assert made.encode() == b"1\x00cwd\x001\x00/\xff\n\x00\x00command\x000\x00\x00"


@pytest.mark.parametrize(
    "given",
    [
        {"argv": ("true", "a\0b")},
        {"env": {"A": "b\0c"}},
        {"env": {"A\0B": "c"}},
        {"cwd": "/w\0execute"},
        {"hidden": (Path("/h\0"),)},
    ],
)
def test_zero_byte_cannot_smuggle_steps_in(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="zero byte"):
        recipe_of(box(**given), HOST).encode()


@pytest.mark.parametrize(
    "given",
    [
        {"argv": ()},
        {"argv": ("",)},
        {"cwd": "w"},
        {"hidden": (Path("h"),)},
        {"mounts": (overlay("w"),)},
    ],
)
def test_box_that_makes_no_sense_is_a_programming_error(given: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="a box"):
        box(**given)
