"""`[policy.NAME]` in the daemon's configuration: checked by the policies, with line and place."""

import re
from pathlib import Path

import pytest

from resile.core.config import config_schema, load_config
from resile.errors import ConfigError
from resile.policies.sections import section_problems


def test_what_a_user_process_takes_the_daemon_takes(tmp_path: Path) -> None:
    path = tmp_path / "resile.toml"
    path.write_text('[policy."users.db"]\nenabled = false\nretry = 5\nbreaker.slow = "2s"\n')

    config = load_config(path, environ={})

    assert config.policy == {"users.db": {"enabled": False, "retry": 5, "breaker": {"slow": "2s"}}}
    assert section_problems(config.policy["users.db"]) == []


def test_faults_are_told_with_the_others_each_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "resile.toml"
    path.write_text(
        "[policy.db]\nretry = 0\npreset = 'x'\n[policy.db.breaker]\nfailures = 'many'\n"
        "[resile]\ncrashes_max = -1\n"
    )

    with pytest.raises(ConfigError) as caught:
        load_config(path, environ={})

    places = [re.match(r"resile.toml:\d+: [\w.]+", problem) for problem in caught.value.problems]
    assert [place.group() if place else None for place in places] == [
        "resile.toml:2: policy.db.retry.attempts",
        "resile.toml:3: policy.db.preset",
        "resile.toml:5: policy.db.breaker.failures",
        "resile.toml:7: resile.crashes_max",
    ]


@pytest.mark.parametrize("text", ["policy = 3", "policy = []", "policy.db = 3"])
def test_what_is_no_table_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "resile.toml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=r"has [12] error"):
        load_config(path, environ={})


def test_the_schema_knows_the_table() -> None:
    assert config_schema()["properties"]["policy"]["type"] == "object"
