"""What services are told of the system that they belong to."""

import sys
from pathlib import Path

from resile.contain import Switches
from resile.contain.switches import switches_of
from resile.core.config import load_config
from resile.daemon import wiring

CONFIG = """
[service.plain]
command = ["true"]
[service.own]
command = ["true"]
env = { RESILE_STATE_DIR = "/elsewhere" }
"""

PLACES = {"state": Path("/srv/.resile"), "config_file": Path("/srv/resile.toml")}


def env_of(folder: Path, name: str, environ: dict[str, str]) -> dict[str, str]:
    path = folder / "resile.toml"
    path.write_text(CONFIG)
    config = load_config(path, environ={})
    launches = wiring.launch_specs(config, environ=environ, **PLACES)
    return dict(launches[name].env)


def test_a_service_is_told_where_the_state_and_the_configuration_are(tmp_path: Path) -> None:
    environ = {"PATH": "/bin", "RESILE_STATE_DIR": "/of/another/system", "RESILE_GUARD_FD": "3"}

    assert env_of(tmp_path, "plain", environ) == {
        "PATH": "/bin",
        "RESILE_STATE_DIR": "/srv/.resile",
        "RESILE_CONFIG_FILE": "/srv/resile.toml",
    }


def test_what_the_user_set_for_a_service_goes_before(tmp_path: Path) -> None:
    assert env_of(tmp_path, "own", {})["RESILE_STATE_DIR"] == "/elsewhere"


def test_services_keep_their_runs_where_the_daemon_sweeps(tmp_path: Path) -> None:
    assert env_of(tmp_path, "plain", {"RESILE_RUNS_DIR": "/runs"})["RESILE_RUNS_DIR"] == "/runs"


def test_service_is_started_through_what_hands_it_its_secrets_if_it_does_not_ask(
    tmp_path: Path,
) -> None:
    path = tmp_path / "resile.toml"
    path.write_text(
        "".join(f'[service.{name}]\ncommand = ["{name}", "x"]\n' for name in ("a", "b", "c"))
        + '[secret.one]\nservices = ["a"]\ndeliver = "file"\n[secret.two]\nservices = ["a", "b"]\n'
    )
    config = load_config(path, environ={})

    launches = wiring.launch_specs(config, environ={}, **PLACES)

    handing = (sys.executable, "-I", "-m", "resile.daemon.handing", "/srv/.resile", "--")
    assert launches["a"].argv == (*handing, "a", "x")
    assert (launches["b"].argv, launches["c"].argv) == (("b", "x"), ("c", "x"))
    services = wiring.system_spec(config).services
    assert [n for n, one in services.items() if one.uses_secret] == ["a", "b"]


def test_services_are_told_what_is_switched_off(tmp_path: Path) -> None:
    path = tmp_path / "resile.toml"
    path.write_text('[service.a]\ncommand = ["true"]\n[contain]\nenabled = false\n')
    config = load_config(path, environ={"RESILE_CONTAIN__OVERLAY": "false"})

    env = wiring.launch_specs(config, environ={}, **PLACES)["a"].env

    assert {name: env[name] for name in env if name.startswith("RESILE_CONTAIN")} == {
        "RESILE_CONTAIN__ENABLED": "false",
        "RESILE_CONTAIN__OVERLAY": "false",
    }
    assert switches_of(env) == Switches(is_enabled=False, has_overlay=False)


def test_service_that_is_restarted_before_it_is_killed_is_slowed_down_near_its_limit(
    tmp_path: Path,
) -> None:
    path = tmp_path / "resile.toml"
    path.write_text(
        "".join(
            f'[service.{name}]\ncommand = ["x"]\nlimits = {{ memory = "100MiB" }}\noom = "{name}"\n'
            for name in ("warn", "restart")
        )
    )
    config = load_config(path, environ={})

    launches = wiring.launch_specs(config, environ={}, **PLACES)
    services = wiring.system_spec(config).services

    assert services["restart"].is_restarted_before_oom
    assert not services["warn"].is_restarted_before_oom
    assert launches["restart"].limits.memory_slow_bytes == 97 << 20
    assert launches["warn"].limits.memory_slow_bytes == 0


def test_heartbeats_are_told_from_other_checks(tmp_path: Path) -> None:
    path = tmp_path / "resile.toml"
    path.write_text(
        '[service.a]\ncommand = ["x"]\nnotify = true\nwatchdog = "5s"\n'
        'live = { tcp = "127.0.0.1:1" }\n'
    )

    checks = wiring.system_spec(load_config(path, environ={})).checks

    assert checks["a.watchdog"].is_heartbeat
    assert not checks["a.live"].is_heartbeat
