"""Helpers that write a configuration and read what is said of it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from resile.core.config import Config, load_config
from resile.errors import ConfigError

ISSUE_EXAMPLE = """
[service.scanner]
command = ["python", "-m", "agent_runtime.scanner"]

[service.reasoner]
command = ["python", "-m", "agent_runtime.reasoner"]

[service.dispatcher]
command = ["python", "-m", "agent_runtime.dispatcher"]
ready = { http = "http://127.0.0.1:8481/ready", interval = "1s", timeout = "1s", fall = 3, rise = 2 }
live = { http = "http://127.0.0.1:8481/live" }
depends_on = ["scanner", "reasoner"]
restart = { policy = "permanent", intensity = 5, period = "60s", backoff = "200ms..10s" }
stop = { signal = "TERM", drain = "5s" }
limits = { memory = "512MiB", cpu = "100%", processes = 64 }
"""


Load = Callable[..., Config]
Problems = Callable[..., list[str]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Write `resile.toml` into a fresh folder and load it."""

    def run(text: str, environ: Mapping[str, str] | None = None) -> Config:
        path = tmp_path / "resile.toml"
        path.write_text(text, encoding="utf-8")
        return load_config(path, environ=environ or {})

    return run


@pytest.fixture
def problems(load: Load) -> Problems:
    """Load a configuration that must be refused; give its problems."""

    def run(text: str, environ: Mapping[str, str] | None = None) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(text, environ)
        assert caught.value.hint
        return list(caught.value.problems)

    return run
