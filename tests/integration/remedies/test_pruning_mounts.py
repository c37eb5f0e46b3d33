"""What is mounted below a prunable folder is another matter: its files stay, unless it is named itself."""

import shutil
from pathlib import Path
from subprocess import run

import pytest

from resile.daemon.remedies.pruning import Prunable, Pruned, prune


def test_nothing_goes_of_what_is_mounted_below_unless_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "data").write_bytes(b"x")
    (tmp_path / "cache" / "deep").mkdir(parents=True)
    (tmp_path / "disk").mkdir()
    mount = shutil.which("mount") or pytest.skip("there is no mount")
    ways = [tmp_path / "cache" / "deep", tmp_path / "disk"]
    made = [
        run([mount, "--bind", str(tmp_path / "precious"), str(way)], check=False).returncode == 0
        for way in ways
    ]
    try:
        if not all(made):
            pytest.skip("nothing may be mounted here")
        cache, disk = (Prunable(folder=tmp_path, pattern=name) for name in ("cache", "disk"))
        assert prune([cache]) == Pruned()
        assert prune([disk]).files == 1
    finally:
        for way, is_made in zip(ways, made, strict=True):
            if is_made:
                run(["umount", str(way)], check=True)
