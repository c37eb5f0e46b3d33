"""The recipe in bubblewrap's words."""

from pathlib import Path

import pytest

from resile.contain.model import Network
from resile.contain.sandboxes import BindMount, Box, OverlayMount, bubblewrap
from resile.contain.sandboxes.bubblewrap import arguments_of, find_bubblewrap
from resile.contain.sandboxes.recipe import Host, recipe_of

HOST = Host(uid=1000, gid=1001, is_privileged=False, landlock_abi=7)


def words(**given) -> str:
    box = Box(**{"argv": ("true",), "env": {}, "cwd": "/", **given})
    return " ".join(arguments_of(recipe_of(box, HOST)))


def test_namespaces_are_asked_for() -> None:
    said = words()

    assert said.startswith("--unshare-pid --unshare-ipc --unshare-uts --unshare-user --unshare-net")
    assert "--unshare-net" not in words(network=Network.HOST)


def test_whole_tree_is_read_only_before_anything_lies_on_it() -> None:
    said = words()

    assert said.index("--ro-bind / /") < said.index("--tmpfs /tmp")
    assert said.index("--dev /dev") < said.index("--tmpfs /dev/shm") < said.index("remount-ro /dev")
    assert said.endswith("--proc /proc --remount-ro /proc --remount-ro /run --remount-ro /dev")


def test_overlay_and_binds_are_placed_after_tmp() -> None:
    overlay = OverlayMount(
        lower=Path("/l"),
        upper=Path("/u"),
        work=Path("/k"),
        target=Path("/tmp/w"),
        is_unprivileged=True,
    )
    binds = [
        BindMount(source=Path("/b"), target=Path(f"/tmp/{name}"), is_writable=name == "rw")
        for name in ("rw", "ro")
    ]

    said = words(mounts=(overlay, *binds))

    assert said.index("--tmpfs /tmp") < said.index("--overlay-src /l --overlay /u /k /tmp/w")
    assert "--bind /b /tmp/rw" in said
    assert "--ro-bind /b /tmp/ro" in said


def test_private_tmp_has_its_size() -> None:
    assert "--perms 1777 --size 4096 --tmpfs /tmp" in words(tmp_bytes=4096)
    assert "--perms 1777 --tmpfs /tmp" in words()


def test_hidden_paths_are_covered_if_they_are_there(tmp_path: Path) -> None:
    folder, file = tmp_path / "d", tmp_path / "f"
    folder.mkdir()
    file.touch()

    said = words(hidden=(folder, file, tmp_path / "none"))

    assert f"--tmpfs {folder}" in said
    assert f"--remount-ro {folder}" in said
    assert f"--ro-bind /dev/null {file}" in said
    assert f"{tmp_path}/none" not in said


@pytest.mark.parametrize(
    ("version", "is_found"), [("0.10.9", False), ("0.11.0", True), ("1.0", True)]
)
def test_only_a_bubblewrap_with_overlays_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, is_found: bool
) -> None:
    program = tmp_path / "bwrap"
    program.write_text(f"#!/bin/sh\necho bubblewrap {version}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(bubblewrap, "_packaged", lambda: "")
    find_bubblewrap.cache_clear()

    found = find_bubblewrap()
    find_bubblewrap.cache_clear()

    assert found == (str(program) if is_found else "")
