"""What a drill takes from a configuration."""

from pathlib import Path

from resile.core.config import load_config
from resile.daemon.drilling import declared_of, matrix_of

TEXT = """
[resile]
name = "shop"

[service.api]
command = ["python", "-c", "pass"]
live = { http = "http://127.0.0.1:1/livez" }

[service.worker]
command = ["python", "-c", "pass"]
limits = { memory = "64MiB" }

[snapshot.orders]
folder = "orders"

[store]
parity = true

[drill]
exclude = ["cpu", "run"]
scenario.crash.recovery = "1s"
"""


def test_matrix_is_what_is_declared_less_what_is_excluded(tmp_path: Path) -> None:
    (tmp_path / "resile.toml").write_text(TEXT)
    (tmp_path / "orders").mkdir()
    config = load_config(tmp_path / "resile.toml", environ={})

    matrix = matrix_of(config, root=tmp_path, state=tmp_path / ".resile")

    names = {cell.name for cell in matrix}
    assert {"crash:service/api", "crash:service/worker", "hang:service/api"} <= names
    assert {
        "oom:service/worker",
        "disk_full:orders",
        "store_corruption:.resile/store/packs",
    } <= names
    assert not {"cpu:service/api", "run_time:run", "oom:service/api", "hang:service/worker"} & names
    assert matrix[0].scenario.recovery_s_max == 1.0


def test_store_with_nothing_to_mend_it_from_is_not_broken(tmp_path: Path) -> None:
    (tmp_path / "resile.toml").write_text(TEXT.replace("parity = true", ""))
    (tmp_path / "orders").mkdir()
    config = load_config(tmp_path / "resile.toml", environ={})

    assert declared_of(config, root=tmp_path, state=tmp_path / ".resile").packs is None
